"""Accounts as they are shown and checked: who may come in, under which name, in which group."""

from __future__ import annotations

from domain.base import ERASED
from domain.erasures import Erasure
from domain.users import WAITING_GROUP, User
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.projection import Projection

users = Projection("users", "account", "former_username", stream="user_id")


@users.on(User.Registered)
def registered(fact: Fact[User.Registered], db: Writer) -> None:
    db.execute(
        "INSERT INTO account (user_id, username, email, group_slug, state, email_verified, two_factor, passkey_no,"
        " registered_at, version, changed_pos) VALUES (%s, %s, %s, %s, %s, false, false, 1, %s, %s, %s)",
        (
            fact.stream_id,
            fact.event.username,
            fact.event.email,
            fact.event.group,
            "validating" if fact.event.group == WAITING_GROUP else "enabled",
            fact.at,
            fact.version,
            fact.position,
        ),
    )


@users.on(User.EmailVerified)
def email_verified(fact: Fact[User.EmailVerified], db: Writer) -> None:
    db.update(
        "UPDATE account SET email_verified = true, version = %s, changed_pos = %s WHERE user_id = %s",
        (fact.version, fact.position, fact.stream_id),
    )


@users.on(User.EmailChanged, User.EmailRestored)
def email_changed(fact: AnyFact, db: Writer) -> None:
    db.update(
        "UPDATE account SET email = %s, email_verified = true, version = %s, changed_pos = %s WHERE user_id = %s",
        (fact.event.email, fact.version, fact.position, fact.stream_id),
    )


@users.on(User.Renamed)
def renamed(fact: Fact[User.Renamed], db: Writer) -> None:
    """The former name is remembered with who took it away."""
    db.execute(
        "INSERT INTO former_username (user_id, version, username, until, renamed_by, reason)"
        " SELECT user_id, %s, username, %s, %s, %s FROM account WHERE user_id = %s",
        (fact.version, fact.at, fact.actor_id, fact.event.reason, fact.stream_id),
    )
    db.update(
        "UPDATE account SET username = %s, version = %s, changed_pos = %s WHERE user_id = %s",
        (fact.event.username, fact.version, fact.position, fact.stream_id),
    )


@users.on(User.GroupChanged)
def group_changed(fact: Fact[User.GroupChanged], db: Writer) -> None:
    db.update(
        "UPDATE account SET group_slug = %s, version = %s, changed_pos = %s, state = CASE"
        " WHEN state = 'disabled' THEN state WHEN %s THEN 'validating' ELSE 'enabled' END WHERE user_id = %s",
        (fact.event.group, fact.version, fact.position, fact.event.group == WAITING_GROUP, fact.stream_id),
    )


@users.on(User.Disabled)
def disabled(fact: Fact[User.Disabled], db: Writer) -> None:
    db.update(
        "UPDATE account SET state = 'disabled', version = %s, changed_pos = %s WHERE user_id = %s",
        (fact.version, fact.position, fact.stream_id),
    )


@users.on(User.Enabled)
def enabled(fact: Fact[User.Enabled], db: Writer) -> None:
    db.update(
        "UPDATE account SET version = %s, changed_pos = %s,"
        " state = CASE WHEN group_slug = %s THEN 'validating' ELSE 'enabled' END WHERE user_id = %s",
        (fact.version, fact.position, WAITING_GROUP, fact.stream_id),
    )


@users.on(User.Erased)
def erased(fact: Fact[User.Erased], db: Writer) -> None:
    """At once, though the key may be there for another moment."""
    db.update(
        "UPDATE account SET username = %s, email = %s, version = %s, changed_pos = %s WHERE user_id = %s",
        (ERASED, ERASED, fact.version, fact.position, fact.stream_id),
    )
    db.execute("UPDATE former_username SET username = %s WHERE user_id = %s", (ERASED, fact.stream_id))


@users.on(Erasure.Completed)
def erasure_completed(fact: Fact[Erasure.Completed], db: Writer) -> None:
    db.execute("UPDATE former_username SET username = %s WHERE user_id = %s", (ERASED, fact.event.user_id))
    db.execute("UPDATE account SET username = %s, email = %s WHERE user_id = %s", (ERASED, ERASED, fact.event.user_id))


@users.on(User.PasskeyReset)
def passkey_reset(fact: Fact[User.PasskeyReset], db: Writer) -> None:
    db.update(
        "UPDATE account SET passkey_no = %s, version = %s, changed_pos = %s WHERE user_id = %s",
        (fact.event.passkey_no, fact.version, fact.position, fact.stream_id),
    )


@users.on(User.PasswordChanged, User.RecoveryCodesReplaced)
def secrets_changed(fact: AnyFact, db: Writer) -> None:
    db.update(
        "UPDATE account SET version = %s, changed_pos = %s WHERE user_id = %s",
        (fact.version, fact.position, fact.stream_id),
    )


@users.on(User.PersonalFreeleechGranted)
def freeleech_granted(fact: Fact[User.PersonalFreeleechGranted], db: Writer) -> None:
    db.update(
        "UPDATE account SET free_until = %s, version = %s, changed_pos = %s WHERE user_id = %s",
        (fact.event.until, fact.version, fact.position, fact.stream_id),
    )


@users.on(User.PersonalFreeleechEnded)
def freeleech_ended(fact: Fact[User.PersonalFreeleechEnded], db: Writer) -> None:
    db.update(
        "UPDATE account SET free_until = NULL, version = %s, changed_pos = %s WHERE user_id = %s",
        (fact.version, fact.position, fact.stream_id),
    )


@users.on(User.LeechingSuspended)
def leeching_suspended(fact: Fact[User.LeechingSuspended], db: Writer) -> None:
    db.update(
        "UPDATE account SET leeching_suspended = %s, version = %s, changed_pos = %s WHERE user_id = %s",
        (fact.event.reason, fact.version, fact.position, fact.stream_id),
    )


@users.on(User.LeechingRestored)
def leeching_restored(fact: Fact[User.LeechingRestored], db: Writer) -> None:
    db.update(
        "UPDATE account SET leeching_suspended = NULL, version = %s, changed_pos = %s WHERE user_id = %s",
        (fact.version, fact.position, fact.stream_id),
    )


@users.on(User.TwoFactorEnabled)
def two_factor_enabled(fact: Fact[User.TwoFactorEnabled], db: Writer) -> None:
    db.update(
        "UPDATE account SET two_factor = true, version = %s, changed_pos = %s WHERE user_id = %s",
        (fact.version, fact.position, fact.stream_id),
    )


@users.on(User.TwoFactorDisabled)
def two_factor_disabled(fact: Fact[User.TwoFactorDisabled], db: Writer) -> None:
    db.update(
        "UPDATE account SET two_factor = false, version = %s, changed_pos = %s WHERE user_id = %s",
        (fact.version, fact.position, fact.stream_id),
    )
