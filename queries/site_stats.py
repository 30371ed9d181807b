"""What is the whole site, and what was it: members, torrents, swarms, requests, points?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from psycopg import Connection
from psycopg.rows import dict_row
from pydantic import BaseModel

from queries.levels import Asked, AskedDep, levels
from queries.stats_history import COUNTED
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, Member, NotPermitted, ReadDb
from runtime.http.types import ShownPoints
from runtime.rollup import Grain

router = APIRouter(prefix="/api/v1/site/stats", tags=["site stats"], route_class=StrictRoute)

#: Whose numbers are those of all users together.
SITE = UUID(int=0)


def looking(caller: Member) -> Caller:
    """Members; raises `NotPermitted` for who waits for confirmation."""
    if not caller.enabled:
        raise NotPermitted("your group may not see this")
    return caller


Looker = Annotated[Caller, Depends(looking)]


class SiteNumbers(BaseModel):
    """What all users did together. `members` are enabled accounts, `torrents` those that are listed; points in all
    accounts of users are what was earned minus what was spent."""

    members: int
    torrents: int
    requests_opened: int
    requests_filled: int
    bounty_spent: ShownPoints
    bonus_earned: ShownPoints
    bonus_spent: ShownPoints


class SiteStats(SiteNumbers):
    """And what the swarms are and were: clients, users who completed a torrent, bytes moved (not credited), announces
    in all."""

    seeders: int
    leechers: int
    snatches: int
    uploaded: int
    downloaded: int
    announces: int


class SitePoint(SiteNumbers):
    """The numbers at the end of the hour, day or month (UTC) that begins at `at`."""

    at: datetime


class SiteHistory(BaseModel):
    """Oldest first, without gaps. Hours are known for 15 days, days for 120, months for ever."""

    period: Grain
    items: list[SitePoint]


@router.get("", dependencies=[fresh("peers", "user_statistics")])
def get_site_stats(caller: Looker, db: ReadDb) -> SiteStats:
    """The site in numbers."""
    db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    return site_stats(db)


@router.get("/history", dependencies=[fresh("user_statistics")])
def get_site_history(caller: Looker, wanted: AskedDep, db: ReadDb) -> SiteHistory:
    """The site in numbers over time; the swarms' past is at `/tracker/history`."""
    db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    return SiteHistory(period=wanted.grain, items=site_history(db, wanted))


def site_stats(db: Connection[Any]) -> SiteStats:
    """What the site is now."""
    with db.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            "SELECT coalesce(s.seeders, 0) AS seeders, coalesce(s.leechers, 0) AS leechers, h.*"
            " FROM (SELECT least(coalesce(sum(completed), 0), 9223372036854775807)::bigint AS snatches,"
            "  least(coalesce(sum(uploaded), 0), 9223372036854775807)::bigint AS uploaded,"
            "  least(coalesce(sum(downloaded), 0), 9223372036854775807)::bigint AS downloaded,"
            "  coalesce(sum(announces), 0)::bigint AS announces FROM site_history) AS h LEFT JOIN site_swarm s ON true"
        ).fetchone()
        assert row is not None, "sums are one row"
        counted = cursor.execute("SELECT * FROM user_statistics WHERE user_id = %s", (SITE,)).fetchone()
    return SiteStats(**row, **_numbers(counted or dict.fromkeys(COUNTED.numbers, 0)))


def site_history(db: Connection[Any], wanted: Asked) -> list[SitePoint]:
    """A point for each period that is known."""
    return [SitePoint(at=at, **_numbers(numbers)) for at, numbers in levels(db, SITE, (COUNTED,), wanted)]


def _numbers(counted: dict[str, Any]) -> dict[str, int]:
    """What was done anonymously is nobody's here."""
    return {
        "members": counted["accounts"],
        "torrents": counted["uploads"] + counted["uploads_anonymous"],
        "requests_opened": counted["requests_opened"],
        "requests_filled": counted["requests_filled"] + counted["requests_filled_anonymous"],
        "bounty_spent": counted["bounty_spent"],
        "bonus_earned": counted["bonus_earned"],
        "bonus_spent": counted["bonus_spent"],
    }
