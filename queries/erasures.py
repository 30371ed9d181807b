"""Whom did somebody propose to forget, and whose erasure is not complete yet?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from fastapi import APIRouter
from psycopg import Connection
from psycopg.rows import class_row
from pydantic import BaseModel

from domain.permissions import Permission
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, Clock, ReadDb, Requires
from runtime.http.pages import Page, PageDep

router = APIRouter(prefix="/api/v1/erasure-proposals", tags=["erasures"], route_class=StrictRoute)

Approver = Annotated[Caller, Requires(Permission.USERS_ERASE_APPROVE)]


class ProposalItem(BaseModel):
    """One proposal; `erased_at` is when everything was gone, null before and for what was not approved."""

    id: UUID
    user_id: UUID
    proposer_id: UUID
    reason: str
    state: Literal["open", "approved", "declined", "expired"]
    made_at: datetime
    until: datetime
    answered_by: UUID | None
    answered_at: datetime | None
    answer: str | None
    erased_at: datetime | None
    version: int


@router.get("", dependencies=[fresh("erasures")])
def list_erasure_proposals(staff: Approver, db: ReadDb, page: PageDep, now: Clock) -> Page[ProposalItem]:
    """Every proposal, newest first."""
    after = page.after("erasure_proposals")
    with db.cursor(row_factory=class_row(ProposalItem)) as cursor:
        rows = cursor.execute(
            "SELECT p.proposal_id AS id, p.user_id, p.proposer_id, p.reason, p.made_at, p.until, p.answered_by,"
            " p.answered_at, p.answer, p.version, e.completed_at AS erased_at,"
            " CASE WHEN p.state = 'open' AND p.until <= %(now)s THEN 'expired' ELSE p.state END AS state"
            " FROM erasure_proposal p LEFT JOIN erasure e ON e.proposal_id = p.proposal_id"
            " WHERE %(after)s::uuid IS NULL OR p.proposal_id < %(after)s ORDER BY p.proposal_id DESC LIMIT %(limit)s",
            {"now": now, "after": after[0] if after else None, "limit": page.fetch},
        ).fetchall()
    return page.page("erasure_proposals", rows, lambda proposal: [proposal.id])


def due_erasures(db: Connection[Any], limit: int) -> list[UUID]:
    """At most `limit` persons whose erasure has begun and is not complete, the longest waiting first."""
    rows = db.execute(
        "SELECT user_id FROM read.erasure WHERE completed_at IS NULL ORDER BY begun_at LIMIT %s", (limit,)
    )
    return [row[0] for row in rows.fetchall()]


class Stranger(NamedTuple):
    """Somebody without an account, by the id that one would have had, and what there is of this person."""

    user_id: UUID
    applications: list[UUID]
    invites: list[UUID]


def due_strangers(db: Connection[Any], before: datetime, limit: int) -> list[Stranger]:
    """At most `limit` persons whose applications and invites all came to nothing before that moment."""
    rows = db.execute(
        "SELECT user_id, coalesce(array_agg(id) FILTER (WHERE applied), '{}'),"
        " coalesce(array_agg(id) FILTER (WHERE NOT applied), '{}') FROM ("
        "  SELECT applicant_id AS user_id, application_id AS id, true AS applied, answered_at AS ended_at"
        "  FROM read.application UNION ALL SELECT invitee_id, invite_id, false, ended_at FROM read.invite) AS known"
        " WHERE NOT EXISTS (SELECT FROM read.account a WHERE a.user_id = known.user_id)"
        " AND NOT EXISTS (SELECT FROM read.erasure e WHERE e.user_id = known.user_id)"
        " GROUP BY user_id HAVING bool_and(coalesce(ended_at <= %s, false)) ORDER BY max(ended_at) LIMIT %s",
        (before, limit),
    )
    return [Stranger(*row) for row in rows.fetchall()]


def last_completed(db: Connection[Any]) -> int:
    """The position of the last completed erasure, 0 for none: older copies of read tables show somebody erased."""
    row = db.execute("SELECT coalesce(max(completed_position), 0) FROM read.erasure").fetchone()
    assert row is not None
    return int(row[0])
