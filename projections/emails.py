"""Which other addresses users asked for, and what became of that."""

from __future__ import annotations

from uuid import UUID

from domain.base import ERASED
from domain.emails import EmailChange
from domain.erasures import Erasure
from domain.users import User
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.projection import Projection

emails = Projection("emails", "email_change")


@emails.on(EmailChange.Asked)
def asked(fact: Fact[EmailChange.Asked], db: Writer) -> None:
    db.execute(
        "INSERT INTO email_change (change_id, user_id, email, former_email, state, asked_at)"
        " VALUES (%s, %s, %s, %s, 'asked', %s)",
        (fact.stream_id, fact.event.user_id, fact.event.email, fact.event.former, fact.at),
    )


@emails.on(EmailChange.Confirmed)
def confirmed(fact: Fact[EmailChange.Confirmed], db: Writer) -> None:
    db.update(
        "UPDATE email_change SET state = 'confirmed', confirmed_at = %s WHERE change_id = %s",
        (fact.at, fact.stream_id),
    )


@emails.on(EmailChange.Cancelled)
def cancelled(fact: Fact[EmailChange.Cancelled], db: Writer) -> None:
    _end(fact, "cancelled", db)


@emails.on(EmailChange.Undone)
def undone(fact: Fact[EmailChange.Undone], db: Writer) -> None:
    _end(fact, "undone", db)


@emails.on(EmailChange.Settled)
def settled(fact: Fact[EmailChange.Settled], db: Writer) -> None:
    _end(fact, "settled", db)


@emails.on(User.Erased)
def erased(fact: Fact[User.Erased], db: Writer) -> None:
    _forget(fact.stream_id, db)


@emails.on(Erasure.Completed)
def erasure_completed(fact: Fact[Erasure.Completed], db: Writer) -> None:
    _forget(fact.event.user_id, db)


def _end(fact: AnyFact, state: str, db: Writer) -> None:
    db.update(
        "UPDATE email_change SET state = %s, ended_at = %s WHERE change_id = %s", (state, fact.at, fact.stream_id)
    )


def _forget(user_id: UUID, db: Writer) -> None:
    db.execute("UPDATE email_change SET email = %s, former_email = %s WHERE user_id = %s", (ERASED, ERASED, user_id))
