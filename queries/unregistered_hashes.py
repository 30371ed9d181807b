"""Who asks the edges for torrents that are none?"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from psycopg.rows import kwargs_row
from pydantic import BaseModel

from domain.permissions import Permission
from queries.people import Person
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, Clock, ReadDb, Requires
from runtime.http.pages import Page, PageDep
from runtime.http.types import Id

router = APIRouter(prefix="/api/v1/tracker/unregistered-hashes", tags=["tracker"], route_class=StrictRoute)

Manager = Annotated[Caller, Requires(Permission.TRACKER_MANAGE)]

#: The edges forget older ones; an edge that stands still does not make them visible.
SHOWN_FOR = timedelta(days=30)


class UnregisteredHash(BaseModel):
    """One info-hash that a user's clients announced `announces` times though no torrent has it (20 bytes in hex)."""

    user: Person
    info_hash: str
    announces: int
    first_at: datetime
    last_at: datetime


@router.get("")
def list_unregistered_hashes(
    staff: Manager,
    db: ReadDb,
    page: PageDep,
    now: Clock,
    user: Annotated[Id | None, Query(description="of this user only")] = None,
) -> Page[UnregisteredHash]:
    """The last 30 days, most recently announced first. An operational record of the edges, seconds behind them."""
    query = f"unregistered_hashes:{user}"
    after: list[Any] = page.after(query) or [None, None, None]
    with db.cursor(row_factory=kwargs_row(_shown)) as cursor:
        rows = cursor.execute(
            "SELECT h.user_id, a.username, encode(h.info_hash, 'hex') AS info_hash, h.announces, h.first_at, h.last_at"
            " FROM journal.unregistered_hash h LEFT JOIN account a USING (user_id)"
            " WHERE h.last_at > %(since)s AND (%(user)s::uuid IS NULL OR h.user_id = %(user)s)"
            " AND (%(at)s::timestamptz IS NULL"
            "  OR (h.last_at, h.user_id, h.info_hash) < (%(at)s, %(after)s::uuid, decode(%(hash)s, 'hex')))"
            " ORDER BY h.last_at DESC, h.user_id DESC, h.info_hash DESC LIMIT %(limit)s",
            {
                **dict(zip(("at", "after", "hash"), after, strict=True)),
                "since": now - SHOWN_FOR,
                "user": user,
                "limit": page.fetch,
            },
        ).fetchall()
    return page.page(query, rows, lambda row: [row.last_at, row.user.id, row.info_hash])


def _shown(*, user_id: UUID, username: str | None, **fields: Any) -> UnregisteredHash:
    return UnregisteredHash(user=Person(id=user_id, username=username), **fields)
