"""Which accounts do staff take for one person's, who said so and why?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from psycopg.rows import dict_row
from pydantic import BaseModel

from domain.permissions import Permission
from queries.people import Person, must_be_user, people
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, ReadDb, Requires
from runtime.http.types import Id

router = APIRouter(prefix="/api/v1/users", tags=["staff tools"], route_class=StrictRoute)

Linker = Annotated[Caller, Requires(Permission.USERS_SEE_PRIVATE)]


class LinkedAccount(BaseModel):
    """One account of the group, and why it is in it."""

    user: Person
    reason: str
    linked_by: Person
    linked_at: datetime


class LinkedAccounts(BaseModel):
    """All accounts of the group, the asked one too, in the order in which they were linked; none when there is none."""

    id: UUID | None
    items: list[LinkedAccount]


@router.get("/{user_id}/linked-accounts", dependencies=[fresh("linked_accounts", "users")])
def list_linked_accounts(user_id: Id, staff: Linker, db: ReadDb) -> LinkedAccounts:
    """The accounts that belong to the same person as this one."""
    must_be_user(db, user_id)
    with db.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "SELECT l.user_id, l.group_id, l.reason, l.linked_by, l.linked_at FROM linked_account l"
            " JOIN linked_account asked USING (group_id) WHERE asked.user_id = %s ORDER BY l.position, l.user_id",
            (user_id,),
        ).fetchall()
    known = people(db, [one for row in rows for one in (row["user_id"], row["linked_by"])])
    items = [
        LinkedAccount(
            user=known[row["user_id"]],
            reason=row["reason"],
            linked_by=known[row["linked_by"]],
            linked_at=row["linked_at"],
        )
        for row in rows
    ]
    return LinkedAccounts(id=rows[0]["group_id"] if rows else None, items=items)
