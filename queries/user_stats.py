"""What has this user moved, and which announces say so?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from psycopg import Connection
from psycopg.rows import class_row
from pydantic import BaseModel, Field

from domain.permissions import Permission
from domain.privacy import Answer, PrivacyKey
from queries.privacy import Guarded, Private, privacy_of, viewer_of, withheld
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Member, NotPermitted, ReadDb
from runtime.http.pages import Page, PageDep
from runtime.http.types import Id, ShownPoints
from runtime.store import NoSuchThing

router = APIRouter(prefix="/api/v1/users", tags=["user stats"], route_class=StrictRoute)


Downloaded = Annotated[int | None, Private(PrivacyKey.DOWNLOADED)]
Uploaded = Annotated[int | None, Private(PrivacyKey.UPLOADED)]
#: Time and points are what one gets for seeding: whoever hides the one hides the others.
Seeding = Annotated[int | None, Private(PrivacyKey.SEEDING)]


class UserStats(Guarded):
    """Bytes and seconds. `uploaded` and `downloaded` are what counts, the raw ones what was moved; `ratio` is null
    before the first download; `seeding` and `leeching` count torrents."""

    id: UUID
    uploaded: Uploaded
    downloaded: Downloaded
    ratio: Annotated[float | None, Private(PrivacyKey.RATIO)]
    raw_uploaded: Uploaded
    raw_downloaded: Downloaded
    seeding: Seeding
    leeching: Annotated[int | None, Private(PrivacyKey.LEECHING)]
    snatched: Annotated[int | None, Private(PrivacyKey.SNATCHED)]
    seed_time_s: Seeding
    bonus_points: Annotated[ShownPoints | None, Private(PrivacyKey.SEEDING)]


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


@router.get("/{user_id}/stats", dependencies=[fresh("peers", "users", "bonus", "privacy")])
def get_user_stats(user_id: Id, caller: Member, db: ReadDb) -> UserStats:
    """The user's numbers, zeros before the first announce; null is what the user hides."""
    if user_id != caller.user_id and not caller.enabled:
        raise NotPermitted("your group may not see this")
    found = user_stats(db, user_id)
    if found is None:
        raise NoSuchThing("no such user")
    return found.seen_by(viewer_of(caller, user_id), privacy_of(db, [user_id])[user_id])


@router.get("/{user_id}/stats/transfers", dependencies=[fresh("peers", "users", "privacy")])
def list_transfers(user_id: Id, caller: Member, page: PageDep, db: ReadDb) -> Page[TransferShown]:
    """The announces behind the numbers, newest first: their sums are the numbers. For the user and for staff."""
    if user_id != caller.user_id and not caller.can(Permission.USERS_SEE_PRIVATE):
        raise NotPermitted("your group may not see this")
    if Answer.HIDDEN in withheld(UserStats, viewer_of(caller, user_id), privacy_of(db, [user_id])[user_id]).values():
        raise NotPermitted("the user hides this")
    if not db.execute("SELECT FROM account WHERE user_id = %s", (user_id,)).rowcount:
        raise NoSuchThing("no such user")
    query = f"transfers:{user_id}"
    rows = transfers(db, user_id, page.after(query), page.fetch)
    return page.page(query, rows, lambda row: [row.position, row.seq, row.n])


def user_stats(db: Connection[Any], user_id: UUID) -> UserStats | None:
    """The numbers of an account, None when there is no such account."""
    with db.cursor(row_factory=class_row(UserStats)) as cursor:
        return cursor.execute(
            "SELECT a.user_id AS id, coalesce(s.uploaded, 0) AS uploaded, coalesce(s.downloaded, 0) AS downloaded,"
            " round(s.uploaded::numeric / nullif(s.downloaded, 0), 3)::float8 AS ratio,"
            " coalesce(s.raw_uploaded, 0) AS raw_uploaded, coalesce(s.raw_downloaded, 0) AS raw_downloaded,"
            " coalesce(s.seeding, 0) AS seeding, coalesce(s.leeching, 0) AS leeching,"
            " coalesce(s.snatched, 0) AS snatched, coalesce(s.seed_time_s, 0) AS seed_time_s,"
            " coalesce(b.balance, 0) AS bonus_points"
            " FROM account a LEFT JOIN user_stats s USING (user_id) LEFT JOIN ledger_balance b USING (user_id)"
            " WHERE a.user_id = %s",
            (user_id,),
        ).fetchone()


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
