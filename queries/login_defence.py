"""Who failed to sign in to the caller's account in the last thirty days, from where, and with what?

What staff see of this they see by a command with a reason: `commands/looks.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter
from psycopg import Connection
from psycopg.rows import class_row
from pydantic import BaseModel

from runtime.http.body import StrictRoute
from runtime.http.deps import AccountOwner, CredentialsDb
from runtime.http.pages import Page, PageDep, PageRequest
from runtime.http.types import Id

router = APIRouter(prefix="/api/v1/users", tags=["users"], route_class=StrictRoute)


class FailedLogin(BaseModel):
    """One try that failed, at the password or at the second factor."""

    id: Id
    at: datetime
    failure: Literal["password", "second_factor"]
    ip: str | None
    user_agent: str | None


@router.get("/me/failed-logins")
def list_own_failed_logins(caller: AccountOwner, db: CredentialsDb, page: PageDep) -> Page[FailedLogin]:
    """Failed tries at the caller's own account, newest first."""
    return _failed_logins(caller.user_id, db, page)


def _failed_logins(user_id: UUID, db: Connection[Any], page: PageRequest) -> Page[FailedLogin]:
    query = f"failed_logins:{user_id}"
    after = page.after(query)
    with db.cursor(row_factory=class_row(FailedLogin)) as cursor:
        rows = cursor.execute(
            "SELECT guess_id AS id, at, failure, host(ip) AS ip, user_agent FROM credentials.guess"
            " WHERE user_id = %(user)s AND failure IS NOT NULL"
            " AND (%(after)s::uuid IS NULL OR guess_id < %(after)s) ORDER BY guess_id DESC LIMIT %(limit)s",
            {"user": user_id, "after": after[0] if after else None, "limit": page.fetch},
        ).fetchall()
    return page.page(query, rows, lambda failed: [failed.id])
