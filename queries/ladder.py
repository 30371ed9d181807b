"""What does a member lack for the next class, what does it have to keep, and whom do the criteria move?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, LiteralString
from uuid import UUID

from fastapi import APIRouter, Depends
from psycopg import Connection
from psycopg.rows import dict_row
from pydantic import BaseModel

from domain.ladder import Criteria, Criterion, Standing
from queries.bans import concerned
from queries.warnings import WARNED_UNTIL
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Clock, ReadDb
from runtime.http.types import Id
from runtime.store import NoSuchThing

router = APIRouter(prefix="/api/v1/users", tags=["groups"], route_class=StrictRoute)

#: What an account `a` with statistics `s` has done, as `Standing` has it.
_UPLOADS: LiteralString = (
    "(SELECT count(*) FROM read.torrent t WHERE t.uploader_id = a.user_id AND t.state = 'approved')"
)
_SEED_TIME: LiteralString = "coalesce(s.seed_time_s / nullif(s.torrents, 0), 0)"
_AGE: LiteralString = "floor(extract(epoch FROM %(now)s - a.registered_at) / 86400)::bigint"
_STANDING: LiteralString = (
    "coalesce(s.uploaded, 0) AS uploaded, coalesce(s.downloaded, 0) AS downloaded,"
    f" {_AGE} AS age_days, {_UPLOADS} AS uploads, coalesce(s.seed_size, 0) AS seed_size,"
    f" {_SEED_TIME} AS average_seed_time_s"
)
_WARNED: LiteralString = f"({WARNED_UNTIL} IS NOT NULL)"
_CRITERIA: LiteralString = (
    "c.uploaded, c.ratio_percent, c.age_days, c.uploads, c.seed_size, c.average_seed_time_s, c.keep_ratio_percent"
)
#: `Criteria.met` and `Criteria.kept`; a test holds that they agree.
_MET: LiteralString = (
    "coalesce(s.uploaded, 0) >= c.uploaded"
    " AND (coalesce(s.downloaded, 0) = 0 OR s.uploaded::numeric * 100 >= s.downloaded::numeric * c.ratio_percent)"
    f" AND {_AGE} >= c.age_days AND coalesce(s.seed_size, 0) >= c.seed_size AND {_SEED_TIME} >= c.average_seed_time_s"
    f" AND (c.uploads = 0 OR {_UPLOADS} >= c.uploads)"
)
_KEPT: LiteralString = (
    "coalesce(s.uploaded, 0) >= c.uploaded AND (coalesce(s.downloaded, 0) = 0"
    "  OR s.uploaded::numeric * 100 >= s.downloaded::numeric * c.keep_ratio_percent)"
    f" AND (c.uploads = 0 OR {_UPLOADS} >= c.uploads)"
)
_CLIMBERS: LiteralString = (
    "read.account a LEFT JOIN read.user_stats s USING (user_id) LEFT JOIN read.class_lock l USING (user_id)"
)


class CriterionShown(BaseModel):
    """Bytes, days, torrents, seconds, or a ratio in percent; `value` is null for the ratio of who has downloaded
    nothing, which passes."""

    name: str
    value: int | None
    needed: int
    met: bool


class PromotionShown(BaseModel):
    """`met` of `of` criteria of the `next` group; null and none at the end of the ladder. All of `keeps` have to stay
    met for the present group. What stands in the way besides is in `hindered_by`."""

    user_id: UUID
    group: str
    next: str | None
    met: int
    of: int
    criteria: list[CriterionShown]
    keeps: list[CriterionShown]
    hindered_by: list[Literal["class_locked", "warned", "disabled"]]


@dataclass(frozen=True)
class Climber:
    """A member whom criteria move to the group `to`, as the read tables have it: the account decides again."""

    user_id: UUID
    version: int
    to: str
    standing: Standing


@router.get("/{user_id}/promotion", dependencies=[fresh("users", "groups", "rights", "peers", "torrents", "warnings")])
def get_promotion(user_id: Id, staff: Annotated[bool, Depends(concerned)], db: ReadDb, now: Clock) -> PromotionShown:
    """How far a user is from the next group; for the user and for staff."""
    with db.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            f"SELECT a.group_slug, a.state, l.user_id IS NOT NULL AS locked, {_WARNED} AS warned, {_STANDING}"
            f" FROM {_CLIMBERS} WHERE a.user_id = %(user)s",
            {"now": now, "user": user_id},
        ).fetchone()
    if row is None:
        raise NoSuchThing("no such user")
    standing = Standing(*(row[name] for name in Standing._fields))
    following, own = _following(db, row["group_slug"], standing), _criteria(db, row["group_slug"])
    judged = following[1].judge(standing) if following else []
    hindrances = {"class_locked": row["locked"], "warned": row["warned"], "disabled": row["state"] != "enabled"}
    return PromotionShown(
        user_id=user_id,
        group=row["group_slug"],
        next=following[0] if following else None,
        met=sum(one.met for one in judged),
        of=len(judged),
        criteria=list(map(_shown, judged)),
        keeps=list(map(_shown, own.judge_keeping(standing) if own else [])),
        hindered_by=[name for name, there in hindrances.items() if there],
    )


def climbers(db: Connection[Any], now: datetime, limit: int, after: UUID | None = None) -> list[Climber]:
    """At most `limit` members, by id, after that one, whom criteria promote or demote: by one class, of several the
    highest that they reach."""
    with db.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            f"SELECT DISTINCT ON (user_id) * FROM ("
            f"  SELECT a.user_id, a.version, c.slug AS to, g.level, {_STANDING} FROM {_CLIMBERS}"
            "   JOIN read.promotion_criteria c ON c.follows = a.group_slug JOIN read.user_group g ON g.slug = c.slug"
            f"  WHERE a.state = 'enabled' AND l.user_id IS NULL AND {_MET} AND NOT {_WARNED}"
            f"  UNION ALL SELECT a.user_id, a.version, c.follows, -1, {_STANDING} FROM {_CLIMBERS}"
            "   JOIN read.promotion_criteria c ON c.slug = a.group_slug"
            f"  WHERE a.state = 'enabled' AND l.user_id IS NULL AND NOT ({_KEPT})"
            ") m WHERE %(after)s::uuid IS NULL OR m.user_id > %(after)s ORDER BY user_id, level DESC LIMIT %(limit)s",
            {"now": now, "after": after, "limit": limit},
        ).fetchall()
    return [
        Climber(row["user_id"], row["version"], row["to"], Standing(*(row[name] for name in Standing._fields)))
        for row in rows
    ]


def _following(db: Connection[Any], slug: str, standing: Standing) -> tuple[str, Criteria] | None:
    """The next group on the ladder and what it asks: of several the highest that is reached, else the lowest."""
    rows = db.execute(
        f"SELECT c.slug, {_CRITERIA} FROM read.promotion_criteria c JOIN read.user_group g USING (slug)"
        " WHERE c.follows = %s ORDER BY g.level",
        (slug,),
    ).fetchall()
    found = [(name, Criteria(*criteria)) for name, *criteria in rows]
    reached = [one for one in found if one[1].met(standing)]
    return reached[-1] if reached else found[0] if found else None


def _criteria(db: Connection[Any], slug: str) -> Criteria | None:
    row = db.execute(f"SELECT {_CRITERIA} FROM read.promotion_criteria c WHERE c.slug = %s", (slug,)).fetchone()
    return Criteria(*row) if row else None


def _shown(criterion: Criterion) -> CriterionShown:
    return CriterionShown(name=criterion.name, value=criterion.value, needed=criterion.needed, met=criterion.met)
