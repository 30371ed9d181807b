"""How many freeleech tokens has the caller, and what does the caller download free of charge?"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from psycopg.rows import class_row
from pydantic import BaseModel

from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Clock, Member, ReadDb

router = APIRouter(prefix="/api/v1/users", tags=["users"], route_class=StrictRoute)


class ActiveToken(BaseModel):
    """A torrent that is free for the caller until then, and the tokens that it cost."""

    torrent_id: UUID
    tokens: int
    spent_at: datetime
    until: datetime


class OwnTokens(BaseModel):
    """Tokens left and in use. Until `free_until` nothing at all is charged: the caller's personal freeleech."""

    balance: int
    free_until: datetime | None
    active: list[ActiveToken]


@router.get("/me/freeleech-tokens", dependencies=[fresh("freeleech_tokens", "users")])
def get_own_tokens(caller: Member, db: ReadDb, now: Clock) -> OwnTokens:
    """The caller's freeleech tokens; those in use, newest first."""
    found = db.execute(
        "SELECT coalesce(t.balance, 0), CASE WHEN a.free_until > %s THEN a.free_until END"
        " FROM read.account a LEFT JOIN read.freeleech_tokens t USING (user_id) WHERE a.user_id = %s",
        (now, caller.user_id),
    ).fetchone()
    assert found is not None, "a caller has an account"
    with db.cursor(row_factory=class_row(ActiveToken)) as cursor:
        active = cursor.execute(
            "SELECT torrent_id, tokens, spent_at, until FROM read.token_spent"
            " WHERE user_id = %s AND until > %s ORDER BY position DESC",
            (caller.user_id, now),
        ).fetchall()
    return OwnTokens(balance=found[0], free_until=found[1], active=active)
