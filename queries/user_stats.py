"""What has this user moved, and which announces say so?"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, LiteralString
from uuid import UUID

from fastapi import APIRouter
from psycopg import Connection
from psycopg.rows import class_row, dict_row
from pydantic import BaseModel, Field

from domain.permissions import Permission
from domain.privacy import Answer, PrivacyKey, PrivacySettings, visibility
from domain.statistics import Count, Streak
from queries.people import must_be_user
from queries.privacy import SETTINGS, Guarded, Private, privacy_of, settings_of, viewer_of
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, Clock, Member, NotPermitted, ReadDb
from runtime.http.pages import Page, PageDep
from runtime.http.types import Id, ShownPoints
from runtime.store import NoSuchThing

_COUNTS: LiteralString = ", ".join(
    f"coalesce(n.{count}, 0) AS {count}" for count in Count if count is not Count.ACCOUNTS
)

#: When the user of `account a` signed in or announced last, null for never.
LAST_SEEN: LiteralString = (
    "greatest((SELECT n.signed_in_at FROM user_statistics n WHERE n.user_id = a.user_id),"
    " (SELECT max(p.last_announced_at) FROM peer p WHERE p.user_id = a.user_id))"
)

router = APIRouter(prefix="/api/v1/users", tags=["user stats"], route_class=StrictRoute)


Downloaded = Annotated[int | None, Private(PrivacyKey.DOWNLOADED)]
Uploaded = Annotated[int | None, Private(PrivacyKey.UPLOADED)]
#: Time and points are what one gets for seeding: whoever hides the one hides the others.
Seeding = Annotated[int | None, Private(PrivacyKey.SEEDING)]
SeedingPoints = Annotated[ShownPoints | None, Private(PrivacyKey.SEEDING)]


class UserStats(Guarded):
    """Bytes and seconds. `uploaded` and `downloaded` are what counts, the raw ones what was moved; `ratio` is null
    before the first download, `buffer` what may be downloaded before it falls to what is required, or to 1.

    `seeding`, `leeching` and `snatched` count torrents, `torrents` those that a client of the user's ever took part in,
    over which the average is taken. Uploads are listed, fills accepted. What was done anonymously is counted apart, and
    null, like the reports, but for the user and for staff. `last_seen_at` is the newest sign-in or announce;
    `sign_in_days` the days (UTC) in a row with a sign-in.
    """

    id: UUID
    uploaded: Uploaded
    downloaded: Downloaded
    ratio: Annotated[float | None, Private(PrivacyKey.RATIO)]
    buffer: Annotated[int | None, Private(PrivacyKey.UPLOADED), Private(PrivacyKey.DOWNLOADED)]
    raw_uploaded: Uploaded
    raw_downloaded: Downloaded
    seeding: Seeding
    leeching: Annotated[int | None, Private(PrivacyKey.LEECHING)]
    snatched: Annotated[int | None, Private(PrivacyKey.SNATCHED)]
    torrents: Annotated[int | None, Private(PrivacyKey.SNATCHED), Private(PrivacyKey.SEEDING)]
    seed_size: Seeding
    seed_time_s: Seeding
    average_seed_time_s: Seeding
    uploads: Annotated[int | None, Private(PrivacyKey.UPLOADS)]
    uploads_anonymous: int | None
    requests_opened: int
    requests_filled: int
    requests_filled_anonymous: int | None
    bounty_spent: ShownPoints
    bounty_earned: ShownPoints
    bonus_points: SeedingPoints
    bonus_spent: SeedingPoints
    bonus_earned: SeedingPoints
    reports: int | None
    invited: Annotated[int | None, Private(PrivacyKey.INVITED_COUNT)]
    joined_at: datetime
    last_seen_at: Annotated[datetime | None, Private(PrivacyKey.LAST_SEEN)]
    sign_in_days: Annotated[int | None, Private(PrivacyKey.LAST_SEEN)]
    sign_in_days_longest: Annotated[int | None, Private(PrivacyKey.LAST_SEEN)]


#: What the announces behind the numbers give away.
TRANSFERS_TELL = (PrivacyKey.UPLOADED, PrivacyKey.DOWNLOADED, PrivacyKey.SEEDING)


class TransferShown(BaseModel):
    """One announce and what it changed: counters announced, minus the baseline, times the factors.

    (`edge_id`, `seq`, `n`) is the announce's place in the journal. An `anomaly` says why nothing was credited.
    """

    at: datetime
    torrent_id: UUID
    torrent_name: str | None
    client_uploaded: int
    client_downloaded: int
    baseline_uploaded: int
    baseline_downloaded: int
    raw_uploaded: int
    raw_downloaded: int
    upload_percent: int
    download_percent: int
    uploaded: int
    downloaded: int
    seed_time_s: int
    anomaly: str | None
    edge_id: str
    seq: int
    n: int
    position: int = Field(exclude=True)


@router.get("/{user_id}/stats", dependencies=[fresh("peers", "users", "bonus", "user_statistics", "privacy")])
def get_user_stats(user_id: Id, caller: Member, db: ReadDb, now: Clock) -> UserStats:
    """The user's numbers, zeros before the first announce; null is what the user hides."""
    if user_id != caller.user_id and not caller.enabled:
        raise NotPermitted("your group may not see this")
    found = stats_seen(db, [user_id], caller, now)
    if user_id not in found:
        raise NoSuchThing("no such user")
    return found[user_id]


@router.get("/{user_id}/stats/transfers", dependencies=[fresh("peers", "users", "privacy")])
def list_transfers(user_id: Id, caller: Member, page: PageDep, db: ReadDb) -> Page[TransferShown]:
    """The announces behind the numbers, newest first: their sums are the numbers. For the user and for staff."""
    if user_id != caller.user_id and not caller.can(Permission.USERS_SEE_PRIVATE):
        raise NotPermitted("your group may not see this")
    viewer, settings = viewer_of(caller, user_id), privacy_of(db, [user_id])[user_id]
    if Answer.HIDDEN in (visibility(settings, key, viewer) for key in TRANSFERS_TELL):
        raise NotPermitted("the user hides this")
    must_be_user(db, user_id)
    query = f"transfers:{user_id}"
    rows = transfers(db, user_id, page.after(query), page.fetch)
    return page.page(query, rows, lambda row: [row.position, row.seq, row.n])


def stats_seen(db: Connection[Any], user_ids: Iterable[UUID], caller: Caller, now: datetime) -> dict[UUID, UserStats]:
    """The numbers of those of these users whom the caller may see, as it sees them."""
    wanted = [one for one in user_ids if caller.enabled or one == caller.user_id]
    rows = _rows(db, wanted)
    return {row["id"]: _seen(_stats(row, now), caller, settings_of(row["settings"])) for row in rows}


def _seen(stats: UserStats, caller: Caller, settings: PrivacySettings) -> UserStats:
    shown = stats.seen_by(viewer_of(caller, stats.id), settings)
    if stats.id == caller.user_id or caller.can(Permission.USERS_SEE_PRIVATE):
        return shown
    return shown.model_copy(update=dict.fromkeys(("uploads_anonymous", "requests_filled_anonymous", "reports")))


def user_stats(db: Connection[Any], user_ids: Iterable[UUID], now: datetime) -> dict[UUID, UserStats]:
    """The numbers of those of these users who have an account."""
    return {row["id"]: _stats(row, now) for row in _rows(db, user_ids)}


def _rows(db: Connection[Any], user_ids: Iterable[UUID]) -> list[dict[str, Any]]:
    with db.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT a.user_id AS id, coalesce(s.uploaded, 0) AS uploaded, coalesce(s.downloaded, 0) AS downloaded,"
            " round(s.uploaded::numeric / nullif(s.downloaded, 0), 3)::float8 AS ratio,"
            " coalesce(s.raw_uploaded, 0) AS raw_uploaded, coalesce(s.raw_downloaded, 0) AS raw_downloaded,"
            " coalesce(s.seeding, 0) AS seeding, coalesce(s.leeching, 0) AS leeching,"
            " coalesce(s.snatched, 0) AS snatched, coalesce(s.torrents, 0) AS torrents,"
            " coalesce(s.seed_size, 0) AS seed_size, coalesce(s.seed_time_s, 0) AS seed_time_s,"
            " coalesce(s.seed_time_s / nullif(s.torrents, 0), 0) AS average_seed_time_s,"
            f" {_COUNTS}, n.sign_in_day, coalesce(n.sign_in_days, 0) AS sign_in_days,"
            " coalesce(n.sign_in_days_longest, 0) AS sign_in_days_longest,"
            " coalesce(b.balance, 0) AS bonus_points, a.registered_at AS joined_at,"
            f" {LAST_SEEN} AS last_seen_at,"
            " (SELECT nullif(r.required_ratio_percent, 0) FROM announce_rules r) AS required_percent,"
            f" {SETTINGS} AS settings FROM account a"
            " LEFT JOIN user_stats s USING (user_id) LEFT JOIN ledger_balance b USING (user_id)"
            " LEFT JOIN user_statistics n USING (user_id) WHERE a.user_id = ANY (%s)",
            (list(user_ids),),
        ).fetchall()


def _stats(row: dict[str, Any], now: datetime) -> UserStats:
    required = row.pop("required_percent") or 100
    streak = Streak(row.pop("sign_in_day"), row.pop("sign_in_days"))
    buffer = row["uploaded"] * 100 // required - row["downloaded"]
    return UserStats(buffer=buffer, sign_in_days=streak.on(now.date()), **row)


def transfers(db: Connection[Any], user_id: UUID, before: list[Any] | None, limit: int) -> list[TransferShown]:
    """At most `limit` explaining facts, newest first, before that (position, seq, n)."""
    position, seq, n = before or (2**63 - 1, 0, 0)
    with db.cursor(row_factory=class_row(TransferShown)) as cursor:
        return cursor.execute(
            "SELECT x.at, x.torrent_id, t.name AS torrent_name, x.client_uploaded, x.client_downloaded,"
            " x.baseline_uploaded, x.baseline_downloaded, x.raw_uploaded, x.raw_downloaded, x.upload_percent,"
            " x.download_percent, x.uploaded, x.downloaded, x.seed_time_s, x.anomaly, x.edge_id, x.seq, x.n, x.position"
            " FROM transfer x LEFT JOIN torrent t USING (torrent_id)"
            " WHERE x.user_id = %s AND (x.position, x.seq, x.n) < (%s, %s, %s)"
            " ORDER BY x.position DESC, x.seq DESC, x.n DESC LIMIT %s",
            (user_id, position, seq, n, limit),
        ).fetchall()
