"""Of two wishes of each member one is filled, refused, filled again and accepted; the other is cancelled."""

from __future__ import annotations

from uuid import UUID, uuid4

from domain.bonus import Account, AccountKind, Cause, PostingKind, account_id, transfer
from domain.requests import Request
from domain.torrents import Torrent
from domain.users import User
from tests.history.past import Past


def tell(past: Past) -> None:
    for requester, filler, torrent in past.with_others:
        bonus, issuance = (_account(past, kind, requester.id) for kind in (AccountKind.BONUS, AccountKind.ISSUANCE))
        _move(issuance, bonus, 90_000, PostingKind.GRANTED, "grant", requester.id)
        past.save(bonus, issuance)
        for accepted in (True, False):
            _wish(past, bonus, requester, filler, torrent, accepted=accepted)


def _wish(past: Past, bonus: Account, requester: User, filler: User, torrent: Torrent, *, accepted: bool) -> None:
    request = Request.open(uuid4(), requester.id, "A wish", "please", "movies-hd")
    escrow = Account.open(AccountKind.ESCROW, request.id)
    request.add_bounty(requester.id, 5_500)
    _move(bonus, escrow, 5_500, PostingKind.BOUNTY_ESCROWED, "request", request.id)
    past.save(request, bonus, escrow, actor=requester.id)
    request.fill(filler.id, torrent)
    request.reject_fill(requester.id, "not this one", staff=False)
    if accepted:
        request.fill(filler.id, torrent)
        request.accept(requester.id, torrent, staff=False)
    else:
        request.cancel(requester.id, staff=False)
    payee = _account(past, AccountKind.BONUS, filler.id) if accepted else bonus
    kind = PostingKind.BOUNTY_PAID if accepted else PostingKind.BOUNTY_REFUNDED
    _move(escrow, payee, 5_500, kind, "request", request.id)
    past.save(request, escrow, payee, actor=requester.id)


def _account(past: Past, kind: AccountKind, owner_id: UUID) -> Account:
    return past.find(Account, account_id(kind, owner_id)) or Account.open(kind, owner_id)


def _move(
    source: Account, target: Account, amount: int, kind: PostingKind, subject_type: str, subject_id: UUID
) -> None:
    transfer(source, target, amount, Cause(kind, subject_type, subject_id), entry_id=uuid4())
