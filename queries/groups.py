"""Which groups are there, and what may their members do?"""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from psycopg.rows import class_row
from pydantic import BaseModel

from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Member, ReadDb
from runtime.http.pages import Page

router = APIRouter(prefix="/api/v1/groups", tags=["groups"], route_class=StrictRoute)


class GroupItem(BaseModel):
    """One rung of the ladder; `download_slots` is null without a limit, `version` is for If-Match."""

    id: UUID
    slug: str
    name: str
    level: int
    permissions: list[str]
    download_slots: int | None
    version: int


@router.get("", dependencies=[fresh("groups")])
def list_groups(caller: Member, db: ReadDb) -> Page[GroupItem]:
    """Every group, lowest level first."""
    with db.cursor(row_factory=class_row(GroupItem)) as cursor:
        rows = cursor.execute(
            "SELECT group_id AS id, slug, name, level, permissions, download_slots, version FROM user_group"
            " ORDER BY level, slug"
        ).fetchall()
    return Page(items=rows)
