"""Who failed to sign in to an account in the last thirty days, from where, and with what?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter
from psycopg import Connection
from psycopg.rows import class_row
from pydantic import BaseModel

from domain.permissions import Permission
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import AccountOwner, Caller, ReadDb, Requires
from runtime.http.pages import Page, PageDep, PageRequest
from runtime.http.types import Id
from runtime.store import NoSuchThing

router = APIRouter(prefix="/api/v1/users", tags=["users"], route_class=StrictRoute)

Inspector = Annotated[Caller, Requires(Permission.USERS_SEE_PRIVATE)]


class FailedLogin(BaseModel):
    """One try that failed, at the password or at the second factor."""

    id: Id
    at: datetime
    failure: Literal["password", "second_factor"]
    ip: str | None
    user_agent: str | None


@router.get("/me/failed-logins")
def list_own_failed_logins(caller: AccountOwner, db: ReadDb, page: PageDep) -> Page[FailedLogin]:
    """Failed tries at the caller's own account, newest first."""
    return _failed_logins(caller.user_id, db, page)


@router.get("/{user_id}/failed-logins", dependencies=[fresh("users")])
def list_failed_logins(user_id: Id, staff: Inspector, db: ReadDb, page: PageDep) -> Page[FailedLogin]:
    """Failed tries at an account, newest first; for senior staff."""
    if not db.execute("SELECT FROM account WHERE user_id = %s", (user_id,)).rowcount:
        raise NoSuchThing("no such user")
    return _failed_logins(user_id, db, page)


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
