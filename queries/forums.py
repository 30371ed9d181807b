"""The boards that the caller may read."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from psycopg.rows import class_row
from pydantic import BaseModel

from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Member, ReadDb

router = APIRouter(prefix="/api/v1/forums", tags=["forums"], route_class=StrictRoute)


class ForumItem(BaseModel):
    """`can_write` is about the caller."""

    id: UUID
    slug: str
    name: str
    description: str
    can_write: bool


class Forums(BaseModel):
    items: list[ForumItem]
    next_cursor: None = None


@router.get("", dependencies=[fresh("forums")])
def list_forums(caller: Member, db: ReadDb) -> Forums:
    """The boards for the caller's level and below."""
    with db.cursor(row_factory=class_row(ForumItem)) as cursor:
        cursor.execute(
            "SELECT forum_id AS id, slug, name, description, write_level <= %(level)s AS can_write FROM forum"
            " WHERE read_level <= %(level)s ORDER BY rank, slug",
            {"level": caller.level},
        )
        return Forums(items=cursor.fetchall())
