"""Freeleech tokens: staff grant them, users spend them on torrents."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from commands.torrents import visible_torrent
from domain.freeleech_tokens import FreeleechTokens, tokens_id
from domain.permissions import Permission
from domain.users import User
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Clock, Requires, StoreDep
from runtime.http.types import Command, Id
from runtime.store import Receipt, Store

router = APIRouter(prefix="/api/v1", tags=["torrents"], route_class=CommandRoute)

Granter = Annotated[Caller, Requires(Permission.BONUS_GRANT)]
Leecher = Annotated[Caller, Requires(Permission.LEECH)]

#: Most tokens of one grant: 512 TiB worth of torrents.
TOKENS_MAX = 1_000_000


class GrantTokens(Command):
    tokens: int = Field(ge=1, le=TOKENS_MAX)
    reason: str = Field(min_length=1, max_length=1000)


class TokensGranted(Receipt):
    """What the user has now."""

    balance: int


class TokensSpent(Receipt):
    """What the torrent cost, until when it is free for the caller, and what the caller has left."""

    tokens: int
    until: datetime
    balance: int


@router.post("/users/{user_id}/freeleech-tokens/grants", status_code=201)
def grant_tokens(user_id: Id, command: GrantTokens, staff: Granter, store: StoreDep) -> TokensGranted:
    """Give a user tokens, for a reason."""
    account = _account(store, store.get(User, user_id).id)
    account.grant(command.tokens, command.reason)
    return store.save(account, answer=TokensGranted, balance=account.balance)


@router.post("/torrents/{torrent_id}/freeleech-token", status_code=201)
def spend_tokens(torrent_id: Id, caller: Leecher, store: StoreDep, now: Clock) -> TokensSpent:
    """Download a torrent for 30 days without being charged: one token for each begun 512 MiB of it."""
    account = _account(store, caller.user_id)
    before = account.balance
    account.spend(visible_torrent(torrent_id, caller, store), now=now)
    return store.save(
        account,
        answer=TokensSpent,
        tokens=before - account.balance,
        until=account.spent_until[torrent_id],
        balance=account.balance,
    )


def _account(store: Store, user_id: UUID) -> FreeleechTokens:
    """The user's tokens; a new account where there was none."""
    return store.find(FreeleechTokens, tokens_id(user_id)) or FreeleechTokens.open(user_id)
