"""Warnings as they are shown."""

from __future__ import annotations

from uuid import UUID

from domain.warnings import Warnings
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.projection import Projection

warnings = Projection("warnings", "warning")


@warnings.on(Warnings.Given)
def given(fact: Fact[Warnings.Given], db: Writer) -> None:
    db.execute(
        "INSERT INTO warning (warning_id, user_id, state, reason, case_id, given_by, given_at, until)"
        " VALUES (%s, %s, 'active', %s, %s, %s, %s, %s)",
        (
            fact.event.warning_id,
            fact.event.user_id,
            fact.event.reason,
            fact.event.case_id,
            fact.actor_id,
            fact.at,
            fact.event.until,
        ),
    )


@warnings.on(Warnings.Lifted)
def lifted(fact: Fact[Warnings.Lifted], db: Writer) -> None:
    _end(fact, "lifted", fact.event.reason, fact.actor_id, db)


@warnings.on(Warnings.Expired)
def expired(fact: Fact[Warnings.Expired], db: Writer) -> None:
    _end(fact, "expired", None, None, db)


def _end(fact: AnyFact, state: str, reason: str | None, ended_by: UUID | None, db: Writer) -> None:
    db.update(
        "UPDATE warning SET state = %s, lift_reason = %s, ended_by = %s, ended_at = %s WHERE warning_id = %s",
        (state, reason, ended_by, fact.at, fact.event.warning_id),
    )
