"""Which addresses did a user ask for, and which changes of an address are for good by now?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter
from psycopg import Connection
from psycopg.rows import class_row
from pydantic import BaseModel

from domain.emails import UNDO_WITHIN
from domain.looks import LookAt
from domain.permissions import Permission
from queries.looks import looked
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, ReadDb, Requires
from runtime.http.pages import Page, PageDep
from runtime.http.types import Id

router = APIRouter(prefix="/api/v1/users", tags=["users"], route_class=StrictRoute)

Private = Annotated[Caller, Requires(Permission.USERS_SEE_PRIVATE)]


class EmailChangeItem(BaseModel):
    """An address that the user asked for. It was or is the account's when `confirmed_at` is there; a change that can no
    longer be undone from the former address is `settled`."""

    id: UUID
    email: str
    former_email: str
    state: Literal["asked", "cancelled", "confirmed", "undone", "settled"]
    asked_at: datetime
    confirmed_at: datetime | None
    ended_at: datetime | None


@router.get("/{user_id}/emails", dependencies=[fresh("emails")])
def list_email_changes(
    user_id: Id, caller: Private, look: Annotated[None, looked(LookAt.EMAIL)], db: ReadDb, page: PageDep
) -> Page[EmailChangeItem]:
    """The changes of a user's address, the latest first; for staff who said why in `/users/{id}/email/looks`."""
    query = f"emails:{user_id}"
    after = page.after(query)
    with db.cursor(row_factory=class_row(EmailChangeItem)) as cursor:
        rows = cursor.execute(
            "SELECT change_id AS id, email, former_email, state, asked_at, confirmed_at, ended_at FROM email_change"
            " WHERE user_id = %(user)s AND (%(after)s::uuid IS NULL OR change_id < %(after)s)"
            " ORDER BY change_id DESC LIMIT %(limit)s",
            {"user": user_id, "after": after[0] if after else None, "limit": page.fetch},
        ).fetchall()
    return page.page(query, rows, lambda change: [change.id])


def settling_changes(db: Connection[Any], now: datetime, limit: int) -> list[UUID]:
    """At most `limit` changes that can no longer be undone, the oldest first."""
    rows = db.execute(
        "SELECT change_id FROM read.email_change WHERE state = 'confirmed' AND confirmed_at <= %s"
        " ORDER BY confirmed_at LIMIT %s",
        (now - UNDO_WITHIN, limit),
    )
    return [row[0] for row in rows.fetchall()]
