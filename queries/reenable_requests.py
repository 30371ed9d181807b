"""Who asks to be let in again?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from psycopg.rows import class_row
from pydantic import BaseModel

from domain.permissions import Permission
from queries.people import Person
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, ReadDb, Requires
from runtime.http.pages import Page, PageDep

router = APIRouter(prefix="/api/v1/reenable-requests", tags=["reenable requests"], route_class=StrictRoute)

Disabler = Annotated[Caller, Requires(Permission.USERS_DISABLE)]
State = Literal["open", "approved", "rejected"]


class ReenableRequestItem(BaseModel):
    """A user's last request; `reason` is that of a rejection."""

    user: Person
    text: str
    state: State
    filed_at: datetime
    reason: str | None
    answered_at: datetime | None
    answered_by: UUID | None


@router.get("", dependencies=[fresh("reenable_requests", "users")])
def list_reenable_requests(
    staff: Disabler, db: ReadDb, page: PageDep, state: State = "open"
) -> Page[ReenableRequestItem]:
    """Requests in that state, the oldest first."""
    query = f"reenable_requests:{state}"
    at, user_id = page.after(query) or (None, None)
    with db.cursor(row_factory=class_row(ReenableRequestItem)) as cursor:
        rows = cursor.execute(
            "SELECT jsonb_build_object('id', r.user_id, 'username', a.username) AS user, r.text, r.state, r.filed_at,"
            " r.reason, r.answered_at, r.answered_by FROM reenable_request r JOIN account a USING (user_id)"
            " WHERE r.state = %(state)s"
            " AND (%(at)s::timestamptz IS NULL OR (r.filed_at, r.user_id) > (%(at)s, %(user)s))"
            " ORDER BY r.filed_at, r.user_id LIMIT %(limit)s",
            {"state": state, "at": at, "user": user_id, "limit": page.fetch},
        ).fetchall()
    return page.page(query, rows, lambda request: [request.filed_at, request.user.id])
