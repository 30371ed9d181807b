"""Who asks to be let in?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from psycopg.rows import class_row
from pydantic import BaseModel

from domain.permissions import Permission
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, ReadDb, Requires
from runtime.http.pages import Page, PageDep

router = APIRouter(prefix="/api/v1/applications", tags=["invites"], route_class=StrictRoute)

Reviewer = Annotated[Caller, Requires(Permission.APPLICATIONS_REVIEW)]
State = Literal["open", "approved", "rejected"]


class ApplicationItem(BaseModel):
    """One application; `member_id` is the account that came of it, null while there is none."""

    id: UUID
    email: str
    text: str
    links: list[str]
    state: State
    filed_at: datetime
    answered_by: UUID | None
    answered_at: datetime | None
    reason: str | None
    member_id: UUID | None
    version: int


@router.get("", dependencies=[fresh("applications", "users")])
def list_applications(caller: Reviewer, db: ReadDb, page: PageDep, state: State = "open") -> Page[ApplicationItem]:
    """The applications in one state, the one that has waited longest first."""
    query = f"applications:{state}"
    after = page.after(query)
    with db.cursor(row_factory=class_row(ApplicationItem)) as cursor:
        rows = cursor.execute(
            "SELECT p.application_id AS id, p.email, p.text, p.links, p.state, p.filed_at, p.answered_by,"
            " p.answered_at, p.reason, a.user_id AS member_id, p.version"
            " FROM application p LEFT JOIN account a ON a.user_id = p.applicant_id"
            " WHERE p.state = %(state)s AND (%(after)s::uuid IS NULL OR p.application_id > %(after)s)"
            " ORDER BY p.application_id LIMIT %(limit)s",
            {"state": state, "after": after[0] if after else None, "limit": page.fetch},
        ).fetchall()
    return page.page(query, rows, lambda application: [application.id])
