"""What is wished for, how much is on it, and who filled it?"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from psycopg import Connection
from psycopg.rows import dict_row, kwargs_row
from pydantic import BaseModel, Field

from domain.requests import RequestState
from queries.people import Person
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, Confirmed, ReadDb, must_be_confirmed
from runtime.http.pages import Page, PageDep
from runtime.http.types import Id, ShownPoints
from runtime.store import NoSuchThing

router = APIRouter(prefix="/api/v1/requests", tags=["requests"], route_class=StrictRoute)

_COLUMNS = (
    "r.request_id AS id, r.title, r.category, r.state, r.bounty, r.torrent_id, r.opened_at, r.filled_at, r.closed_at,"
    " r.version, r.opened_position, r.requester_id, requester.username AS requester, r.filler_id,"
    " filler.username AS filler"
)
_TABLES = (
    "read.request r LEFT JOIN read.account requester ON requester.user_id = r.requester_id"
    " LEFT JOIN read.account filler ON filler.user_id = r.filler_id"
)


class RequestShown(BaseModel):
    """One wish; `bounty` is everything that was offered for it, in points, also after it was paid or refunded."""

    id: UUID
    title: str
    category: str
    state: RequestState
    bounty: ShownPoints
    requester: Person
    filler: Person | None
    torrent_id: UUID | None
    opened_at: datetime
    filled_at: datetime | None
    closed_at: datetime | None
    version: int
    opened_position: int = Field(exclude=True)


class Bounty(BaseModel):
    """What one user offered."""

    contributor: Person
    amount: ShownPoints
    last_at: datetime


class RequestDetail(RequestShown):
    """`rejection` is why the last fill was not what was wished for."""

    description: str
    rejection: str | None
    bounties: list[Bounty]


@router.get("", dependencies=[fresh("requests", "users")])
def list_requests(
    caller: Confirmed,
    db: ReadDb,
    page: PageDep,
    state: RequestState | None = None,
    category: Annotated[str | None, Query(max_length=64)] = None,
) -> Page[RequestShown]:
    """Requests, newest first."""
    query = f"requests:{state}:{category}"
    before = page.after(query)
    found = requests(db, state, category, before[0] if before else None, page.fetch)
    return page.page(query, found, lambda request: [request.opened_position])


@router.get("/{request_id}", dependencies=[fresh("requests", "users")])
def get_request(request_id: Id, caller: Confirmed, db: ReadDb) -> RequestDetail:
    """One request with every contribution."""
    found = request(db, request_id)
    if found is None:
        raise NoSuchThing("no such request")
    return found


def requests(
    db: Connection[Any], state: str | None, category: str | None, before: int | None, limit: int
) -> list[RequestShown]:
    """At most `limit` requests, newest first, opened before that position; subcategories of `category` count too."""
    return (
        db.cursor(row_factory=kwargs_row(_shown))
        .execute(
            f"SELECT {_COLUMNS} FROM {_TABLES} WHERE r.opened_position < %(before)s"
            " AND (%(state)s::text IS NULL OR r.state = %(state)s)"
            " AND (%(category)s::text IS NULL OR r.category = %(category)s"
            "      OR r.category IN (SELECT slug FROM read.category WHERE parent = %(category)s))"
            " ORDER BY r.opened_position DESC LIMIT %(limit)s",
            {
                "before": 2**63 - 1 if before is None else before,
                "state": state,
                "category": category,
                "limit": limit,
            },
        )
        .fetchall()
    )


def request(db: Connection[Any], request_id: UUID) -> RequestDetail | None:
    """The request, or None."""
    row = (
        db.cursor(row_factory=dict_row)
        .execute(f"SELECT {_COLUMNS}, r.description, r.rejection FROM {_TABLES} WHERE r.request_id = %s", (request_id,))
        .fetchone()
    )
    return None if row is None else RequestDetail(**_with_people(row), bounties=bounties(db, [request_id])[request_id])


def requests_seen(db: Connection[Any], request_ids: Iterable[UUID], caller: Caller) -> dict[UUID, RequestShown]:
    """Those of these requests that there are. Raises `NotPermitted` for who may see none."""
    must_be_confirmed(caller)
    rows = (
        db.cursor(row_factory=kwargs_row(_shown))
        .execute(f"SELECT {_COLUMNS} FROM {_TABLES} WHERE r.request_id = ANY (%s)", (list(request_ids),))
        .fetchall()
    )
    return {row.id: row for row in rows}


def bounties(db: Connection[Any], request_ids: Iterable[UUID]) -> dict[UUID, list[Bounty]]:
    """What everybody offered for each of these requests, the largest first."""
    wanted = list(request_ids)
    rows = (
        db.cursor(row_factory=dict_row)
        .execute(
            "SELECT b.request_id, b.contributor_id, a.username, b.amount, b.last_at FROM read.request_bounty b"
            " LEFT JOIN read.account a ON a.user_id = b.contributor_id"
            " WHERE b.request_id = ANY (%s) ORDER BY b.amount DESC, b.contributor_id",
            (wanted,),
        )
        .fetchall()
    )
    found: dict[UUID, list[Bounty]] = {one: [] for one in wanted}
    for row in rows:
        found[row.pop("request_id")].append(_bounty(**row))
    return found


def _shown(**columns: Any) -> RequestShown:
    return RequestShown(**_with_people(columns))


def _with_people(columns: dict[str, Any]) -> dict[str, Any]:
    """The columns with `requester` and `filler` made of their ids and names."""
    requester_id, filler_id = columns.pop("requester_id"), columns.pop("filler_id")
    columns["requester"] = Person(id=requester_id, username=columns["requester"])
    columns["filler"] = None if filler_id is None else Person(id=filler_id, username=columns["filler"])
    return columns


def _bounty(*, contributor_id: UUID, username: str | None, **columns: Any) -> Bounty:
    return Bounty(contributor=Person(id=contributor_id, username=username), **columns)
