"""The bonus ledger as rows: accounts, postings and balances, checked against the events while they are written.

The events carry the balance that the decision saw, and the rows have their own running sum: a difference, or an entry
whose halves do not sum to zero, stops the projection.
"""

from __future__ import annotations

from domain.bonus import Account, AccountKind
from runtime.db import MissingRow, Writer
from runtime.facts import Caused
from runtime.projection import Projection

bonus = Projection("bonus", "ledger_account", "ledger_posting", "ledger_open_entry", "ledger_balance", causes=True)


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


@bonus.on(Account.Posted)
def posted(fact: Caused[Account.Posted], db: Writer) -> None:
    _move_balance(fact, db)
    _pair(fact, db)
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


def _pair(fact: Caused[Account.Posted], db: Writer) -> None:
    """Match the halves of an entry.

    Events of other commands may stand between the halves, but none of either account: a command saw the account with
    the whole of every earlier entry. So an open entry of another command that touches this account is a lone half.
    """
    event = fact.event
    halves = db.rows(
        "DELETE FROM ledger_open_entry WHERE entry_id = %s OR (command_id <> %s AND %s IN (account_id,"
        " counter_account_id)) RETURNING entry_id, account_id, counter_account_id, amount, command_id",
        (event.entry_id, fact.command_id, fact.stream_id),
    )
    if not halves:
        db.execute(
            "INSERT INTO ledger_open_entry (entry_id, account_id, counter_account_id, amount, command_id, position)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            (event.entry_id, fact.stream_id, event.counter_account_id, event.amount, fact.command_id, fact.position),
        )
        return
    twin = (event.entry_id, event.counter_account_id, fact.stream_id, -event.amount, fact.command_id)
    if halves != [twin]:
        raise LedgerBroken(f"the halves of entry {halves[0][0]} do not sum to zero in one command")
