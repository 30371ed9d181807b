"""Whom members invited, what became of it, and how many invites they have."""

from __future__ import annotations

from uuid import UUID

from domain.base import ERASED
from domain.erasures import Erasure
from domain.invites import Invite, InviteAllowance
from domain.users import User
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.projection import Projection

invites = Projection("invites", "invite", "invite_allowance")


@invites.on(Invite.Sent)
def sent(fact: Fact[Invite.Sent], db: Writer) -> None:
    db.execute(
        "INSERT INTO invite (invite_id, inviter_id, invitee_id, email, note, charged, state, sent_at, expires_at,"
        " version) VALUES (%s, %s, %s, %s, %s, %s, 'sent', %s, %s, %s)",
        (
            fact.stream_id,
            fact.event.inviter_id,
            fact.event.invitee_id,
            fact.event.email,
            fact.event.note,
            fact.event.charged,
            fact.at,
            fact.event.expires_at,
            fact.version,
        ),
    )


@invites.on(Invite.SentAgain)
def sent_again(fact: Fact[Invite.SentAgain], db: Writer) -> None:
    db.update("UPDATE invite SET version = %s WHERE invite_id = %s", (fact.version, fact.stream_id))


@invites.on(Invite.Accepted)
def accepted(fact: Fact[Invite.Accepted], db: Writer) -> None:
    _end(fact, "accepted", db)


@invites.on(Invite.Revoked)
def revoked(fact: Fact[Invite.Revoked], db: Writer) -> None:
    _end(fact, "revoked", db)


@invites.on(Invite.Expired)
def expired(fact: Fact[Invite.Expired], db: Writer) -> None:
    _end(fact, "expired", db)


@invites.on(InviteAllowance.Opened)
def allowance_opened(fact: Fact[InviteAllowance.Opened], db: Writer) -> None:
    db.execute("INSERT INTO invite_allowance (user_id, balance, month) VALUES (%s, 0, '')", (fact.event.user_id,))


@invites.on(InviteAllowance.Granted)
def granted(fact: Fact[InviteAllowance.Granted], db: Writer) -> None:
    _add(fact.event.user_id, fact.event.invites, db)


@invites.on(InviteAllowance.MonthCredited)
def month_credited(fact: Fact[InviteAllowance.MonthCredited], db: Writer) -> None:
    db.update(
        "UPDATE invite_allowance SET balance = balance + %s, month = %s WHERE user_id = %s",
        (fact.event.invites, fact.event.month, fact.event.user_id),
    )


@invites.on(InviteAllowance.Spent)
def spent(fact: Fact[InviteAllowance.Spent], db: Writer) -> None:
    _add(fact.event.user_id, -1, db)


@invites.on(InviteAllowance.Refunded)
def refunded(fact: Fact[InviteAllowance.Refunded], db: Writer) -> None:
    _add(fact.event.user_id, 1, db)


@invites.on(User.Erased)
def erased(fact: Fact[User.Erased], db: Writer) -> None:
    _forget(fact.stream_id, db)


@invites.on(Erasure.Completed)
def erasure_completed(fact: Fact[Erasure.Completed], db: Writer) -> None:
    _forget(fact.event.user_id, db)


def _end(fact: AnyFact, state: str, db: Writer) -> None:
    db.update(
        "UPDATE invite SET state = %s, ended_at = %s, version = %s WHERE invite_id = %s",
        (state, fact.at, fact.version, fact.stream_id),
    )


def _add(user_id: UUID, invites: int, db: Writer) -> None:
    db.update("UPDATE invite_allowance SET balance = balance + %s WHERE user_id = %s", (invites, user_id))


def _forget(user_id: UUID, db: Writer) -> None:
    db.execute("UPDATE invite SET email = %s, note = %s WHERE invitee_id = %s", (ERASED, ERASED, user_id))
