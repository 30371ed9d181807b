"""Guessing at a secret, held to its bounds: whatever looks at a password or a code does so within `guessing`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Cursor

from domain.errors import DomainError
from domain.login_defence import (
    ACCOUNT_MEMORY,
    ADDRESS_MEMORY,
    KNOWN_FOR,
    WRONG_CODES_MEMORY,
    Guesses,
    Standing,
    check_guess,
    network_of,
)
from runtime import login_defence
from runtime.login_defence import Guess
from runtime.store import Store, new_id


@dataclass
class Attempt:
    """A guess under way. Unless it fails, or succeeds within `succeeded`, it was none."""

    guess: Guess
    settled: bool = False

    def succeeded(self, cursor: Cursor[Any]) -> bool:
        """The account has proved itself, in the transaction of what follows from that; whether its device is new."""
        self.settled = True
        login_defence.forgive(cursor, self.guess)
        if self.guess.network is None:
            return False
        now = self.guess.at
        return login_defence.know_device(cursor, self.guess.account_id, self.guess.network, now, now - KNOWN_FOR)


@contextmanager
def guessing(
    store: Store,
    account_id: UUID,
    now: datetime,
    *,
    wrong: Mapping[type[DomainError], str],
    with_code: bool = False,
) -> Iterator[Attempt]:
    """Look at a secret of the account within; raises `TooManyTries` before anything is looked at.

    `wrong` are the errors by which a guess fails, with what it failed at: password, second_factor.
    """
    attempt = Attempt(_begin(store, account_id, now, with_code=with_code))
    try:
        yield attempt
    except tuple(wrong) as error:
        attempt.settled = True
        with store.history.pool.connection() as connection:
            login_defence.note_failure(connection, attempt.guess, wrong[type(error)])
        raise
    finally:
        if not attempt.settled:
            with store.history.pool.connection() as connection:
                login_defence.take_back(connection, attempt.guess)


def remember_device(cursor: Cursor[Any], store: Store, user_id: UUID, now: datetime) -> None:
    """The address of this command is one of the user's own."""
    if store.metadata.ip is not None:
        login_defence.know_device(cursor, user_id, network_of(store.metadata.ip), now, now - KNOWN_FOR)


def _begin(store: Store, account_id: UUID, now: datetime, *, with_code: bool) -> Guess:
    ip, user_agent = store.metadata.ip, store.metadata.user_agent
    guess = Guess(new_id(), account_id, network_of(ip) if ip else None, ip, user_agent, now, with_code)
    with store.history.pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
        check_guess(_standing(cursor, guess), with_code=with_code, now=now)
        login_defence.note(cursor, guess)
    return guess


def _standing(cursor: Cursor[Any], guess: Guess) -> Standing:
    found = login_defence.counts(
        cursor,
        guess,
        address_since=guess.at - ADDRESS_MEMORY,
        account_since=guess.at - ACCOUNT_MEMORY,
        codes_since=guess.at - WRONG_CODES_MEMORY,
        known_since=guess.at - KNOWN_FOR,
    )

    def of(name: str) -> Guesses:
        return Guesses(found[f"{name}_failed"], found[f"{name}_last_at"], found[f"{name}_under_way"])

    known = found["device_known"]
    return Standing(
        address=of("address") if guess.network else None,
        pair=of("pair"),
        account=of("account"),
        codes=of("pair_codes" if known else "codes"),
        device_known=known,
    )
