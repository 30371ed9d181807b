"""Which warnings did a user get, which count, and whose time is over?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, LiteralString
from uuid import UUID

from fastapi import APIRouter, Depends
from psycopg import Connection
from psycopg.rows import class_row
from pydantic import BaseModel

from queries.bans import concerned
from queries.people import must_be_user
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Clock, ReadDb
from runtime.http.pages import Page, PageDep
from runtime.http.types import Id

router = APIRouter(prefix="/api/v1/users", tags=["warnings"], route_class=StrictRoute)

#: The end of the last warning that counts at `%(now)s`, of an account `a`.
WARNED_UNTIL: LiteralString = (
    "(SELECT max(w.until) FROM read.warning w WHERE w.user_id = a.user_id AND w.state = 'active' AND w.until > %(now)s)"
)


class WarningItem(BaseModel):
    """One warning; who gave and lifted it is for staff. `case_id` names the case whose decision it is, `ended_at` is
    null while it counts."""

    id: UUID
    state: Literal["active", "lifted", "expired"]
    reason: str
    case_id: UUID | None
    given_at: datetime
    given_by: UUID | None
    until: datetime
    ended_at: datetime | None
    ended_by: UUID | None
    lift_reason: str | None


@router.get("/{user_id}/warnings", dependencies=[fresh("warnings", "users")])
def list_warnings(
    user_id: Id, staff: Annotated[bool, Depends(concerned)], db: ReadDb, page: PageDep, now: Clock
) -> Page[WarningItem]:
    """A user's warnings, newest first, for staff and for the user."""
    must_be_user(db, user_id)
    query = f"warnings:{user_id}"
    after = page.after(query)
    with db.cursor(row_factory=class_row(WarningItem)) as cursor:
        rows = cursor.execute(
            "SELECT warning_id AS id, reason, case_id, given_at, until, ended_at, lift_reason,"
            # a warning whose time is over is expired, even before that is recorded
            " CASE WHEN state = 'active' AND until <= %(now)s THEN 'expired' ELSE state END AS state,"
            " CASE WHEN %(staff)s THEN given_by END AS given_by, CASE WHEN %(staff)s THEN ended_by END AS ended_by"
            " FROM warning WHERE user_id = %(user)s AND (%(after)s::uuid IS NULL OR warning_id < %(after)s)"
            " ORDER BY warning_id DESC LIMIT %(limit)s",
            {"user": user_id, "staff": staff, "now": now, "after": after[0] if after else None, "limit": page.fetch},
        ).fetchall()
    return page.page(query, rows, lambda warning: [warning.id])


def due_warnings(db: Connection[Any], now: datetime, limit: int) -> list[tuple[UUID, UUID]]:
    """Of at most `limit` users with warnings that are recorded as active although their time is over, each with one of
    those, the longest overdue first."""
    return db.execute(
        "SELECT user_id, (array_agg(warning_id ORDER BY until, warning_id))[1] FROM read.warning"
        " WHERE state = 'active' AND until <= %s GROUP BY user_id ORDER BY min(until) LIMIT %s",
        (now, limit),
    ).fetchall()
