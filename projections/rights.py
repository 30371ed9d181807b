"""What users may do and may not beside what their groups say, as it is shown and checked."""

from __future__ import annotations

from domain.rights import Rights
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.projection import Projection

rights = Projection("rights", "permission_exception", "secondary_membership", "class_lock")


@rights.on(Rights.PermissionGranted)
def permission_granted(fact: Fact[Rights.PermissionGranted], db: Writer) -> None:
    _except(fact, True, db)


@rights.on(Rights.PermissionDenied)
def permission_denied(fact: Fact[Rights.PermissionDenied], db: Writer) -> None:
    _except(fact, False, db)


@rights.on(Rights.ExceptionWithdrawn, Rights.ExceptionExpired)
def exception_ended(fact: AnyFact, db: Writer) -> None:
    db.update(
        "DELETE FROM permission_exception WHERE user_id = %s AND permission = %s",
        (fact.event.user_id, fact.event.permission),
    )


@rights.on(Rights.SecondaryGroupGiven)
def secondary_group_given(fact: Fact[Rights.SecondaryGroupGiven], db: Writer) -> None:
    db.execute(
        "INSERT INTO secondary_membership (user_id, group_slug, reason, until, given_by, given_at, changed_pos)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (user_id, group_slug) DO UPDATE SET"
        " reason = excluded.reason, until = excluded.until, given_by = excluded.given_by,"
        " given_at = excluded.given_at, changed_pos = excluded.changed_pos",
        (
            *(fact.event.user_id, fact.event.group, fact.event.reason, fact.event.until),
            *(fact.actor_id, fact.at, fact.position),
        ),
    )


@rights.on(Rights.SecondaryGroupTaken, Rights.SecondaryGroupExpired)
def secondary_group_ended(fact: AnyFact, db: Writer) -> None:
    db.update(
        "DELETE FROM secondary_membership WHERE user_id = %s AND group_slug = %s",
        (fact.event.user_id, fact.event.group),
    )


@rights.on(Rights.ClassLocked)
def class_locked(fact: Fact[Rights.ClassLocked], db: Writer) -> None:
    db.execute(
        "INSERT INTO class_lock (user_id, reason, locked_by, locked_at, changed_pos) VALUES (%s, %s, %s, %s, %s)",
        (fact.event.user_id, fact.event.reason, fact.actor_id, fact.at, fact.position),
    )


@rights.on(Rights.ClassUnlocked)
def class_unlocked(fact: Fact[Rights.ClassUnlocked], db: Writer) -> None:
    db.update("DELETE FROM class_lock WHERE user_id = %s", (fact.event.user_id,))


def _except(fact: AnyFact, granted: bool, db: Writer) -> None:
    db.execute(
        "INSERT INTO permission_exception (user_id, permission, granted, reason, until, given_by, given_at,"
        " changed_pos) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (user_id, permission) DO UPDATE SET"
        " granted = excluded.granted, reason = excluded.reason, until = excluded.until,"
        " given_by = excluded.given_by, given_at = excluded.given_at, changed_pos = excluded.changed_pos",
        (
            *(fact.event.user_id, fact.event.permission, granted, fact.event.reason, fact.event.until),
            *(fact.actor_id, fact.at, fact.position),
        ),
    )
