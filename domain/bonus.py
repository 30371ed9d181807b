"""The bonus ledger: double entry, so that every point on a profile has a cause and no point appears from nothing.

Points are integers in thousandths of a point. Kinds of accounts:

    bonus      a user's points; never below zero
    issuance   where a user's earned and granted points come from; at or below zero, one per user so that no two
               users' earnings contend for one stream
    escrow     the bounty of one request; never below zero
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from domain.base import MAX_COUNT, Aggregate, Created, event, natural_id
from domain.errors import Conflict, Malformed


class InsufficientPoints(Conflict):
    """The account holds less than this."""


class BadAmount(Malformed):
    """An amount is above zero and fits the ledger."""


class AccountKind(StrEnum):
    BONUS = "bonus"
    ISSUANCE = "issuance"
    ESCROW = "escrow"


class PostingKind(StrEnum):
    GRANTED = "granted"
    BOUNTY_ESCROWED = "bounty_escrowed"
    BOUNTY_PAID = "bounty_paid"
    BOUNTY_REFUNDED = "bounty_refunded"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why points moved: the kind of entry and the thing that it is about."""

    kind: PostingKind
    subject_type: str  # request, grant
    subject_id: UUID
    text: str = ""


class Account(Aggregate):
    """One account; every posting has a twin of the opposite amount under the same entry id."""

    TOPIC = "account"

    class Opened(Created):
        """An account of no points. `kind`: bonus, issuance or escrow; `owner_id`: the user, or the escrow's request."""

        TOPIC = "account.opened"
        kind: str
        owner_id: UUID

    class Posted(Aggregate.Event):
        """Half of an entry: `amount` thousandths of a point came in (went out, below zero), and `balance` is left.

        `kind` is why (granted, bounty_escrowed, bounty_paid, bounty_refunded), the subject what it was about.
        """

        TOPIC = "account.posted"
        entry_id: UUID
        amount: int
        balance: int
        kind: str
        subject_type: str
        subject_id: UUID
        text: str
        counter_account_id: UUID

    @classmethod
    def open(cls, kind: AccountKind, owner_id: UUID) -> Account:
        return cls._create(cls.Opened, id=account_id(kind, owner_id), kind=str(kind), owner_id=owner_id)

    def __init__(self, kind: str, owner_id: UUID) -> None:
        self.kind = AccountKind(kind)
        self.owner_id = owner_id
        self.balance = 0

    def post(self, entry_id: UUID, amount: int, cause: Cause, counter_account_id: UUID) -> None:
        """Half of an entry: only `transfer` calls this."""
        balance = self.balance + amount
        if balance < 0 and self.kind is not AccountKind.ISSUANCE:
            raise InsufficientPoints("there are not enough points in this account")
        if abs(balance) > MAX_COUNT:
            raise BadAmount("the ledger cannot hold this many points")
        self._posted(
            entry_id=entry_id,
            amount=amount,
            balance=balance,
            kind=str(cause.kind),
            subject_type=cause.subject_type,
            subject_id=cause.subject_id,
            text=cause.text,
            counter_account_id=counter_account_id,
        )

    @event(Posted)
    def _posted(
        self,
        entry_id: UUID,
        amount: int,
        balance: int,
        kind: str,
        subject_type: str,
        subject_id: UUID,
        text: str,
        counter_account_id: UUID,
    ) -> None:
        self.balance = balance


def transfer(source: Account, target: Account, amount: int, cause: Cause, *, entry_id: UUID) -> None:
    """Move `amount` thousandths of a point; the two postings sum to zero and are saved together.

    Raises `BadAmount`, `InsufficientPoints`; neither account changes then.
    """
    assert source.id != target.id, "an entry has two sides"
    if not 0 < amount <= MAX_COUNT:
        raise BadAmount("an amount is above zero")
    if target.balance + amount > MAX_COUNT:
        raise BadAmount("the ledger cannot hold this many points")
    before = source.balance + target.balance
    source.post(entry_id, -amount, cause, target.id)
    target.post(entry_id, amount, cause, source.id)
    assert source.balance + target.balance == before, "postings of an entry sum to zero"


def account_id(kind: AccountKind, owner_id: UUID) -> UUID:
    return natural_id(f"account:{kind}", owner_id.hex)
