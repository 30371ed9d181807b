"""Requests: open, raise the bounty, fill, and decide about the fill. Points move in the same save as the request."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from commands.bonus import account_of, entry_id, in_points
from commands.torrents import visible_torrent
from domain.bonus import Account, AccountKind, Cause, PostingKind, transfer
from domain.categories import Category, UnknownCategory, category_id
from domain.permissions import Permission
from domain.requests import Request, RequestState
from domain.torrents import Torrent
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Member, Requires, StoreDep
from runtime.http.types import Command, Id, Points
from runtime.store import Receipt, Store, new_id

router = APIRouter(prefix="/api/v1/requests", tags=["requests"], route_class=CommandRoute)

Wisher = Annotated[Caller, Requires(Permission.REQUESTS)]


class OpenRequest(Command):
    title: str = Field(min_length=1, max_length=255)
    description: str = Field(max_length=10_000)
    category: str = Field(max_length=64, description="a category's slug")
    bounty: Points


class AddBounty(Command):
    points: Points


class FillRequest(Command):
    torrent_id: Id


class RejectFill(Command):
    reason: str = Field(min_length=1, max_length=1000)


class RequestReceipt(Receipt):
    """What the request is now; `bounty` is in escrow, in points."""

    state: RequestState
    bounty: float


@router.post("", status_code=201)
def open_request(command: OpenRequest, caller: Wisher, store: StoreDep) -> RequestReceipt:
    """Ask for a torrent and put the first bounty on it."""
    if store.find(Category, category_id(command.category)) is None:
        raise UnknownCategory("there is no such category")
    request = Request.open(new_id(), caller.user_id, command.title, command.description, command.category)
    return _raise_bounty(request, command.bounty, caller, store)


@router.post("/{request_id}/bounties", status_code=201)
def add_bounty(request_id: Id, command: AddBounty, caller: Wisher, store: StoreDep) -> RequestReceipt:
    """Raise the bounty with points of the caller's own."""
    return _raise_bounty(store.edit(Request, request_id), command.points, caller, store)


@router.post("/{request_id}/fill")
def fill_request(request_id: Id, command: FillRequest, caller: Wisher, store: StoreDep) -> RequestReceipt:
    """Offer a torrent as what was asked for; the requester answers."""
    request = store.edit(Request, request_id)
    request.fill(caller.user_id, visible_torrent(command.torrent_id, caller, store))
    return _saved(store, request)


@router.post("/{request_id}/accept")
def accept_fill(request_id: Id, caller: Member, store: StoreDep) -> RequestReceipt:
    """This is it: the filler gets the whole bounty."""
    request = store.edit(Request, request_id)
    torrent = store.get(Torrent, request.torrent_id) if request.torrent_id else None
    filler_id, amount = request.accept(caller.user_id, torrent, staff=caller.can(Permission.REQUESTS_MODERATE))
    escrow = account_of(store, AccountKind.ESCROW, request.id)
    filler = account_of(store, AccountKind.BONUS, filler_id)
    transfer(escrow, filler, amount, _cause(PostingKind.BOUNTY_PAID, request), entry_id=entry_id(store))
    return _saved(store, request, escrow, filler)


@router.post("/{request_id}/reject-fill")
def reject_fill(request_id: Id, command: RejectFill, caller: Member, store: StoreDep) -> RequestReceipt:
    """This is not it: the request is open again."""
    request = store.edit(Request, request_id)
    request.reject_fill(caller.user_id, command.reason, staff=caller.can(Permission.REQUESTS_MODERATE))
    return _saved(store, request)


@router.post("/{request_id}/cancel")
def cancel_request(request_id: Id, caller: Member, store: StoreDep) -> RequestReceipt:
    """Give up; everybody who put points on the request gets their own back."""
    request = store.edit(Request, request_id)
    refunds = request.cancel(caller.user_id, staff=caller.can(Permission.REQUESTS_MODERATE))
    escrow = account_of(store, AccountKind.ESCROW, request.id)
    accounts = [account_of(store, AccountKind.BONUS, contributor_id) for contributor_id in refunds]
    cause = _cause(PostingKind.BOUNTY_REFUNDED, request)
    for number, (account, amount) in enumerate(zip(accounts, refunds.values(), strict=True)):
        transfer(escrow, account, amount, cause, entry_id=entry_id(store, number))
    return _saved(store, request, escrow, *accounts)


def _raise_bounty(request: Request, amount: int, caller: Caller, store: Store) -> RequestReceipt:
    request.add_bounty(caller.user_id, amount)
    account = account_of(store, AccountKind.BONUS, caller.user_id)
    escrow = account_of(store, AccountKind.ESCROW, request.id)
    transfer(account, escrow, amount, _cause(PostingKind.BOUNTY_ESCROWED, request), entry_id=entry_id(store))
    return _saved(store, request, account, escrow)


def _saved(store: Store, request: Request, *accounts: Account) -> RequestReceipt:
    bounty = in_points(request.bounty)
    return store.save(request, *accounts, answer=RequestReceipt, state=request.state, bounty=bounty)


def _cause(kind: PostingKind, request: Request) -> Cause:
    return Cause(kind, "request", request.id, request.title)
