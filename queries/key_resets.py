"""Which keys travel in my URLs, and when was which reset? Keys of the past are shown to nobody."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from psycopg import Connection
from psycopg.rows import class_row
from pydantic import BaseModel

from domain.announce_keys import announce_key
from domain.feed_keys import FIRST, feed_key
from domain.key_resets import ResetKind
from domain.permissions import Permission
from queries.people import must_be_user
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import AccountOwner, Caller, ReadDb, Requires, SecretsDep, SettingsDep
from runtime.http.pages import Page, PageDep
from runtime.http.types import Id

router = APIRouter(prefix="/api/v1/users", tags=["users"], route_class=StrictRoute)

Inspector = Annotated[Caller, Requires(Permission.USERS_SEE_PRIVATE)]


class OwnPasskey(BaseModel):
    """`passkey` opens every torrent; `reset_at` is null for the first one."""

    passkey: str
    announce_urls: list[str]
    reset_at: datetime | None


class OwnRssKey(BaseModel):
    """`rss_key` opens feeds and what they link to; `reset_at` is null for the first one."""

    rss_key: str
    feed_urls: list[str]
    reset_at: datetime | None


class KeyReset(BaseModel):
    """One reset; `by` is who did it."""

    kind: ResetKind
    key_no: int
    at: datetime
    by: UUID


@router.get("/me/passkey", dependencies=[fresh("key_resets")])
def get_own_passkey(caller: AccountOwner, db: ReadDb, settings: SettingsDep, secrets: SecretsDep) -> OwnPasskey:
    """The caller's passkey, and where it announces to."""
    key_no, reset_at = present_key(db, caller.user_id, ResetKind.PASSKEY)
    key = announce_key(secrets.site, caller.user_id, key_no, None)
    return OwnPasskey(passkey=key, announce_urls=[f"{settings.edge.base_url}/announce/{key}"], reset_at=reset_at)


@router.get("/me/rss-key", dependencies=[fresh("key_resets")])
def get_own_rss_key(caller: AccountOwner, db: ReadDb, settings: SettingsDep, secrets: SecretsDep) -> OwnRssKey:
    """The caller's feed key, and the feeds that it opens."""
    key_no, reset_at = present_key(db, caller.user_id, ResetKind.RSS_KEY)
    key = feed_key(secrets.site, caller.user_id, key_no)
    urls = [f"{settings.server.base_url}/api/v1/rss/torrents?key={key}"]
    return OwnRssKey(rss_key=key, feed_urls=urls, reset_at=reset_at)


@router.get("/{user_id}/key-resets", dependencies=[fresh("key_resets", "users")])
def list_key_resets(user_id: Id, staff: Inspector, db: ReadDb, page: PageDep) -> Page[KeyReset]:
    """When a user's keys were reset, the newest first; for senior staff."""
    must_be_user(db, user_id)
    query = f"key_resets:{user_id}"
    at, kind = page.after(query) or (None, None)
    with db.cursor(row_factory=class_row(KeyReset)) as cursor:
        rows = cursor.execute(
            "SELECT kind, key_no, reset_at AS at, reset_by AS by FROM key_reset WHERE user_id = %(user)s"
            " AND (%(at)s::timestamptz IS NULL OR (reset_at, kind) < (%(at)s, %(kind)s))"
            " ORDER BY reset_at DESC, kind DESC LIMIT %(limit)s",
            {"user": user_id, "at": at, "kind": kind, "limit": page.fetch},
        ).fetchall()
    return page.page(query, rows, lambda reset: [reset.at, reset.kind])


def present_key(db: Connection[Any], user_id: UUID, kind: ResetKind) -> tuple[int, datetime | None]:
    """The number of the user's present key of that kind, and when it began unless it is the first."""
    row = db.execute(
        "SELECT key_no, reset_at FROM read.key_reset WHERE user_id = %s AND kind = %s ORDER BY key_no DESC LIMIT 1",
        (user_id, kind),
    ).fetchone()
    return row or (FIRST, None)
