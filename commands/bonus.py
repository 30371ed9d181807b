"""Moving bonus points: grants by staff, and the accounts that every other feature moves points between."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID, uuid5

from fastapi import APIRouter
from pydantic import Field

from domain.bonus import Account, AccountKind, Cause, PostingKind, account_id, transfer
from domain.permissions import Permission
from domain.torrents import check_reason
from domain.users import User
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Requires, StoreDep
from runtime.http.types import Command, Id, Points
from runtime.store import Receipt, Store

router = APIRouter(prefix="/api/v1/users", tags=["bonus"], route_class=CommandRoute)

Granter = Annotated[Caller, Requires(Permission.BONUS_GRANT)]


class GrantPoints(Command):
    points: Points
    reason: str = Field(min_length=1, max_length=1000)


class Granted(Receipt):
    """The entry in the ledger (`id`), and what the user has now, in points."""

    balance: float


@router.post("/{user_id}/bonus/grants", status_code=201)
def grant_points(user_id: Id, command: GrantPoints, staff: Granter, store: StoreDep) -> Granted:
    """Give a user points out of nothing, for a reason that the user sees."""
    user = store.get(User, user_id)
    check_reason(command.reason)
    account = account_of(store, AccountKind.BONUS, user.id)
    issuance = account_of(store, AccountKind.ISSUANCE, user.id)
    entry = entry_id(store)
    transfer(
        issuance, account, command.points, Cause(PostingKind.GRANTED, "grant", entry, command.reason), entry_id=entry
    )
    return store.save(account, issuance, answer=Granted, id=entry, balance=in_points(account.balance))


def account_of(store: Store, kind: AccountKind, owner_id: UUID) -> Account:
    """The owner's account of that kind; a new one where there was none."""
    return store.find(Account, account_id(kind, owner_id)) or Account.open(kind, owner_id)


def entry_id(store: Store, number: int = 0) -> UUID:
    """The id of a command's entry in the ledger: the same when the command is tried again."""
    return uuid5(store.metadata.command_id, str(number))


def in_points(thousandths: int) -> float:
    """As the API shows points; receipts are kept as JSON, so they hold this."""
    return thousandths / 1000
