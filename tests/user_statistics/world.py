"""A small site in which anything that is counted happens: two users, their uploads, wishes, points and announces.

Both begin with points, a wish and a listed upload that they seed, so that whatever follows has something to undo.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from domain.announces import Event
from domain.base import SYSTEM, Aggregate
from domain.bonus import Account, AccountKind, Cause, PostingKind, account_id, transfer
from domain.invites import Invite
from domain.moderation import Case
from domain.requests import Request
from domain.sessions import Session
from domain.torrents import Torrent, TorrentState
from domain.users import User
from runtime.platform import Platform
from runtime.store import new_id
from tests.given import NOON
from tests.peers.edges import ShippingEdge, announce
from tests.torrents.uploads import upload


class World:
    """`do(step)` lets one thing happen, chosen by three small numbers; what is impossible by then does not happen."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.users = [self._joined(name) for name in ("ada", "grace")]
        self.torrents: list[Torrent] = []
        self.requests: list[Request] = []
        self._edge = ShippingEdge(platform, f"edge-{new_id()}")
        self._second = 0.0
        self._moved = 0
        self._deeds: Sequence[Callable[[UUID, int], None]] = (
            self._uploads, self._is_approved, self._is_rejected, self._is_deleted, self._is_granted, self._wishes,
            self._fills, self._gets_a_refund, self._reports, self._signs_in, self._announces, self._comes_and_goes,
            self._invites,
        )  # fmt: skip

        for user in self.users:
            for which, deed in ((2, self._uploads), (0, self._is_granted), (1, self._wishes), (0, self._announces)):
                deed(user, which)

    @property
    def deeds(self) -> int:
        return len(self._deeds)

    def do(self, deed: int, user: int, which: int) -> None:
        self._deeds[deed](self.users[user], which)

    def save(self, *aggregates: Aggregate) -> None:
        self.platform.store(SYSTEM).save(*aggregates)

    def _joined(self, name: str) -> UUID:
        user = User.register(new_id(), name, f"{name}@example.org", "member")
        self.save(user)
        return user.id

    def _uploads(self, user: UUID, which: int) -> None:
        torrent = upload(which, uploader_id=user, anonymous=which % 2 == 1, trusted=which > 1, size=1000 + which)
        self.torrents.append(torrent)
        self.save(torrent)

    def _torrent(self, which: int, *states: TorrentState) -> Torrent | None:
        found = [torrent for torrent in self.torrents if torrent.state in states]
        return found[which % len(found)] if found else None

    def _is_approved(self, user: UUID, which: int) -> None:
        if torrent := self._torrent(which, TorrentState.PENDING, TorrentState.REJECTED):
            torrent.approve(SYSTEM)
            self.save(torrent)

    def _is_rejected(self, user: UUID, which: int) -> None:
        if torrent := self._torrent(which, TorrentState.PENDING, TorrentState.APPROVED):
            torrent.reject("no")
            self.save(torrent)

    def _is_deleted(self, user: UUID, which: int) -> None:
        if torrent := self._torrent(which, TorrentState.APPROVED):
            torrent.delete("dupe", by=SYSTEM, staff=True, now=NOON)
            self.save(torrent)

    def _account(self, kind: AccountKind, owner: UUID) -> Account:
        return self.platform.store(SYSTEM).find(Account, account_id(kind, owner)) or Account.open(kind, owner)

    def _is_granted(self, user: UUID, which: int) -> None:
        account, issuance = self._account(AccountKind.BONUS, user), self._account(AccountKind.ISSUANCE, user)
        cause = Cause(PostingKind.GRANTED, "grant", new_id())
        transfer(issuance, account, 5_000 + which, cause, entry_id=new_id())
        self.save(account, issuance)

    def _wishes(self, user: UUID, which: int) -> None:
        account = self._account(AccountKind.BONUS, user)
        if account.balance < 2_000 + which:
            return
        request = Request.open(new_id(), user, "A wish", "please", "movies-hd")
        request.add_bounty(user, 2_000 + which)
        escrow = Account.open(AccountKind.ESCROW, request.id)
        transfer(account, escrow, 2_000 + which, self._about(request, PostingKind.BOUNTY_ESCROWED), entry_id=new_id())
        self.requests.append(request)
        self.save(request, account, escrow)

    def _fills(self, user: UUID, which: int) -> None:
        torrent = self._torrent(which, TorrentState.APPROVED)
        request = next((one for one in self.requests if one.state == "open" and one.requester_id != user), None)
        if torrent is None or request is None:
            return
        request.fill(user, torrent)
        filler_id, amount = request.accept(request.requester_id, torrent, staff=False)
        self._pay(request, filler_id, amount, PostingKind.BOUNTY_PAID)

    def _gets_a_refund(self, user: UUID, which: int) -> None:
        request = next((one for one in self.requests if one.state == "open"), None)
        if request is not None:
            [(contributor_id, amount)] = request.cancel(request.requester_id, staff=False).items()
            self._pay(request, contributor_id, amount, PostingKind.BOUNTY_REFUNDED)

    def _pay(self, request: Request, payee_id: UUID, amount: int, kind: PostingKind) -> None:
        escrow, payee = self._account(AccountKind.ESCROW, request.id), self._account(AccountKind.BONUS, payee_id)
        transfer(escrow, payee, amount, self._about(request, kind), entry_id=new_id())
        self.save(request, escrow, payee)

    def _about(self, request: Request, kind: PostingKind) -> Cause:
        return Cause(kind, "request", request.id)

    def _reports(self, user: UUID, which: int) -> None:
        case = Case.open(new_id(), "user", new_id(), new_id())
        case.file_report(new_id(), user, "cheats", "look")
        self.save(case)

    def _invites(self, user: UUID, which: int) -> None:
        invite = Invite.send(new_id(), new_id(), "new@example.org", NOON, inviter_id=user if which else None)
        invite.accept("new@example.org", now=NOON - timedelta(days=1))
        self.save(invite)

    def _signs_in(self, user: UUID, which: int) -> None:
        self.save(Session.start(new_id(), user))

    def _announces(self, user: UUID, which: int) -> None:
        """With one of two clients: what it moved since, and seeding or not."""
        torrent_id = self.torrents[which % len(self.torrents)].id
        self._moved += 10
        said: dict[str, Any] = {"user": user, "torrent": torrent_id, "client": which % 2}
        self._ship(Event.REGULAR, up=self._moved, down=self._moved // 2, left=which // 2, **said)

    def _comes_and_goes(self, user: UUID, which: int) -> None:
        torrent_id = self.torrents[which % len(self.torrents)].id
        event = (Event.STARTED, Event.COMPLETED, Event.STOPPED)[which % 3]
        self._ship(event, user=user, torrent=torrent_id, client=which % 2, up=self._moved, down=self._moved // 2)

    def _ship(self, event: Event, **said: Any) -> None:
        self._second += timedelta(minutes=20).total_seconds()
        self._edge.ship([announce(self._second, event, **said)])
