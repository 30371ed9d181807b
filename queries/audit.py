"""Who did what to which subject, when, and why?"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal, LiteralString
from uuid import UUID

from fastapi import APIRouter, Query
from psycopg import Connection
from psycopg.rows import kwargs_row
from pydantic import BaseModel

from domain.base import SYSTEM
from domain.permissions import Permission
from queries.moments import moment
from queries.people import Person
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, ReadDb, Requires
from runtime.http.pages import Page, PageDep
from runtime.http.types import Id

router = APIRouter(prefix="/api/v1/audit", tags=["audit"], route_class=StrictRoute)

Auditor = Annotated[Caller, Requires(Permission.AUDIT_READ)]

#: How the machinery keeps its books: many entries, each beside one that says what happened.
MACHINERY = ["claim", "edge_journal"]
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class AuditSubject(BaseModel):
    """What an entry is about."""

    type: str
    id: UUID


class AuditEntry(BaseModel):
    """One event; `data` are its fields without personal ones."""

    position: int
    at: datetime
    actor: Person
    action: str
    subject: AuditSubject
    reason: str | None
    command_id: UUID
    correlation_id: UUID
    origin: str
    data: dict[str, Any]


@router.get("", dependencies=[fresh("audit", "users")])
def list_audit_entries(
    staff: Auditor,
    db: ReadDb,
    page: PageDep,
    actor: Annotated[str | None, Query(max_length=36, description="an id or a username")] = None,
    subject: Id | None = None,
    kind: Annotated[
        str | None, Query(alias="type", pattern=r"^[a-z_]+(\.[a-z_]+)?$", description="torrent, torrent.approved")
    ] = None,
    after: Annotated[str | None, Query(max_length=40, description="a position, or a time")] = None,
    before: Annotated[str | None, Query(max_length=40, description="a position, or a time")] = None,
    include: Annotated[Literal["machinery"] | None, Query(description="claims and announce journals too")] = None,
) -> Page[AuditEntry]:
    """What happened on the site, newest first."""
    query = f"audit:{actor}:{subject}:{kind}:{after}:{before}:{include}"
    seen = page.after(query)
    conditions: list[LiteralString] = ["hidden_from IS DISTINCT FROM %(caller)s"]
    params: dict[str, Any] = {"caller": staff.user_id}
    _add_who_and_what(conditions, params, actor, subject, kind, include is not None)
    _add_when(conditions, params, after, before, seen[0] if seen else None)
    return page.page(query, entries(db, conditions, params, page.fetch), lambda entry: [entry.position])


def _add_who_and_what(
    conditions: list[LiteralString],
    params: dict[str, Any],
    actor: str | None,
    subject: UUID | None,
    kind: str | None,
    machinery: bool,
) -> None:
    params |= {"actor": actor, "subject": subject, "kind": kind, "machinery": MACHINERY, "system": SYSTEM}
    if actor == "system":
        conditions.append("actor_id = %(system)s")
    elif actor is not None and _ID.fullmatch(actor):
        conditions.append("actor_id = %(actor)s::uuid")
    elif actor is not None:
        conditions.append("actor_id IN (SELECT user_id FROM read.account WHERE lower(username) = lower(%(actor)s))")
    if subject is not None:
        conditions.append("(subject_id = %(subject)s OR stream_id = %(subject)s)")
    if kind is not None:
        conditions.append("action = %(kind)s" if "." in kind else "action ^@ (%(kind)s || '.')")
    elif not machinery:
        conditions.append("split_part(action, '.', 1) <> ALL (%(machinery)s)")


def _add_when(
    conditions: list[LiteralString], params: dict[str, Any], after: str | None, before: str | None, seen: int | None
) -> None:
    params["seen"] = seen
    if seen is not None:
        conditions.append("position < %(seen)s")
    if after is not None:
        params["after"] = moment(after)
        conditions.append("position > %(after)s" if isinstance(params["after"], int) else "at > %(after)s")
    if before is not None:
        params["before"] = moment(before)
        conditions.append("position < %(before)s" if isinstance(params["before"], int) else "at < %(before)s")


def entries(
    db: Connection[Any], conditions: list[LiteralString], params: dict[str, Any], limit: int
) -> list[AuditEntry]:
    """At most `limit` entries, newest first, for which all of the conditions hold."""
    return (
        db.cursor(row_factory=kwargs_row(_entry))
        .execute(
            "SELECT e.*, actor.username FROM (SELECT position, at, actor_id, action, subject_type, subject_id, reason,"
            f" command_id, correlation_id, origin, data FROM read.audit_entry WHERE {' AND '.join(conditions)}"
            " ORDER BY position DESC LIMIT %(limit)s) e LEFT JOIN read.account actor ON actor.user_id = e.actor_id"
            " ORDER BY e.position DESC",
            {**params, "limit": limit},
        )
        .fetchall()
    )


def _entry(*, actor_id: UUID, username: str | None, subject_type: str, subject_id: UUID, **columns: Any) -> AuditEntry:
    return AuditEntry(
        actor=Person(id=actor_id, username="system" if actor_id == SYSTEM else username),
        subject=AuditSubject(type=subject_type, id=subject_id),
        **columns,
    )
