"""How does this user compare with everybody else?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, LiteralString, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from psycopg import Connection
from psycopg.rows import dict_row

from domain.privacy import PrivacyKey
from domain.ranks import STEPS, Dimension, overall, percentile
from queries.privacy import Guarded, Private, privacy_of, viewer_of
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Clock, Member, NotPermitted, ReadDb
from runtime.http.types import Id
from runtime.store import NoSuchThing

router = APIRouter(prefix="/api/v1/users", tags=["user stats"], route_class=StrictRoute)

#: How long a look at everybody's numbers serves.
SEEN_FOR = timedelta(minutes=1)
#: The numbers that are ranked, of `n` in user_statistics and `s` in user_stats. What was done anonymously is not: the
#: rank would tell of it. Nothing is counted yet in the other dimensions.
_VALUES: dict[Dimension, LiteralString] = {
    Dimension.UPLOADED: "coalesce(s.uploaded, 0)",
    Dimension.DOWNLOADED: "coalesce(s.downloaded, 0)",
    Dimension.UPLOADS: "n.uploads",
    Dimension.REQUESTS_FILLED: "n.requests_filled",
    Dimension.BOUNTY_SPENT: "n.bounty_spent",
    Dimension.BONUS_SPENT: "n.bonus_spent",
}


class UserRanks(Guarded):
    """Percentiles: 0 for nothing, 100 for the most; null in dimensions in which nobody has anything.

    `overall` is made of the others that are shown, weighted, and of the ratio where it is below 1: it is null while the
    ratio is hidden.
    """

    id: UUID
    uploaded: Annotated[int | None, Private(PrivacyKey.UPLOADED)]
    downloaded: Annotated[int | None, Private(PrivacyKey.DOWNLOADED)]
    uploads: Annotated[int | None, Private(PrivacyKey.UPLOADS)]
    requests_filled: int | None
    posts: int | None = None
    bounty_spent: int | None
    artists_added: Annotated[int | None, Private(PrivacyKey.ARTISTS_ADDED)] = None
    collection_entries: Annotated[int | None, Private(PrivacyKey.COLLAGE_CONTRIBS)] = None
    tag_votes: int | None = None
    bonus_spent: Annotated[int | None, Private(PrivacyKey.SEEDING)]
    torrent_comments: Annotated[int | None, Private(PrivacyKey.TORRENT_COMMENTS)] = None
    overall: Annotated[int | None, Private(PrivacyKey.RATIO)] = None


class Ranked(NamedTuple):
    """All of a user's ranks, and the bytes whose ratio weighs them."""

    ranks: dict[Dimension, int | None]
    uploaded: int
    downloaded: int


class Spread(NamedTuple):
    """How everybody's numbers are spread: 100 steps for each dimension in which anybody has anything."""

    seen_at: datetime
    steps: dict[Dimension, list[int]]


def spread(request: Request, db: ReadDb, now: Clock) -> Spread:
    """The spread as this process last looked at it, at most `SEEN_FOR` ago: it takes a pass over all users."""
    state = request.app.state
    seen: Spread | None = getattr(state, "spread_of_numbers", None)
    if seen is None or not timedelta(0) <= now - seen.seen_at < SEEN_FOR:
        seen = state.spread_of_numbers = Spread(now, spread_steps(db))
    return seen


@router.get("/{user_id}/ranks", dependencies=[fresh("peers", "users", "user_statistics", "privacy")])
def get_user_ranks(user_id: Id, caller: Member, db: ReadDb, everybody: Annotated[Spread, Depends(spread)]) -> UserRanks:
    """The user's place among all enabled accounts, as these were within a minute; null is what the user hides."""
    if user_id != caller.user_id and not caller.enabled:
        raise NotPermitted("your group may not see this")
    found = ranked(db, user_id, everybody.steps)
    if found is None:
        raise NoSuchThing("no such user")
    ranks = UserRanks.model_validate({"id": user_id, **found.ranks})
    shown = ranks.seen_by(viewer_of(caller, user_id), privacy_of(db, [user_id])[user_id])
    if shown.privacy.get("overall") == "hidden":
        return shown
    visible = {dimension: getattr(shown, dimension) for dimension in Dimension}
    return shown.model_copy(update={"overall": overall(visible, found.uploaded, found.downloaded)})


def ranked(db: Connection[Any], user_id: UUID, steps: Mapping[Dimension, Sequence[int]]) -> Ranked | None:
    """The user's ranks by these steps, None when nobody has counted such a user."""
    with db.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            f"SELECT {_OWN} {_FROM} WHERE n.user_id = %s AND n.joined_at IS NOT NULL", (user_id,)
        ).fetchone()
    if row is None:
        return None
    ranks = {dimension: percentile(row[dimension], steps[dimension]) for dimension in _VALUES if dimension in steps}
    return Ranked({**dict.fromkeys(Dimension), **ranks}, row["uploaded"], row["downloaded"])


def spread_steps(db: Connection[Any]) -> dict[Dimension, list[int]]:
    """The steps between enabled accounts that have something, of each dimension in which there are any."""
    with db.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            f"SELECT {_SPREAD} {_FROM} WHERE n.accounts > 0 AND n.user_id <> %(site)s",
            {"hundredths": [n / STEPS for n in range(1, STEPS + 1)], "site": UUID(int=0)},
        ).fetchone()
    assert row is not None, "aggregates are one row"
    return {dimension: row[dimension] for dimension in _VALUES if row[dimension] is not None}


_FROM: LiteralString = "FROM read.user_statistics n LEFT JOIN read.user_stats s USING (user_id)"
_OWN: LiteralString = ", ".join(f"{value} AS {dimension}" for dimension, value in _VALUES.items())
_SPREAD: LiteralString = ", ".join(
    f"percentile_disc(%(hundredths)s::float8[]) WITHIN GROUP (ORDER BY {value}) FILTER (WHERE {value} > 0)"
    f" AS {dimension}"
    for dimension, value in _VALUES.items()
)
