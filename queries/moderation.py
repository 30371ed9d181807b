"""Which cases wait, what is one about, and how did it come to be as it is?

The queue is a read table. What was said in a case is personal and stays in the history, so details and the history of a
case are read from its stream. Whom a case is about sees it too, but not who reported it and what moderators noted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from psycopg import Connection
from psycopg.rows import kwargs_row
from pydantic import BaseModel, Field

from domain.moderation import Case, CaseState, Outcome
from domain.permissions import Permission
from queries.moments import moment
from queries.people import Person, people
from runtime.facts import AnyCaused, FactLog
from runtime.freshness import fresh
from runtime.http.body import StrictRoute
from runtime.http.deps import Caller, Member, PlatformDep, ReadDb, Requires, read_db
from runtime.http.pages import Page, PageDep
from runtime.http.types import Id
from runtime.store import History, NoSuchThing

router = APIRouter(prefix="/api/v1", tags=["moderation"], route_class=StrictRoute)

Moderator = Annotated[Caller, Requires(Permission.MODERATION)]

#: For what reads the event store first: nobody waits for one connection while holding another.
_reading = contextmanager(read_db)

_ENVELOPE = {"originator_id", "originator_version", "originator_topic", "timestamp"}
#: What whom a case is about does not see of a step: who reported, in which words, and what moderators noted.
_WITHHELD: dict[type[Any], set[str]] = {Case.ReportFiled: {"reporter_id", "text"}, Case.Commented: {"text"}}
#: Steps that reporters do.
_REPORTERS = (Case.Opened, Case.ReportFiled)


class SubjectShown(BaseModel):
    """What a case is about."""

    type: str
    id: UUID


class CaseShown(BaseModel):
    """One case of the queue. `concerned` is the user whom a decision would be about."""

    id: UUID
    subject: SubjectShown
    concerned: Person
    state: CaseState
    moderator: Person | None
    outcome: Outcome | None
    reason: str | None
    report_count: int
    appeals: int
    opened_at: datetime
    decided_at: datetime | None
    closed_at: datetime | None
    version: int
    opened_position: int = Field(exclude=True)


class ReportShown(BaseModel):
    """One report; `reporter` and `text` are null for whom it is about."""

    id: UUID
    reporter: Person | None
    reason: str
    text: str | None
    at: datetime


class Remark(BaseModel):
    """What somebody said about a case."""

    author: Person
    text: str
    at: datetime


class CaseDetail(CaseShown):
    """A case with everything that was said."""

    reports: list[ReportShown]
    comments: list[Remark]
    appeal: Remark | None


class Situation(BaseModel):
    """A case as it was at some moment."""

    state: CaseState
    moderator_id: UUID | None
    outcome: Outcome | None
    reports: int
    appeals: int


class CaseStep(BaseModel):
    """One fact of a case's history and the state that it led to."""

    version: int
    at: datetime
    actor: Person | None
    type: str
    data: dict[str, Any]
    command_id: UUID | None
    state: Situation


class CaseHistory(BaseModel):
    """The steps up to the moment that was asked for, and what the case was then; null before it was opened."""

    items: list[CaseStep]
    next_cursor: str | None = None
    state: Situation | None


class OwnReport(BaseModel):
    """What became of a report of the caller's."""

    id: UUID
    case_id: UUID
    subject: SubjectShown
    reason: str
    at: datetime
    state: CaseState
    outcome: Outcome | None
    position: int = Field(exclude=True)


@router.get("/reports", dependencies=[fresh("moderation")])
def list_own_reports(caller: Member, db: ReadDb, page: PageDep) -> Page[OwnReport]:
    """The caller's own reports, newest first."""
    query = f"reports:{caller.user_id}"
    before = page.after(query)
    found = reports_of(db, caller.user_id, before[0] if before else None, page.fetch)
    return page.page(query, found, lambda report: [report.position])


@router.get("/moderation/cases", dependencies=[fresh("moderation", "users")])
def list_cases(
    staff: Moderator,
    db: ReadDb,
    page: PageDep,
    state: CaseState | None = None,
    subject_type: Annotated[str | None, Query(max_length=16)] = None,
    claimed_by: Id | None = None,
) -> Page[CaseShown]:
    """Cases, newest first."""
    query = f"cases:{state}:{subject_type}:{claimed_by}"
    before = page.after(query)
    filters = {"state": state, "subject_type": subject_type, "claimed_by": claimed_by}
    found = cases(db, filters, before[0] if before else None, page.fetch)
    return page.page(query, found, lambda case: [case.opened_position])


@router.get("/moderation/cases/{case_id}", dependencies=[fresh("moderation", "users")])
def get_case(case_id: Id, caller: Member, platform: PlatformDep) -> CaseDetail:
    """One case with its reports, notes and appeal."""
    facts = case_facts(platform.history, case_id)
    sight = _sight(caller, facts)
    with _reading(platform) as db:
        found = case(db, case_id)
        if found is None:
            raise NoSuchThing("no such case")
        return _detail(found, facts, sight, people(db, (fact.actor_id for fact in facts)))


@router.get("/moderation/cases/{case_id}/history", dependencies=[fresh("users")])
def get_case_history(
    case_id: Id,
    caller: Member,
    platform: PlatformDep,
    at: Annotated[str | None, Query(max_length=40, description="a version, or a time")] = None,
) -> CaseHistory:
    """Every step of a case with the state after it, replayed from the event store up to `at`."""
    facts = case_facts(platform.history, case_id)
    sight = _sight(caller, facts)
    until = None if at is None else moment(at)
    replayed = [step for step in replay(facts) if _is_by(step.fact, until)]
    with _reading(platform) as db:
        known = people(db, (step.fact.actor_id for step in replayed))
    return CaseHistory(
        items=[_step(step, known, sight) for step in replayed], state=replayed[-1].after if replayed else None
    )


@dataclass(frozen=True)
class Replayed:
    """One fact of a case and what the case was after it."""

    fact: AnyCaused
    after: Situation


@dataclass(frozen=True)
class Sight:
    """How much of a case the caller may see."""

    whole: bool


def case_facts(history: History, case_id: UUID) -> list[AnyCaused]:
    """The stream of the case, oldest first; raises `NoSuchThing`."""
    facts = list(FactLog(history).stream(case_id))
    if not facts or not isinstance(facts[0].event, Case.Opened):
        raise NoSuchThing("no such case")
    return facts


def _sight(caller: Caller, facts: list[AnyCaused]) -> Sight:
    """Raises `NoSuchThing`; moderators see a case about themselves as anybody else would."""
    if caller.user_id == facts[0].event.concerned_id:
        return Sight(whole=False)
    if caller.can(Permission.MODERATION):
        return Sight(whole=True)
    raise NoSuchThing("no such case")


def replay(facts: list[AnyCaused]) -> Iterator[Replayed]:
    """The facts of a case, oldest first, each with the state after it."""
    case: Case | None = None
    for fact in facts:
        case = fact.event.mutate(case)
        assert case is not None
        yield Replayed(
            fact,
            Situation(
                state=case.state,
                moderator_id=case.moderator_id,
                outcome=case.outcome,
                reports=len(case.reporters),
                appeals=case.appeals,
            ),
        )


def _is_by(fact: AnyCaused, until: int | datetime | None) -> bool:
    """Whether it had happened at that version or time."""
    if until is None:
        return True
    return fact.version <= until if isinstance(until, int) else fact.at <= until


def _step(step: Replayed, known: dict[UUID, Person], sight: Sight) -> CaseStep:
    fact = step.fact
    withheld = set() if sight.whole else _WITHHELD.get(type(fact.event), set())
    anonymous = not sight.whole and isinstance(fact.event, _REPORTERS)
    return CaseStep(
        version=fact.version,
        at=fact.at,
        actor=None if anonymous else known[fact.actor_id],
        type=fact.topic,
        data={name: value for name, value in vars(fact.event).items() if name not in _ENVELOPE | withheld},
        command_id=None if anonymous else fact.command_id,
        state=step.after,
    )


def _detail(found: CaseShown, facts: list[AnyCaused], sight: Sight, known: dict[UUID, Person]) -> CaseDetail:
    appeals = [_remark(fact, known) for fact in facts if isinstance(fact.event, Case.Appealed)]
    comments = [_remark(fact, known) for fact in facts if isinstance(fact.event, Case.Commented)]
    return CaseDetail(
        **dict(found),
        reports=[_report(fact, known, sight) for fact in facts if isinstance(fact.event, Case.ReportFiled)],
        comments=comments if sight.whole else [],
        appeal=appeals[-1] if appeals else None,
    )


def _report(fact: AnyCaused, known: dict[UUID, Person], sight: Sight) -> ReportShown:
    event: Case.ReportFiled = fact.event
    return ReportShown(
        id=event.report_id,
        reporter=known[fact.actor_id] if sight.whole else None,
        reason=event.reason,
        text=event.text if sight.whole else None,
        at=fact.at,
    )


def _remark(fact: AnyCaused, known: dict[UUID, Person]) -> Remark:
    return Remark(author=known[fact.actor_id], text=fact.event.text, at=fact.at)


_CASE = (
    "SELECT c.case_id AS id, c.subject_type, c.subject_id, c.concerned_id, concerned.username AS concerned, c.state,"
    " c.moderator_id, moderator.username AS moderator, c.outcome, c.reason, c.reports AS report_count, c.appeals,"
    " c.opened_at, c.decided_at, c.closed_at, c.version, c.opened_position FROM read.moderation_case c"
    " LEFT JOIN read.account concerned ON concerned.user_id = c.concerned_id"
    " LEFT JOIN read.account moderator ON moderator.user_id = c.moderator_id"
)


def cases(db: Connection[Any], filters: dict[str, Any], before: int | None, limit: int) -> list[CaseShown]:
    """At most `limit` cases, newest first, opened before that position; a filter of None takes every case."""
    return (
        db.cursor(row_factory=kwargs_row(_case))
        .execute(
            f"{_CASE} WHERE c.opened_position < %(before)s"
            " AND (%(state)s::text IS NULL OR c.state = %(state)s)"
            " AND (%(subject_type)s::text IS NULL OR c.subject_type = %(subject_type)s)"
            " AND (%(claimed_by)s::uuid IS NULL OR c.moderator_id = %(claimed_by)s)"
            " ORDER BY c.opened_position DESC LIMIT %(limit)s",
            {**filters, "before": 2**63 - 1 if before is None else before, "limit": limit},
        )
        .fetchall()
    )


def case(db: Connection[Any], case_id: UUID) -> CaseShown | None:
    """The case, or None."""
    return db.cursor(row_factory=kwargs_row(_case)).execute(f"{_CASE} WHERE c.case_id = %s", (case_id,)).fetchone()


def _case(**columns: Any) -> CaseShown:
    subject = SubjectShown(type=columns.pop("subject_type"), id=columns.pop("subject_id"))
    moderator_id, moderator = columns.pop("moderator_id"), columns.pop("moderator")
    return CaseShown(
        subject=subject,
        concerned=Person(id=columns.pop("concerned_id"), username=columns.pop("concerned")),
        moderator=None if moderator_id is None else Person(id=moderator_id, username=moderator),
        **columns,
    )


def reports_of(db: Connection[Any], reporter_id: UUID, before: int | None, limit: int) -> list[OwnReport]:
    """At most `limit` reports of one user, newest first, before that position."""
    return (
        db.cursor(row_factory=kwargs_row(_own_report))
        .execute(
            "SELECT r.report_id AS id, r.case_id, c.subject_type, c.subject_id, r.reason, r.at, c.state, c.outcome,"
            " r.position FROM read.moderation_report r JOIN read.moderation_case c USING (case_id)"
            " WHERE r.reporter_id = %s AND r.position < %s ORDER BY r.position DESC LIMIT %s",
            (reporter_id, 2**63 - 1 if before is None else before, limit),
        )
        .fetchall()
    )


def _own_report(*, subject_type: str, subject_id: UUID, **columns: Any) -> OwnReport:
    return OwnReport(subject=SubjectShown(type=subject_type, id=subject_id), **columns)
