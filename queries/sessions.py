"""Where am I signed in, since when, with what, and when did I last use it?"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from psycopg.rows import dict_row
from pydantic import BaseModel

from domain.sessions import device_of
from runtime.http.body import StrictRoute
from runtime.http.deps import AccountOwner, Clock, CredentialsDb
from runtime.http.pages import Page, PageDep
from runtime.http.types import Id

router = APIRouter(prefix="/api/v1/users/me/sessions", tags=["users"], route_class=StrictRoute)


class SessionItem(BaseModel):
    """One sign-in. `device` is what its program calls itself; `ip` and `user_agent` are those of the sign-in, and are
    forgotten after a while. `last_used_at` is exact to a minute."""

    id: Id
    device: str
    started_at: datetime
    last_used_at: datetime
    expires_at: datetime
    current: bool
    ip: str | None
    user_agent: str | None


@router.get("")
def list_own_sessions(caller: AccountOwner, db: CredentialsDb, page: PageDep, now: Clock) -> Page[SessionItem]:
    """Where the caller is signed in, newest first."""
    after = page.after("sessions")
    with db.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "SELECT s.session_id AS id, s.started_at, coalesce(s.last_used_at, s.started_at) AS last_used_at,"
            " s.expires_at, s.session_id = %(current)s AS current,"
            " host(c.ip) AS ip, c.user_agent FROM credentials.session s"
            " LEFT JOIN es.command_context c USING (command_id)"
            " WHERE s.user_id = %(user)s AND s.revoked_at IS NULL AND s.expires_at > %(now)s"
            " AND (%(after)s::uuid IS NULL OR s.session_id < %(after)s) ORDER BY s.session_id DESC LIMIT %(limit)s",
            {
                "current": caller.session_id,
                "user": caller.user_id,
                "now": now,
                "after": after[0] if after else None,
                "limit": page.fetch,
            },
        ).fetchall()
    return page.page("sessions", [_item(row) for row in rows], lambda session: [session.id])


def _item(row: dict[str, Any]) -> SessionItem:
    return SessionItem(device=device_of(row["user_agent"]), **row)
