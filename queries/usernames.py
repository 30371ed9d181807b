"""Which names are banned, and which had a user before?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from psycopg.rows import class_row
from pydantic import BaseModel

from domain.permissions import Permission
from queries.people import must_be_user
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, ReadDb, Requires
from runtime.http.pages import Page, PageDep
from runtime.http.types import Id

router = APIRouter(prefix="/api/v1", tags=["users"], route_class=StrictRoute)

Manager = Annotated[Caller, Requires(Permission.USERNAMES_MANAGE)]
Private = Annotated[Caller, Requires(Permission.USERS_SEE_PRIVATE)]


class BannedName(BaseModel):
    """Nobody may take a name that the pattern fits; `*` stands for any signs."""

    pattern: str
    reason: str
    banned_by: UUID
    banned_at: datetime


class FormerUsername(BaseModel):
    """A name that the user had, until when, and who took it away."""

    username: str
    until: datetime
    renamed_by: UUID
    reason: str
    version: int


@router.get("/usernames/banned", dependencies=[fresh("usernames")])
def list_banned_names(caller: Manager, db: ReadDb, page: PageDep) -> Page[BannedName]:
    """The banned patterns in alphabetical order."""
    after = page.after("banned-names")
    with db.cursor(row_factory=class_row(BannedName)) as cursor:
        rows = cursor.execute(
            "SELECT pattern, reason, banned_by, banned_at FROM banned_name"
            " WHERE %(after)s::text IS NULL OR pattern > %(after)s ORDER BY pattern LIMIT %(limit)s",
            {"after": after[0] if after else None, "limit": page.fetch},
        ).fetchall()
    return page.page("banned-names", rows, lambda name: [name.pattern])


@router.get("/users/{user_id}/usernames", dependencies=[fresh("users")])
def list_former_usernames(user_id: Id, caller: Private, db: ReadDb, page: PageDep) -> Page[FormerUsername]:
    """The names that a user had before, the latest first; for staff."""
    must_be_user(db, user_id)
    query = f"former-usernames:{user_id}"
    after = page.after(query)
    with db.cursor(row_factory=class_row(FormerUsername)) as cursor:
        rows = cursor.execute(
            "SELECT username, until, renamed_by, reason, version FROM former_username WHERE user_id = %(user)s"
            " AND (%(after)s::int IS NULL OR version < %(after)s) ORDER BY version DESC LIMIT %(limit)s",
            {"user": user_id, "after": after[0] if after else None, "limit": page.fetch},
        ).fetchall()
    return page.page(query, rows, lambda name: [name.version])
