"""How large was a torrent's swarm, and what was moved in it, hour by hour?"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from psycopg import Connection
from psycopg.rows import class_row
from pydantic import BaseModel

from queries.periods import Period, PeriodDep, Step
from queries.torrents import VISIBLE, Browser, viewer
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import ReadDb
from runtime.http.types import Id
from runtime.store import NoSuchThing

router = APIRouter(prefix="/api/v1/torrents", tags=["history"], route_class=StrictRoute)


class SwarmPoint(BaseModel):
    """One hour or day from `at` on, by the time of the announces: the largest swarm after any of them, bytes moved
    (not credited), and users who completed the torrent."""

    at: datetime
    seeders: int
    leechers: int
    completed: int
    uploaded: int
    downloaded: int


class TorrentHistory(BaseModel):
    """Oldest first; hours and days without an announce are left out."""

    step: Step
    items: list[SwarmPoint]


@router.get("/{torrent_id}/history", dependencies=[fresh("peers", "torrents")])
def get_torrent_history(torrent_id: Id, caller: Browser, period: PeriodDep, db: ReadDb) -> TorrentHistory:
    """The torrent's past, in hours or days (UTC)."""
    visible = db.execute(
        f"SELECT FROM torrent t WHERE t.torrent_id = %(id)s AND {VISIBLE}", {**viewer(caller), "id": torrent_id}
    )
    if not visible.rowcount:
        raise NoSuchThing("no such torrent")
    return TorrentHistory(step=period.step, items=torrent_history(db, torrent_id, period))


def torrent_history(db: Connection[Any], torrent_id: UUID, period: Period) -> list[SwarmPoint]:
    """The points of the period that the torrent has."""
    with db.cursor(row_factory=class_row(SwarmPoint)) as cursor:
        return cursor.execute(
            "SELECT date_trunc(%s, hour, 'UTC') AS at, max(seeders) AS seeders, max(leechers) AS leechers,"
            " least(sum(completed), 9223372036854775807)::bigint AS completed,"
            " least(sum(uploaded), 9223372036854775807)::bigint AS uploaded,"
            " least(sum(downloaded), 9223372036854775807)::bigint AS downloaded"
            " FROM torrent_history WHERE torrent_id = %s AND hour >= %s AND hour < %s GROUP BY 1 ORDER BY 1",
            (period.step, torrent_id, period.start, period.end),
        ).fetchall()
