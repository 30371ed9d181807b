"""Keys that let a user's programs act in its name: making one, and ending it."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from fastapi import APIRouter
from psycopg import Cursor
from pydantic import Field

from domain.api_keys import MAX_KEYS, ApiKey, Scope, TooManyApiKeys, check_expiry
from runtime.api_keys import count_keys, forget_key, keep_key, living_keys, new_key
from runtime.http.body import CommandRoute
from runtime.http.deps import AccountOwner, Clock, StoreDep
from runtime.http.types import Command, Id, Timestamp
from runtime.store import NoSuchThing, Receipt, Store, new_id

router = APIRouter(prefix="/api/v1/users/me/api-keys", tags=["api keys"], route_class=CommandRoute)


class IssueApiKey(Command):
    """`read` lets GET and HEAD through, `write` everything but the security of the account; `torrents`, `requests` and
    `moderation` what belongs to that section, reading and writing."""

    name: str = Field(description="what the key is for, 1 to 64 characters")
    scopes: list[Scope] = Field(min_length=1, max_length=len(Scope))
    expires_at: Timestamp | None = Field(None, description="null for never")


class NewApiKey(Receipt):
    """`key` is shown this once; send it as `Authorization: Bearer`."""

    WITHHELD: ClassVar[frozenset[str]] = frozenset({"key"})

    key: str | None


@router.post("", status_code=201)
def issue_api_key(command: IssueApiKey, caller: AccountOwner, store: StoreDep, now: Clock) -> NewApiKey:
    """Make a key. It may do what its user may, within its scopes, until it expires, is
    revoked, or the user is shut out."""
    check_expiry(command.expires_at, now=now)
    key, issued = new_key(), ApiKey.issue(new_id(), caller.user_id, command.name, command.scopes, command.expires_at)

    def keep(cursor: Cursor[Any]) -> None:
        if count_keys(cursor, caller.user_id, now) >= MAX_KEYS:
            raise TooManyApiKeys(f"nobody has more than {MAX_KEYS} keys: revoke one first")
        keep_key(cursor, issued.id, caller.user_id, key, issued.scopes, now, issued.expires_at)

    return store.save(issued, answer=NewApiKey, beside=keep, key=key)


@router.delete("/{key_id}", status_code=204)
def revoke_api_key(key_id: Id, caller: AccountOwner, store: StoreDep) -> None:
    """End one of the caller's keys; the next request with it is refused."""
    key = store.get(ApiKey, key_id)
    if key.user_id != caller.user_id:
        raise NoSuchThing("no such apikey")
    key.revoke("revoked")
    store.save(key, beside=lambda cursor: forget_key(cursor, key_id))


def revoked_keys(store: Store, user_id: UUID, reason: str) -> list[ApiKey]:
    """The user's keys, each revoked for this reason, to be saved with what ends them (`forget_keys`)."""
    with store.history.pool.connection() as connection:
        living = living_keys(connection, user_id)
    keys = [store.get(ApiKey, key_id) for key_id in living]
    for key in keys:
        key.revoke(reason)
    return keys
