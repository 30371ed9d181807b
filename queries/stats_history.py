"""What did a user's numbers say at the end of each hour, day or month?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from psycopg import Connection
from pydantic import BaseModel

from domain.permissions import Permission
from domain.privacy import PrivacyKey
from domain.statistics import Count
from queries.levels import Asked, AskedDep, Changes, levels
from queries.privacy import Guarded, Private, privacy_of, viewer_of, withheld, without
from queries.user_stats import Downloaded, Seeding, SeedingPoints, Uploaded
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Member, NotPermitted, ReadDb
from runtime.http.types import Id
from runtime.rollup import Grain
from runtime.store import NoSuchThing

router = APIRouter(prefix="/api/v1/users", tags=["history"], route_class=StrictRoute)

MOVED = Changes(
    "user_history",
    "user_stats",
    ("uploaded", "downloaded", "seed_time_s", "seeding", "leeching", "seed_size", "snatched", "torrents"),
)
COUNTED = Changes("statistics_history", "user_statistics", tuple(map(str, Count)))


class StatsPoint(BaseModel):
    """The numbers at the end of the hour, day or month (UTC) that begins at `at`, or now if that is not over. By the
    time of the announces and commands that changed them."""

    at: datetime
    uploaded: Uploaded
    downloaded: Downloaded
    seed_time_s: Seeding
    seeding: Seeding
    leeching: Annotated[int | None, Private(PrivacyKey.LEECHING)]
    seed_size: Seeding
    snatched: Annotated[int | None, Private(PrivacyKey.SNATCHED)]
    uploads: Annotated[int | None, Private(PrivacyKey.UPLOADS)]
    uploads_anonymous: int
    requests_filled: int
    requests_filled_anonymous: int
    bonus_points: SeedingPoints


class StatsHistory(Guarded):
    """Oldest first, without gaps. Hours are known for 15 days, days for 120, months for ever."""

    period: Grain
    items: list[StatsPoint]


@router.get("/{user_id}/stats/history", dependencies=[fresh("peers", "user_statistics", "users", "privacy")])
def get_stats_history(user_id: Id, caller: Member, wanted: AskedDep, db: ReadDb) -> StatsHistory:
    """The user's numbers over time. For the user and for staff."""
    # One look at all tables: a fact that is projected meanwhile would be in one of them only.
    db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    if user_id != caller.user_id and not caller.can(Permission.USERS_SEE_PRIVATE):
        raise NotPermitted("your group may not see this")
    if not db.execute("SELECT FROM account WHERE user_id = %s", (user_id,)).rowcount:
        raise NoSuchThing("no such user")
    answers = withheld(StatsPoint, viewer_of(caller, user_id), privacy_of(db, [user_id])[user_id])
    items = [without(point, answers) for point in stats_history(db, user_id, wanted)]
    return StatsHistory(period=wanted.grain, items=items, privacy=answers)


def stats_history(db: Connection[Any], user_id: UUID, wanted: Asked) -> list[StatsPoint]:
    """A point for each period that is known."""
    return [
        StatsPoint(at=at, bonus_points=numbers["bonus_earned"] - numbers["bonus_spent"], **_shown(numbers))
        for at, numbers in levels(db, user_id, (MOVED, COUNTED), wanted)
    ]


def _shown(numbers: dict[str, int]) -> dict[str, int]:
    return {name: value for name, value in numbers.items() if name in StatsPoint.model_fields}
