"""Which bans did a user get, which hold, and whose time is over?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends
from psycopg import Connection
from psycopg.rows import class_row
from pydantic import BaseModel

from domain.bans import BanKind
from domain.permissions import Permission
from queries.people import must_be_user
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Clock, Member, NotPermitted, ReadDb
from runtime.http.pages import Page, PageDep
from runtime.http.types import Id

router = APIRouter(prefix="/api/v1/users", tags=["bans"], route_class=StrictRoute)


class BanItem(BaseModel):
    """One ban; who imposed and lifted it is for staff. `until` is null for good, `ended_at` while it holds."""

    id: UUID
    kind: BanKind
    state: Literal["active", "lifted", "expired"]
    reason: str
    imposed_at: datetime
    imposed_by: UUID | None
    until: datetime | None
    ended_at: datetime | None
    ended_by: UUID | None
    lift_reason: str | None
    version: int


def concerned(user_id: Id, caller: Member) -> bool:
    """Whether the caller is staff; raises `NotPermitted` unless it is that or the user itself."""
    staff = caller.can(Permission.MODERATION)
    if not (staff or user_id == caller.user_id):
        raise NotPermitted("your group may not see this")
    return staff


@router.get("/{user_id}/bans", dependencies=[fresh("bans", "users")])
def list_bans(
    user_id: Id, staff: Annotated[bool, Depends(concerned)], db: ReadDb, page: PageDep, now: Clock
) -> Page[BanItem]:
    """A user's bans, newest first, for staff and for the user."""
    must_be_user(db, user_id)
    query = f"bans:{user_id}"
    after = page.after(query)
    with db.cursor(row_factory=class_row(BanItem)) as cursor:
        rows = cursor.execute(
            "SELECT ban_id AS id, kind, reason, imposed_at, until, ended_at, lift_reason, version,"
            # a ban whose time is over is expired, even in the second before that is recorded
            " CASE WHEN state = 'active' AND until <= %(now)s THEN 'expired' ELSE state END AS state,"
            " CASE WHEN %(staff)s THEN imposed_by END AS imposed_by, CASE WHEN %(staff)s THEN ended_by END AS ended_by"
            " FROM ban WHERE user_id = %(user)s AND (%(after)s::uuid IS NULL OR ban_id < %(after)s)"
            " ORDER BY ban_id DESC LIMIT %(limit)s",
            {"user": user_id, "staff": staff, "now": now, "after": after[0] if after else None, "limit": page.fetch},
        ).fetchall()
    return page.page(query, rows, lambda ban: [ban.id])


def due_bans(db: Connection[Any], now: datetime, limit: int) -> list[UUID]:
    """At most `limit` bans that are recorded as active although their time is over, the longest overdue first."""
    rows = db.execute(
        "SELECT ban_id FROM read.ban WHERE state = 'active' AND until <= %s ORDER BY until LIMIT %s", (now, limit)
    )
    return [row[0] for row in rows.fetchall()]
