"""The chat rooms that the caller may enter."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from psycopg.rows import class_row
from pydantic import BaseModel

from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Member, ReadDb

router = APIRouter(prefix="/api/v1/chat", tags=["chat"], route_class=StrictRoute)


class RoomItem(BaseModel):
    id: UUID
    slug: str
    name: str


class Rooms(BaseModel):
    items: list[RoomItem]
    next_cursor: None = None


@router.get("/rooms", dependencies=[fresh("chat")])
def list_rooms(caller: Member, db: ReadDb) -> Rooms:
    """The rooms for the caller's level and below."""
    with db.cursor(row_factory=class_row(RoomItem)) as cursor:
        cursor.execute(
            "SELECT room_id AS id, slug, name FROM chat_room WHERE level <= %s ORDER BY rank, slug", (caller.level,)
        )
        return Rooms(items=cursor.fetchall())
