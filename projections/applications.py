"""Who asked to be let in, and what the staff answered."""

from __future__ import annotations

from uuid import UUID

from domain.applications import Application
from domain.base import ERASED
from domain.erasures import Erasure
from domain.users import User
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.projection import Projection

applications = Projection("applications", "application")


@applications.on(Application.Filed)
def filed(fact: Fact[Application.Filed], db: Writer) -> None:
    db.execute(
        "INSERT INTO application (application_id, applicant_id, email, text, links, state, filed_at, version)"
        " VALUES (%s, %s, %s, %s, %s, 'open', %s, %s)",
        (
            fact.stream_id,
            fact.event.applicant_id,
            fact.event.email,
            fact.event.text,
            fact.event.links.splitlines(),
            fact.at,
            fact.version,
        ),
    )


@applications.on(Application.Approved)
def approved(fact: Fact[Application.Approved], db: Writer) -> None:
    _answer(fact, "approved", None, fact.event.invite_id, db)


@applications.on(Application.Rejected)
def rejected(fact: Fact[Application.Rejected], db: Writer) -> None:
    _answer(fact, "rejected", fact.event.reason, None, db)


@applications.on(User.Erased)
def erased(fact: Fact[User.Erased], db: Writer) -> None:
    _forget(fact.stream_id, db)


@applications.on(Erasure.Completed)
def erasure_completed(fact: Fact[Erasure.Completed], db: Writer) -> None:
    _forget(fact.event.user_id, db)


def _answer(fact: AnyFact, state: str, reason: str | None, invite_id: UUID | None, db: Writer) -> None:
    db.update(
        "UPDATE application SET state = %s, reason = %s, invite_id = %s, answered_by = %s, answered_at = %s,"
        " version = %s WHERE application_id = %s",
        (state, reason, invite_id, fact.actor_id, fact.at, fact.version, fact.stream_id),
    )


def _forget(user_id: UUID, db: Writer) -> None:
    db.execute(
        "UPDATE application SET email = %s, text = %s, links = ARRAY[%s] WHERE applicant_id = %s",
        (ERASED, ERASED, ERASED, user_id),
    )
