"""Guesses at secrets as they are counted: one row each in the credentials store, in PostgreSQL, for all processes.

A guess is noted before its secret is looked at and taken back when it was right, so that guesses made at the same
moment see each other. What the counts mean is `domain.login_defence`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from psycopg import Connection, Cursor
from psycopg.rows import class_row, dict_row

#: A guess that is under way for so long was left behind by a process that died: it counts as a failure.
UNDER_WAY_MAX = timedelta(seconds=30)
#: How long guesses are shown, and devices remembered.
GUESSES_KEEP = timedelta(days=30)


@dataclass(frozen=True)
class Guess:
    """One try at the secrets of an account; `network` is what failures of the address are held against."""

    id: UUID
    account_id: UUID
    network: str | None
    ip: str | None
    user_agent: str | None
    at: datetime
    with_code: bool


_FAILED: LiteralString = "(failure IS NOT NULL OR at <= %(died)s)"
_UNDER_WAY: LiteralString = "(failure IS NULL AND at > %(died)s)"
_HERE: LiteralString = "network = %(network)s AND counts_at_address AND at > %(address_since)s"
_PAIR: LiteralString = f"user_id = %(account)s AND {_HERE}"
_ACCOUNT: LiteralString = "user_id = %(account)s AND counts_for_account AND at > %(account_since)s"
_CODES: LiteralString = (
    "user_id = %(account)s AND with_code AND failure IS DISTINCT FROM 'password' AND at > %(codes_since)s"
)


def _counts(name: LiteralString, which: LiteralString) -> LiteralString:
    return (
        f"count(*) FILTER (WHERE {which} AND {_FAILED}) AS {name}_failed,"
        f" max(at) FILTER (WHERE {which} AND {_FAILED}) AS {name}_last_at,"
        f" count(*) FILTER (WHERE {which} AND {_UNDER_WAY}) AS {name}_under_way"
    )


_STANDING: LiteralString = (
    "SELECT"
    f" {_counts('address', _HERE)}, {_counts('pair', _PAIR)}, {_counts('account', _ACCOUNT)},"
    f" {_counts('codes', _CODES)}, {_counts('pair_codes', _CODES + ' AND network = %(network)s')},"
    " EXISTS (SELECT FROM credentials.known_device"
    " WHERE user_id = %(account)s AND network = %(network)s AND signed_in_at > %(known_since)s) AS device_known"
    " FROM credentials.guess WHERE at > %(oldest)s AND (network = %(network)s OR user_id = %(account)s)"
)


def counts(
    cursor: Cursor[Any],
    guess: Guess,
    *,
    address_since: datetime,
    account_since: datetime,
    codes_since: datetime,
    known_since: datetime,
) -> dict[str, Any]:
    """What is known of the address and the account; until the transaction ends, others' guesses at them wait."""
    for lock in (f"guesses at {guess.account_id}", f"guesses from {guess.network}"):  # always in this order
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (lock,))
    values = {
        "account": guess.account_id,
        "network": guess.network,
        "died": guess.at - UNDER_WAY_MAX,
        "address_since": address_since,
        "account_since": account_since,
        "codes_since": codes_since,
        "known_since": known_since,
        "oldest": min(address_since, account_since, codes_since),
    }
    with cursor.connection.cursor(row_factory=dict_row) as rows:
        row = rows.execute(_STANDING, values, prepare=True).fetchone()
    assert row is not None
    return row


def note(cursor: Cursor[Any], guess: Guess) -> None:
    """The guess is under way."""
    cursor.execute(
        "INSERT INTO credentials.guess (guess_id, user_id, network, ip, user_agent, at, with_code)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (guess.id, guess.account_id, guess.network, guess.ip, guess.user_agent, guess.at, guess.with_code),
    )


def note_failure(db: Connection[Any], guess: Guess, failure: str) -> None:
    """The guess was wrong, at the password or the second factor."""
    db.execute("UPDATE credentials.guess SET failure = %s WHERE guess_id = %s", (failure, guess.id))


def often_failed(db: Connection[Any], since: datetime, more_than: int) -> list[tuple[UUID, int]]:
    """Accounts with more failures than that since then, with their number; names without an account are among them."""
    return db.execute(
        "SELECT user_id, count(*) FROM credentials.guess WHERE at > %s AND failure IS NOT NULL GROUP BY user_id"
        " HAVING count(*) > %s ORDER BY user_id",
        (since, more_than),
    ).fetchall()


class FailedGuess(NamedTuple):
    """One try that failed, at the password or at the second factor."""

    at: datetime
    failure: str
    ip: str | None
    user_agent: str | None


def failures_of(db: Connection[Any], user_id: UUID, limit: int) -> list[FailedGuess]:
    """At most `limit` failed tries at an account, the latest first."""
    with db.cursor(row_factory=class_row(FailedGuess)) as cursor:
        return cursor.execute(
            "SELECT at, failure, host(ip) AS ip, user_agent FROM credentials.guess"
            " WHERE user_id = %s AND failure IS NOT NULL ORDER BY guess_id DESC LIMIT %s",
            (user_id, limit),
        ).fetchall()


def take_back(db: Connection[Any] | Cursor[Any], guess: Guess) -> None:
    """It was right, or no guess at all."""
    db.execute("DELETE FROM credentials.guess WHERE guess_id = %s", (guess.id,))


def forgive(cursor: Cursor[Any], guess: Guess) -> None:
    """The account has proved itself: its failures so far count no more, those from elsewhere only for their address."""
    take_back(cursor, guess)
    cursor.execute(
        "UPDATE credentials.guess SET counts_for_account = false,"
        " counts_at_address = counts_at_address AND network IS DISTINCT FROM %s WHERE user_id = %s"
        " AND (counts_for_account OR counts_at_address) AND failure IS NOT NULL",
        (guess.network, guess.account_id),
    )


def forgive_account(cursor: Cursor[Any], user_id: UUID) -> None:
    """The account has a new password, which nobody has guessed at yet."""
    cursor.execute(
        "UPDATE credentials.guess SET counts_for_account = false WHERE user_id = %s AND counts_for_account",
        (user_id,),
    )


def know_device(cursor: Cursor[Any], user_id: UUID, network: str, now: datetime, known_since: datetime) -> bool:
    """The user signed in from there; whether that is news to an account that has signed in before."""
    row = cursor.execute(
        "SELECT count(*) > 0, coalesce(bool_or(network = %s AND signed_in_at > %s), false)"
        " FROM credentials.known_device WHERE user_id = %s",
        (network, known_since, user_id),
    ).fetchone()
    assert row is not None
    cursor.execute(
        "INSERT INTO credentials.known_device (user_id, network, signed_in_at) VALUES (%s, %s, %s)"
        " ON CONFLICT (user_id, network) DO UPDATE SET signed_in_at = EXCLUDED.signed_in_at",
        (user_id, network, now),
    )
    has_others, known = row
    return bool(has_others and not known)


def tell_again(cursor: Cursor[Any], user_id: UUID, kind: str, now: datetime, every: timedelta) -> bool:
    """Whether a notice of that kind is due; from then on it is not for so long."""
    told = cursor.execute(
        "INSERT INTO credentials.notice (user_id, kind, told_at) VALUES (%s, %s, %s)"
        " ON CONFLICT (user_id, kind) DO UPDATE SET told_at = EXCLUDED.told_at WHERE notice.told_at <= %s",
        (user_id, kind, now, now - every),
    )
    return told.rowcount > 0


def forget_guesses(connection: Connection[Any], now: datetime) -> int:
    """Remove what is too old to count; returns how many guesses."""
    before = now - GUESSES_KEEP
    connection.execute("DELETE FROM credentials.known_device WHERE signed_in_at < %s", (before,))
    return connection.execute("DELETE FROM credentials.guess WHERE at < %s", (before,)).rowcount
