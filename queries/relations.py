"""Who are the caller's friends, whom does it block and follow, who follows it, and what did the followed upload?

What somebody does whom the caller blocks is not shown to the caller: that it follows the caller, and what it uploads in
lists that are about people. Torrents themselves are everybody's, whoever uploaded them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from fastapi import APIRouter
from psycopg import Connection
from psycopg.rows import class_row, kwargs_row
from pydantic import BaseModel, Field

from domain.privacy import PrivacyKey
from queries.people import Person
from queries.privacy import value_shown
from queries.torrents import ITEM, SOURCE, UPLOADS_SHOWN, Browser, TorrentItem, viewer
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Clock, Confirmed, ReadDb
from runtime.http.pages import Page, PageDep, PageRequest

router = APIRouter(prefix="/api/v1/users/me", tags=["relations"], route_class=StrictRoute)


class Related(BaseModel):
    """A user, and since when it is a friend, blocked, followed or a follower."""

    user: Person
    since: datetime
    position: int = Field(exclude=True)


class Friend(Related):
    """`note` is what the caller wrote about it."""

    note: str


@router.get("/friends", dependencies=[fresh("relations", "users")])
def list_friends(caller: Confirmed, db: ReadDb, page: PageDep) -> Page[Friend]:
    """The caller's friends, the newest first."""
    after = page.after("friends")
    with db.cursor(row_factory=kwargs_row(_friend)) as cursor:
        rows = cursor.execute(
            f"{_OTHERS}, r.note {_OF_CALLER}", _params(caller.user_id, "friend", after, page)
        ).fetchall()
    return page.page("friends", rows, lambda one: [one.position])


@router.get("/blocks", dependencies=[fresh("relations", "users")])
def list_blocks(caller: Confirmed, db: ReadDb, page: PageDep) -> Page[Related]:
    """Whom the caller blocks, the newest first."""
    return _others(caller.user_id, "block", db, page)


@router.get("/follows", dependencies=[fresh("relations", "users")])
def list_followed(caller: Confirmed, db: ReadDb, page: PageDep) -> Page[Related]:
    """Whom the caller follows, the newest first."""
    return _others(caller.user_id, "follow", db, page)


@router.get("/followers", dependencies=[fresh("relations", "users")])
def list_followers(caller: Confirmed, db: ReadDb, page: PageDep) -> Page[Related]:
    """Who follows the caller and is not blocked, the newest first."""
    after = page.after("followers")
    with db.cursor(row_factory=kwargs_row(_related)) as cursor:
        rows = cursor.execute(
            "SELECT r.user_id AS other_id, a.username, r.since, r.position FROM relation r"
            f" LEFT JOIN account a USING (user_id) WHERE r.other_id = %(user)s AND r.kind = 'follow' AND {_HEARD}"
            " AND (%(after)s::bigint IS NULL OR r.position < %(after)s) ORDER BY r.position DESC LIMIT %(limit)s",
            _params(caller.user_id, "follow", after, page),
        ).fetchall()
    return page.page("followers", rows, lambda one: [one.position])


@router.get("/following/uploads", dependencies=[fresh("relations", "torrents", "users", "privacy")])
def list_followed_uploads(caller: Browser, db: ReadDb, page: PageDep, now: Clock) -> Page[TorrentItem]:
    """What those whom the caller follows uploaded, the newest first: approved torrents whose uploaders are named, show
    their uploads, and let others be told of them."""
    after = page.after("followed uploads") or [None, None]
    with db.cursor(row_factory=class_row(TorrentItem)) as cursor:
        rows = cursor.execute(
            f"SELECT {ITEM} {SOURCE} WHERE t.state = 'approved' AND NOT t.anonymous AND {UPLOADS_SHOWN}"
            f" AND (p.user_id IS NULL OR {value_shown(PrivacyKey.NOTIFICATIONS, 'p')})"
            " AND t.uploader_id IN (SELECT other_id FROM relation WHERE user_id = %(caller)s AND kind = 'follow')"
            " AND (%(at)s::timestamptz IS NULL OR (t.listed_at, t.torrent_id) < (%(at)s, %(id)s))"
            " ORDER BY t.listed_at DESC, t.torrent_id DESC LIMIT %(limit)s",
            {**viewer(caller), "now": now, "at": after[0], "id": after[1], "limit": page.fetch},
        ).fetchall()
    return page.page("followed uploads", rows, lambda torrent: [torrent.listed_at, torrent.id])


_HEARD: LiteralString = (
    "NOT EXISTS (SELECT FROM read.relation b"
    " WHERE b.user_id = r.other_id AND b.kind = 'block' AND b.other_id = r.user_id)"
)
#: How many follow the user of `account a`, without those whom it blocks.
FOLLOWERS: LiteralString = (
    f"(SELECT count(*) FROM read.relation r WHERE r.other_id = a.user_id AND r.kind = 'follow' AND {_HEARD})"
)
_OTHERS: LiteralString = "SELECT r.other_id, a.username, r.since, r.position"
_OF_CALLER: LiteralString = """
FROM relation r LEFT JOIN account a ON a.user_id = r.other_id WHERE r.user_id = %(user)s AND r.kind = %(kind)s
AND (%(after)s::bigint IS NULL OR r.position < %(after)s) ORDER BY r.position DESC LIMIT %(limit)s
"""


def _others(user_id: UUID, kind: str, db: Connection[Any], page: PageRequest) -> Page[Related]:
    after = page.after(kind)
    with db.cursor(row_factory=kwargs_row(_related)) as cursor:
        rows = cursor.execute(f"{_OTHERS} {_OF_CALLER}", _params(user_id, kind, after, page)).fetchall()
    return page.page(kind, rows, lambda one: [one.position])


def _params(user_id: UUID, kind: str, after: list[Any] | None, page: PageRequest) -> dict[str, Any]:
    return {"user": user_id, "kind": kind, "after": after[0] if after else None, "limit": page.fetch}


def _related(*, other_id: UUID, username: str | None, **columns: Any) -> Related:
    return Related(user=Person(id=other_id, username=username), **columns)


def _friend(*, other_id: UUID, username: str | None, **columns: Any) -> Friend:
    return Friend(user=Person(id=other_id, username=username), **columns)
