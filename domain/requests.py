"""A request: what somebody wishes for, the bounty in escrow, and the fill that earns it."""

from __future__ import annotations

import unicodedata
from enum import StrEnum
from uuid import UUID

from domain.base import Aggregate, Created, event
from domain.errors import Conflict, Malformed, NotAllowed
from domain.torrents import Torrent, TorrentState, check_reason

#: The smallest bounty, in thousandths of a point.
BOUNTY_MIN = 1_000


class BadRequestTitle(Malformed):
    """A title has 1 to 255 characters, some of them visible."""


class BadRequestDescription(Malformed):
    """A description has at most 10,000 characters."""


class BountyTooSmall(Malformed):
    """A bounty is at least one point."""


class RequestClosed(Conflict):
    """The request was accepted or cancelled."""


class AlreadyFilled(Conflict):
    """A fill waits for the requester's answer."""


class NothingToAccept(Conflict):
    """Nobody has filled this request."""


class TorrentNotListed(Conflict):
    """Only an approved torrent fills a request."""


class NotTheRequester(NotAllowed):
    """Only the requester or staff decide about a fill."""


class OwnFill(NotAllowed):
    """Whoever filled a request does not accept the fill."""


class RequestState(StrEnum):
    OPEN = "open"
    FILLED = "filled"
    ACCEPTED = "accepted"
    CANCELLED = "cancelled"


class Request(Aggregate):
    """One wish. Bounties are kept per contributor, so that a cancellation can give each their own back."""

    TOPIC = "request"

    class Opened(Created):
        TOPIC = "request.opened"
        requester_id: UUID
        title: str
        description: str
        category: str

    class BountyAdded(Aggregate.Event):
        """`amount` thousandths of a point went from the contributor into escrow."""

        TOPIC = "request.bounty_added"
        contributor_id: UUID
        amount: int

    class Filled(Aggregate.Event):
        TOPIC = "request.filled"
        filler_id: UUID
        torrent_id: UUID

    class FillRejected(Aggregate.Event):
        TOPIC = "request.fill_rejected"
        reason: str

    class Accepted(Aggregate.Event):
        """The fill is what was wished for: the filler gets the bounty, `amount` thousandths of a point."""

        TOPIC = "request.accepted"
        filler_id: UUID
        torrent_id: UUID
        amount: int

    class Cancelled(Aggregate.Event):
        """The wish is over; contributors get back `refunded` thousandths of a point in all."""

        TOPIC = "request.cancelled"
        refunded: int

    @classmethod
    def open(cls, request_id: UUID, requester_id: UUID, title: str, description: str, category: str) -> Request:
        if len(title) > 255 or not _is_visible(title):
            raise BadRequestTitle("a title has 1 to 255 visible characters")
        if len(description) > 10_000:
            raise BadRequestDescription("a description has at most 10,000 characters")
        return cls._create(
            cls.Opened,
            id=request_id,
            requester_id=requester_id,
            title=title,
            description=description,
            category=category,
        )

    def __init__(self, requester_id: UUID, title: str) -> None:
        self.requester_id = requester_id
        self.title = title
        self.state = RequestState.OPEN
        self.bounties: dict[UUID, int] = {}
        self.filler_id: UUID | None = None
        self.torrent_id: UUID | None = None

    @property
    def bounty(self) -> int:
        return sum(self.bounties.values())

    def add_bounty(self, contributor_id: UUID, amount: int) -> None:
        self._must_be_undecided()
        if amount < BOUNTY_MIN:
            raise BountyTooSmall("a bounty is at least 1 point")
        self._bounty_added(contributor_id, amount)

    def fill(self, filler_id: UUID, torrent: Torrent) -> None:
        self._must_be_undecided()
        if self.state is RequestState.FILLED:
            raise AlreadyFilled("a fill waits for the requester's answer")
        if torrent.state is not TorrentState.APPROVED:
            raise TorrentNotListed("only an approved torrent fills a request")
        self._filled(filler_id, torrent.id)

    def accept(self, by: UUID, torrent: Torrent | None, *, staff: bool) -> tuple[UUID, int]:
        """The fill, which is `torrent`, is what was wished for; answers who gets the whole bounty, and how much."""
        filler_id, torrent_id = self._the_fill()
        self._must_decide(by, staff)
        if by == filler_id:
            raise OwnFill("somebody else must accept your fill")
        assert torrent is not None, "a fill names a torrent"
        assert torrent.id == torrent_id, "the torrent is the fill's"
        if torrent.state is not TorrentState.APPROVED:
            raise TorrentNotListed("the torrent is not listed any more: reject the fill")
        amount = self.bounty
        self._accepted(filler_id, torrent_id, amount)
        return filler_id, amount

    def reject_fill(self, by: UUID, reason: str, *, staff: bool) -> None:
        self._the_fill()
        self._must_decide(by, staff)
        check_reason(reason)
        self._fill_rejected(reason)

    def cancel(self, by: UUID, *, staff: bool) -> dict[UUID, int]:
        """End the wish; answers what each contributor gets back. A waiting fill must be answered first."""
        self._must_be_undecided()
        if self.state is RequestState.FILLED and not staff:
            raise AlreadyFilled("answer the fill first")
        self._must_decide(by, staff)
        refunds = dict(self.bounties)
        self._cancelled(self.bounty)
        return refunds

    @event(BountyAdded)
    def _bounty_added(self, contributor_id: UUID, amount: int) -> None:
        self.bounties[contributor_id] = self.bounties.get(contributor_id, 0) + amount

    @event(Filled)
    def _filled(self, filler_id: UUID, torrent_id: UUID) -> None:
        self.state = RequestState.FILLED
        self.filler_id = filler_id
        self.torrent_id = torrent_id

    @event(FillRejected)
    def _fill_rejected(self, reason: str) -> None:
        self.state = RequestState.OPEN
        self.filler_id = None
        self.torrent_id = None

    @event(Accepted)
    def _accepted(self, filler_id: UUID, torrent_id: UUID, amount: int) -> None:
        self.state = RequestState.ACCEPTED
        self.bounties = {}

    @event(Cancelled)
    def _cancelled(self, refunded: int) -> None:
        self.state = RequestState.CANCELLED
        self.bounties = {}

    def _the_fill(self) -> tuple[UUID, UUID]:
        self._must_be_undecided()
        if self.filler_id is None or self.torrent_id is None:
            raise NothingToAccept("nobody has filled this request")
        return self.filler_id, self.torrent_id

    def _must_decide(self, by: UUID, staff: bool) -> None:
        if by != self.requester_id and not staff:
            raise NotTheRequester("only the requester or staff may do this")

    def _must_be_undecided(self) -> None:
        if self.state in {RequestState.ACCEPTED, RequestState.CANCELLED}:
            raise RequestClosed(f"this request was {self.state}")


def _is_visible(text: str) -> bool:
    """Whether any character is neither a separator nor a control or format character."""
    return any(unicodedata.category(c)[0] not in "CZ" for c in text)
