"""What has this user moved, day by day?"""

from __future__ import annotations

import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from psycopg import Connection
from psycopg.rows import class_row
from pydantic import BaseModel

from domain.permissions import Permission
from domain.privacy import PrivacyKey
from queries.people import must_be_user
from queries.periods import DaysDep, Period
from queries.privacy import Guarded, Private, privacy_of, viewer_of, withheld, without
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Member, NotPermitted, ReadDb
from runtime.http.types import Id

router = APIRouter(prefix="/api/v1/users", tags=["history"], route_class=StrictRoute)


class UserDay(BaseModel):
    """One day (UTC) by the time of the announces: credited bytes, and seconds of seeding."""

    day: datetime.date
    uploaded: Annotated[int | None, Private(PrivacyKey.UPLOADED)]
    downloaded: Annotated[int | None, Private(PrivacyKey.DOWNLOADED)]
    seed_time_s: Annotated[int | None, Private(PrivacyKey.SEEDING)]


class UserHistory(Guarded):
    """Oldest first; days on which nothing was moved or seeded are left out, and those that are kept as months only."""

    items: list[UserDay]


@router.get("/{user_id}/history", dependencies=[fresh("peers", "users", "privacy")])
def get_user_history(user_id: Id, caller: Member, period: DaysDep, db: ReadDb) -> UserHistory:
    """The user's past. For the user and for staff."""
    if user_id != caller.user_id and not caller.can(Permission.USERS_SEE_PRIVATE):
        raise NotPermitted("your group may not see this")
    must_be_user(db, user_id)
    answers = withheld(UserDay, viewer_of(caller, user_id), privacy_of(db, [user_id])[user_id])
    items = [without(day, answers) for day in user_history(db, user_id, period)]
    return UserHistory(items=items, privacy=answers)


def user_history(db: Connection[Any], user_id: UUID, period: Period) -> list[UserDay]:
    """The days of the period that the user has."""
    with db.cursor(row_factory=class_row(UserDay)) as cursor:
        return cursor.execute(
            "SELECT (at AT TIME ZONE 'UTC')::date AS day, sum(seed_time_s)::bigint AS seed_time_s,"
            " least(sum(uploaded), 9223372036854775807)::bigint AS uploaded,"
            " least(sum(downloaded), 9223372036854775807)::bigint AS downloaded"
            " FROM user_history WHERE user_id = %s AND grain <> 'month' AND at >= %s AND at < %s GROUP BY day"
            " HAVING sum(uploaded) > 0 OR sum(downloaded) > 0 OR sum(seed_time_s) > 0 ORDER BY day",
            (user_id, period.start, period.end),
        ).fetchall()
