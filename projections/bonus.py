"""The bonus ledger as rows: accounts, postings and balances, checked against the events while they are written.

The events carry the balance that the decision saw, and the rows have their own running sum: a difference, or an entry
whose halves do not sum to zero, stops the projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from domain.bonus import Account, AccountKind
from runtime.db import MissingRow, Writer
from runtime.facts import AnyCaused, Caused
from runtime.projection import Projection

bonus = Projection("bonus", "ledger_account", "ledger_posting", "ledger_open_entry", "ledger_balance", causes=True)


#: Postings per transaction.
AT_ONCE = 10_000


class LedgerBroken(Exception):
    """The events of the ledger contradict each other."""


@bonus.on(Account.Opened)
def opened(fact: Caused[Account.Opened], db: Writer) -> None:
    db.execute(
        "INSERT INTO ledger_account (account_id, kind, owner_id, balance) VALUES (%s, %s, %s, 0)",
        (fact.stream_id, fact.event.kind, fact.event.owner_id),
    )
    if fact.event.kind == AccountKind.BONUS:
        db.execute("INSERT INTO ledger_balance (user_id, balance) VALUES (%s, 0)", (fact.event.owner_id,))


@bonus.on_batch(Account.Posted, at_once=AT_ONCE, size=lambda event: 1, amid=(Account.Opened,))
def posted(facts: Sequence[AnyCaused], db: Writer) -> None:
    halves = _Halves(db)
    for fact in facts:
        if isinstance(fact.event, Account.Posted):
            _move_balance(fact, db)
            halves.match(fact)
            _insert(fact, db)
        else:
            bonus.apply([fact], db)
    halves.write()


def _insert(fact: Caused[Account.Posted], db: Writer) -> None:
    event = fact.event
    db.execute(
        "INSERT INTO ledger_posting (account_id, version, entry_id, at, amount, balance, kind, subject_type,"
        " subject_id, text, counter_account_id, actor_id, command_id, position)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            fact.stream_id,
            fact.version,
            event.entry_id,
            fact.at,
            event.amount,
            event.balance,
            event.kind,
            event.subject_type,
            event.subject_id,
            event.text,
            event.counter_account_id,
            fact.actor_id,
            fact.command_id,
            fact.position,
        ),
    )


def _move_balance(fact: Caused[Account.Posted], db: Writer) -> None:
    rows = db.rows(
        "UPDATE ledger_account SET balance = balance + %s WHERE account_id = %s RETURNING balance, kind, owner_id",
        (fact.event.amount, fact.stream_id),
    )
    if not rows:
        raise MissingRow(f"ledger_account {fact.stream_id}")
    balance, kind, owner_id = rows[0]
    if balance != fact.event.balance:
        raise LedgerBroken(f"account {fact.stream_id} holds {balance}, its event says {fact.event.balance}")
    if kind == AccountKind.BONUS:
        db.update("UPDATE ledger_balance SET balance = %s WHERE user_id = %s", (balance, owner_id))


class _Half(NamedTuple):
    """A row of `ledger_open_entry`: a posting whose counterpart is yet to come."""

    entry_id: UUID
    account_id: UUID
    counter_account_id: UUID
    amount: int
    command_id: UUID
    position: int


class _Halves:
    """Matches the halves of entries.

    Events of other commands may stand between the halves, but none of either account: a command saw the account with
    the whole of every earlier entry. So an open entry of another command that touches this account is a lone half.
    """

    def __init__(self, db: Writer) -> None:
        self._db = db
        rows = db.rows(f"SELECT {', '.join(_Half._fields)} FROM ledger_open_entry")  # most of the time there is none
        self._stored = {row[0]: _Half(*row) for row in rows}
        self._open = dict(self._stored)

    def match(self, fact: Caused[Account.Posted]) -> None:
        """Raises `LedgerBroken`."""
        event = fact.event
        half = _Half(
            *(event.entry_id, fact.stream_id, event.counter_account_id, event.amount, fact.command_id, fact.position)
        )
        alone = [one for one in self._open.values() if _is_alone(one, half)]
        twin = self._open.pop(event.entry_id, None)
        if alone or (twin is not None and not _are_twins(twin, half)):
            raise LedgerBroken(f"the halves of entry {(alone or [half])[0].entry_id} do not sum to zero in one command")
        if twin is None:
            self._open[event.entry_id] = half

    def write(self) -> None:
        for entry_id in self._stored.keys() - self._open.keys():
            self._db.execute("DELETE FROM ledger_open_entry WHERE entry_id = %s", (entry_id,))
        for entry_id in self._open.keys() - self._stored.keys():
            self._db.execute(
                "INSERT INTO ledger_open_entry (entry_id, account_id, counter_account_id, amount, command_id, position)"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                self._open[entry_id],
            )


def _is_alone(half: _Half, other: _Half) -> bool:
    """Whether the other one shows that nothing will come any more that belongs to the half."""
    return half.command_id != other.command_id and other.account_id in (half.account_id, half.counter_account_id)


def _are_twins(half: _Half, other: _Half) -> bool:
    return half[1:5] == (other.counter_account_id, other.account_id, -other.amount, other.command_id)
