"""How does this user compare with everybody else?"""

from __future__ import annotations

from typing import Annotated, Any, LiteralString, NamedTuple
from uuid import UUID

from fastapi import APIRouter
from psycopg import Connection
from psycopg.rows import dict_row

from domain.privacy import PrivacyKey
from domain.ranks import Dimension, overall, percentile
from queries.privacy import Guarded, Private, privacy_of, viewer_of
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Member, NotPermitted, ReadDb
from runtime.http.types import Id
from runtime.store import NoSuchThing

router = APIRouter(prefix="/api/v1/users", tags=["user stats"], route_class=StrictRoute)

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


@router.get("/{user_id}/ranks", dependencies=[fresh("peers", "users", "user_statistics", "privacy")])
def get_user_ranks(user_id: Id, caller: Member, db: ReadDb) -> UserRanks:
    """The user's place among all enabled accounts; null is what the user hides."""
    if user_id != caller.user_id and not caller.enabled:
        raise NotPermitted("your group may not see this")
    found = ranked(db, user_id)
    if found is None:
        raise NoSuchThing("no such user")
    ranks = UserRanks.model_validate({"id": user_id, **found.ranks})
    shown = ranks.seen_by(viewer_of(caller, user_id), privacy_of(db, [user_id])[user_id])
    if shown.privacy.get("overall") == "hidden":
        return shown
    visible = {dimension: getattr(shown, dimension) for dimension in Dimension}
    return shown.model_copy(update={"overall": overall(visible, found.uploaded, found.downloaded)})


def ranked(db: Connection[Any], user_id: UUID) -> Ranked | None:
    """The user's ranks among enabled accounts, None when nobody has counted such a user."""
    with db.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_RANKED, {"user": user_id, "site": UUID(int=0)}).fetchone()
    if row is None or row["uploaded"] is None:
        return None
    ranks = {
        dimension: percentile(row[f"{dimension}_up_to"], row[f"{dimension}_having"])
        if row[f"{dimension}_having"]
        else None
        for dimension in _VALUES
    }
    return Ranked({**dict.fromkeys(Dimension), **ranks}, row["uploaded"], row["downloaded"])


_FROM: LiteralString = "FROM read.user_statistics n LEFT JOIN read.user_stats s USING (user_id)"
_OWN: LiteralString = ", ".join(f"{value} AS {dimension}" for dimension, value in _VALUES.items())
_COUNTS: LiteralString = ", ".join(
    f"count(*) FILTER (WHERE {value} > 0) AS {dimension}_having,"
    f" count(*) FILTER (WHERE {value} > 0 AND {value} <= own.{dimension}) AS {dimension}_up_to"
    for dimension, value in _VALUES.items()
)
#: One pass over everybody. The user is among them, also when its account is disabled.
_RANKED: LiteralString = (
    f"WITH own AS (SELECT {_OWN} {_FROM} WHERE n.user_id = %(user)s AND n.joined_at IS NOT NULL)"
    f" SELECT max(own.uploaded) AS uploaded, max(own.downloaded) AS downloaded, {_COUNTS}"
    f" {_FROM} CROSS JOIN own WHERE n.user_id <> %(site)s AND (n.accounts > 0 OR n.user_id = %(user)s)"
)
