"""Why is this number what it is? The facts that made it: their amounts add up to it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, LiteralString, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Path
from psycopg import Connection
from psycopg.rows import kwargs_row
from pydantic import BaseModel, Field

from domain.bonus import AccountKind, account_id
from domain.permissions import Permission
from domain.privacy import Answer
from domain.statistics import BOUNTIES_EARNED, BOUNTIES_SPENT, REFUNDS, Count
from queries.people import must_be_user
from queries.privacy import privacy_of, viewer_of, withheld
from queries.user_stats import UserStats
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Member, NotPermitted, ReadDb
from runtime.http.pages import Page, PageDep
from runtime.http.types import Id
from runtime.store import NoSuchThing

router = APIRouter(prefix="/api/v1/users", tags=["user stats"], route_class=StrictRoute)


class Number(StrEnum):
    """A number of `GET /users/{id}/stats`; what is not here is worked out from these."""

    UPLOADED = "uploaded"
    DOWNLOADED = "downloaded"
    RAW_UPLOADED = "raw_uploaded"
    RAW_DOWNLOADED = "raw_downloaded"
    SEED_TIME_S = "seed_time_s"
    SEEDING = "seeding"
    LEECHING = "leeching"
    SEED_SIZE = "seed_size"
    SNATCHED = "snatched"
    TORRENTS = "torrents"
    UPLOADS = Count.UPLOADS
    UPLOADS_ANONYMOUS = Count.UPLOADS_ANONYMOUS
    REQUESTS_OPENED = Count.REQUESTS_OPENED
    REQUESTS_FILLED = Count.REQUESTS_FILLED
    REQUESTS_FILLED_ANONYMOUS = Count.REQUESTS_FILLED_ANONYMOUS
    BOUNTY_SPENT = Count.BOUNTY_SPENT
    BOUNTY_EARNED = Count.BOUNTY_EARNED
    BONUS_POINTS = "bonus_points"
    BONUS_SPENT = Count.BONUS_SPENT
    BONUS_EARNED = Count.BONUS_EARNED
    REPORTS = Count.REPORTS
    INVITED = Count.INVITED


NumberName = Annotated[str, Path(json_schema_extra={"enum": [str(number) for number in Number]})]


class Subject(BaseModel):
    """The thing that a fact is about."""

    type: str
    id: UUID


class Explanation(BaseModel):
    """One fact and how much it adds, in the number's own unit: bytes, seconds, torrents, points.

    `cause` is `announce`, `snatch` or `client` (a client that is there, or was), the topic of an event, or the kind of
    a movement of points.
    """

    at: datetime
    amount: int | float
    cause: str
    subject: Subject
    keys: list[Any] = Field(exclude=True)


class Source(NamedTuple):
    """`rows` selects `at`, `amount`, `cause`, `subject_type`, `subject_id` and, under those names, `keys`: columns
    (with their types) that order the rows and tell them apart."""

    rows: LiteralString
    keys: dict[LiteralString, LiteralString]
    in_thousandths: bool = False


@router.get(
    "/{user_id}/stats/{number}/explain", dependencies=[fresh("peers", "users", "bonus", "user_statistics", "privacy")]
)
def explain_number(user_id: Id, number: NumberName, caller: Member, page: PageDep, db: ReadDb) -> Page[Explanation]:
    """The facts behind a number, newest first: their amounts add up to it. For the user and for staff."""
    if number not in SOURCES:
        raise NoSuchThing("there is no such number, or it is worked out from others")
    if user_id != caller.user_id and not caller.can(Permission.USERS_SEE_PRIVATE):
        raise NotPermitted("your group may not see this")
    hidden = withheld(UserStats, viewer_of(caller, user_id), privacy_of(db, [user_id])[user_id])
    if hidden.get(number) is Answer.HIDDEN:
        raise NotPermitted("the user hides this")
    must_be_user(db, user_id)
    query = f"explain:{user_id}:{number}"
    rows = explanations(db, user_id, Number(number), page.after(query), page.fetch)
    return page.page(query, rows, lambda row: row.keys)


def explanations(
    db: Connection[Any], user_id: UUID, number: Number, before: list[Any] | None, limit: int
) -> list[Explanation]:
    """At most `limit` facts, newest first, before the one with those keys."""
    source = SOURCES[number]

    def shown(*, amount: int, subject_type: str, subject_id: UUID, **columns: Any) -> Explanation:
        return Explanation(
            amount=amount / 1000 if source.in_thousandths else amount,
            subject=Subject(type=subject_type, id=subject_id),
            keys=[columns.pop(f"key_{key}") for key in source.keys],
            **columns,
        )

    names = ", ".join(source.keys)
    earlier = ", ".join(f"%(before_{key})s::{kind}" for key, kind in source.keys.items())
    keyset = f"AND ({names}) < ({earlier})" if before else ""
    order = ", ".join(f"{key} DESC" for key in source.keys)
    keys = ", ".join(f"{key} AS key_{key}" for key in source.keys)
    values = {
        "user": user_id,
        "account": account_id(AccountKind.BONUS, user_id),
        "number": number,
        "limit": limit,
        **{f"before_{key}": value for key, value in zip(source.keys, before or [], strict=False)},
    }
    with db.cursor(row_factory=kwargs_row(shown)) as cursor:
        return cursor.execute(
            f"SELECT at, amount, cause, subject_type, subject_id, {keys} FROM ({source.rows}) AS facts"
            f" WHERE amount <> 0 {keyset} ORDER BY {order} LIMIT %(limit)s",
            values,
        ).fetchall()


def _announces(amount: LiteralString) -> Source:
    """The credit of every announce that changed something (see `/users/{id}/stats/transfers`)."""
    rows: LiteralString = (
        f"SELECT at, {amount} AS amount, 'announce' AS cause, 'torrent' AS subject_type, torrent_id AS subject_id,"
        " position, seq, n FROM transfer WHERE user_id = %(user)s"
    )
    return Source(rows, {"position": "bigint", "seq": "bigint", "n": "int"})


def _torrents(amount: LiteralString) -> Source:
    """One row for each torrent on which the user ever had a client; `seeding` and `leeching` say what it does now."""
    rows: LiteralString = (
        f"SELECT at, {amount} AS amount, 'client' AS cause, 'torrent' AS subject_type, torrent_id AS subject_id"
        " FROM (SELECT torrent_id, min(first_announced_at) AS at, bool_or(active AND seeder) AS seeding,"
        "  bool_or(active AND NOT seeder) AS leeching FROM peer WHERE user_id = %(user)s GROUP BY torrent_id) AS p"
        " LEFT JOIN torrent_size USING (torrent_id)"
    )
    return Source(rows, {"at": "timestamptz", "subject_id": "uuid"})


def _points(amount: LiteralString, which: LiteralString = "true") -> Source:
    """Movements of the user's points, as in its ledger."""
    rows: LiteralString = (
        f"SELECT at, {amount} AS amount, kind AS cause, subject_type, subject_id, position FROM ledger_posting"
        f" WHERE account_id = %(account)s AND ({which})"
    )
    return Source(rows, {"position": "bigint"}, in_thousandths=True)


def _kinds(kinds: frozenset[Any]) -> LiteralString:
    return f"kind IN ({', '.join(sorted(repr(str(kind)) for kind in kinds))})"


_SNATCHES = Source(
    "SELECT at, 1 AS amount, 'snatch' AS cause, 'torrent' AS subject_type, torrent_id AS subject_id FROM snatch"
    " WHERE user_id = %(user)s",
    {"at": "timestamptz", "subject_id": "uuid"},
)
_COUNTED = Source(
    "SELECT at, amount, topic AS cause, subject_type, subject_id, position FROM statistics_fact"
    " WHERE user_id = %(user)s AND count = %(number)s",
    {"position": "bigint", "subject_id": "uuid"},
)
SOURCES: dict[Number, Source] = {
    Number.UPLOADED: _announces("uploaded"),
    Number.DOWNLOADED: _announces("downloaded"),
    Number.RAW_UPLOADED: _announces("raw_uploaded"),
    Number.RAW_DOWNLOADED: _announces("raw_downloaded"),
    Number.SEED_TIME_S: _announces("seed_time_s"),
    Number.SEEDING: _torrents("seeding::int"),
    Number.LEECHING: _torrents("leeching::int"),
    Number.SEED_SIZE: _torrents("CASE WHEN seeding THEN coalesce(size, 0) ELSE 0 END"),
    Number.TORRENTS: _torrents("1"),
    Number.SNATCHED: _SNATCHES,
    Number.BOUNTY_SPENT: _points("-amount", _kinds(BOUNTIES_SPENT)),
    Number.BOUNTY_EARNED: _points("amount", _kinds(BOUNTIES_EARNED)),
    Number.BONUS_POINTS: _points("amount"),
    Number.BONUS_SPENT: _points("-amount", f"amount < 0 OR {_kinds(REFUNDS)}"),
    Number.BONUS_EARNED: _points("amount", f"NOT (amount < 0 OR {_kinds(REFUNDS)})"),
    **dict.fromkeys(
        (
            Number.UPLOADS,
            Number.UPLOADS_ANONYMOUS,
            Number.REQUESTS_OPENED,
            Number.REQUESTS_FILLED,
            Number.REQUESTS_FILLED_ANONYMOUS,
            Number.REPORTS,
            Number.INVITED,
        ),
        _COUNTED,
    ),
}
