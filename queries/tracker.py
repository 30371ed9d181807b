"""How busy is the tracker, and which announces were not believed?"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from psycopg import Connection
from psycopg.rows import class_row, kwargs_row
from pydantic import BaseModel

from domain import credit
from domain.permissions import Permission
from queries.people import Person
from queries.periods import Period, PeriodDep, Step
from queries.torrent_history import SwarmPoint
from queries.torrents import Browser
from queries.user_stats import TransferShown
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, ReadDb, Requires
from runtime.http.pages import Page, PageDep
from runtime.http.types import Id

router = APIRouter(prefix="/api/v1/tracker", tags=["tracker"], route_class=StrictRoute)

Inspector = Annotated[Caller, Requires(Permission.USERS_SEE_PRIVATE)]


class AnomalyKind(StrEnum):
    """Why an announce was credited less than it says, or looks wrong."""

    COUNTER_FELL = credit.COUNTER_FELL
    IMPLAUSIBLE_RATE = credit.IMPLAUSIBLE_RATE
    COMPLETED_WITH_BYTES_LEFT = credit.COMPLETED_WITH_BYTES_LEFT
    COMPLETED_UNSTARTED = credit.COMPLETED_UNSTARTED
    OUT_OF_ORDER = credit.OUT_OF_ORDER


class TrackerPoint(SwarmPoint):
    """The same of all torrents together, and how many announces there were."""

    announces: int


class TrackerHistory(BaseModel):
    """Oldest first; hours and days without an announce are left out."""

    step: Step
    items: list[TrackerPoint]


class Anomaly(TransferShown):
    """One announce that was not believed, whose it is, and what it would have changed."""

    user: Person


@router.get("/history", dependencies=[fresh("peers")])
def get_tracker_history(caller: Browser, period: PeriodDep, db: ReadDb) -> TrackerHistory:
    """The past of all swarms, in hours or days (UTC)."""
    return TrackerHistory(step=period.step, items=tracker_history(db, period))


@router.get("/anomalies", dependencies=[fresh("peers", "users", "torrents")])
def list_anomalies(
    caller: Inspector,
    page: PageDep,
    db: ReadDb,
    user: Annotated[Id | None, Query()] = None,
    kind: Annotated[AnomalyKind | None, Query()] = None,
) -> Page[Anomaly]:
    """Announces that were not believed, newest first. For staff."""
    query = f"anomalies:{user}:{kind}"
    rows = anomalies(db, user, kind, page.after(query), page.fetch)
    return page.page(query, rows, lambda row: [row.position, row.seq, row.n])


def tracker_history(db: Connection[Any], period: Period) -> list[TrackerPoint]:
    """The points of the period that there are."""
    with db.cursor(row_factory=class_row(TrackerPoint)) as cursor:
        return cursor.execute(
            "SELECT date_trunc(%s, hour, 'UTC') AS at, max(seeders) AS seeders, max(leechers) AS leechers,"
            " least(sum(completed), 9223372036854775807)::bigint AS completed,"
            " least(sum(uploaded), 9223372036854775807)::bigint AS uploaded,"
            " least(sum(downloaded), 9223372036854775807)::bigint AS downloaded,"
            " least(sum(announces), 9223372036854775807)::bigint AS announces"
            " FROM site_history WHERE hour >= %s AND hour < %s GROUP BY 1 ORDER BY 1",
            (period.step, period.start, period.end),
        ).fetchall()


def anomalies(
    db: Connection[Any], user_id: UUID | None, kind: str | None, before: list[Any] | None, limit: int
) -> list[Anomaly]:
    """At most `limit` of them, newest first, before that (position, seq, n)."""
    position, seq, n = before or (2**63 - 1, 0, 0)
    with db.cursor(row_factory=kwargs_row(_anomaly)) as cursor:
        return cursor.execute(
            "SELECT x.user_id, a.username, x.at, x.torrent_id, t.name AS torrent_name, x.client_uploaded,"
            " x.client_downloaded, x.baseline_uploaded, x.baseline_downloaded, x.raw_uploaded, x.raw_downloaded,"
            " x.upload_percent, x.download_percent, x.uploaded, x.downloaded, x.seed_time_s, x.anomaly, x.edge_id,"
            " x.seq, x.n, x.position"
            " FROM transfer x LEFT JOIN torrent t USING (torrent_id) LEFT JOIN account a USING (user_id)"
            " WHERE x.anomaly IS NOT NULL AND (%(kind)s::text IS NULL OR x.anomaly = %(kind)s)"
            " AND (%(user)s::uuid IS NULL OR x.user_id = %(user)s)"
            " AND (x.position, x.seq, x.n) < (%(position)s, %(seq)s, %(n)s)"
            " ORDER BY x.position DESC, x.seq DESC, x.n DESC LIMIT %(limit)s",
            {"kind": kind, "user": user_id, "position": position, "seq": seq, "n": n, "limit": limit},
            prepare=False,  # a plan for these values: with a user another index is the right one
        ).fetchall()


def _anomaly(*, user_id: UUID, username: str | None, **columns: Any) -> Anomaly:
    return Anomaly(user=Person(id=user_id, username=username), **columns)
