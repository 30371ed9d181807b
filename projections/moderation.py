"""Moderation cases as the queue shows them, and which reports led to them."""

from __future__ import annotations

from domain.moderation import Case
from runtime.db import Writer
from runtime.facts import Fact
from runtime.projection import Projection

moderation = Projection("moderation", "moderation_case", "moderation_report", stream="case_id")


@moderation.on(Case.Opened)
def opened(fact: Fact[Case.Opened], db: Writer) -> None:
    event = fact.event
    db.execute(
        "INSERT INTO moderation_case (case_id, subject_type, subject_id, concerned_id, state, reports, appeals,"
        " opened_at, version, opened_position) VALUES (%s, %s, %s, %s, 'open', 0, 0, %s, %s, %s)",
        (
            fact.stream_id,
            event.subject_type,
            event.subject_id,
            event.concerned_id,
            fact.at,
            fact.version,
            fact.position,
        ),
    )


@moderation.on(Case.ReportFiled)
def report_filed(fact: Fact[Case.ReportFiled], db: Writer) -> None:
    event = fact.event
    db.update(
        "UPDATE moderation_case SET reports = reports + 1, version = %s WHERE case_id = %s",
        (fact.version, fact.stream_id),
    )
    db.execute(
        "INSERT INTO moderation_report (report_id, case_id, reporter_id, reason, at, position)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (event.report_id, fact.stream_id, event.reporter_id, event.reason, fact.at, fact.position),
    )


@moderation.on(Case.Claimed)
def claimed(fact: Fact[Case.Claimed], db: Writer) -> None:
    db.update(
        "UPDATE moderation_case SET state = 'claimed', moderator_id = %s, version = %s WHERE case_id = %s",
        (fact.event.moderator_id, fact.version, fact.stream_id),
    )


@moderation.on(Case.Commented)
def commented(fact: Fact[Case.Commented], db: Writer) -> None:
    db.update("UPDATE moderation_case SET version = %s WHERE case_id = %s", (fact.version, fact.stream_id))


@moderation.on(Case.Decided)
def decided(fact: Fact[Case.Decided], db: Writer) -> None:
    db.update(
        "UPDATE moderation_case SET state = 'decided', outcome = %s, reason = %s, decided_at = %s, version = %s"
        " WHERE case_id = %s",
        (fact.event.outcome, fact.event.reason, fact.at, fact.version, fact.stream_id),
    )


@moderation.on(Case.Appealed)
def appealed(fact: Fact[Case.Appealed], db: Writer) -> None:
    db.update(
        "UPDATE moderation_case SET state = 'appealed', appeals = appeals + 1, moderator_id = NULL, version = %s"
        " WHERE case_id = %s",
        (fact.version, fact.stream_id),
    )


@moderation.on(Case.Closed)
def closed(fact: Fact[Case.Closed], db: Writer) -> None:
    db.update(
        "UPDATE moderation_case SET state = 'closed', closed_at = %s, version = %s WHERE case_id = %s",
        (fact.at, fact.version, fact.stream_id),
    )
