"""Erasures: that a person is forgotten, who asked for it, and whether it is done.

A person asks for it alone. For anybody else it takes two of the staff: one proposes, another one approves. Who never
came in is forgotten without being asked, some time after it came to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from domain.base import Aggregate, Created, Personal, event, natural_id
from domain.errors import Conflict, NotAllowed
from domain.torrents import check_reason

#: A proposal that nobody has approved by then is void.
PROPOSAL_LIFE = timedelta(days=7)


class ProposalOver(Conflict):
    """The proposal was approved, was declined, or is too old."""


class SameApprover(NotAllowed):
    """Whoever proposes an erasure does not approve it: that takes somebody else."""


class ManagesSite(Conflict):
    """Whoever manages the site hands it over first: a site without anybody who may do so cannot be repaired."""


class StillKept(Conflict):
    """What somebody without an account wrote is kept while something may come of it, and for some time after that."""


class ErasureProposal(Aggregate):
    """Somebody of the staff wants a person forgotten."""

    TOPIC = "erasure_proposal"

    class Made(Created):
        TOPIC = "erasure_proposal.made"
        SUBJECT: ClassVar[str] = "user_id"
        user_id: UUID
        proposer_id: UUID
        reason: Personal
        until: datetime  # void from then on

    class Approved(Aggregate.Event):
        """The person is erased from here on; `approver_id` is somebody else than the proposer."""

        TOPIC = "erasure_proposal.approved"
        user_id: UUID
        approver_id: UUID

    class Declined(Aggregate.Event):
        """By somebody who could have approved it, or taken back by the proposer."""

        TOPIC = "erasure_proposal.declined"
        SUBJECT: ClassVar[str] = "user_id"
        user_id: UUID
        reason: Personal

    @classmethod
    def make(
        cls, proposal_id: UUID, user_id: UUID, proposer_id: UUID, reason: str, *, now: datetime
    ) -> ErasureProposal:
        """Raises `ReasonMissing`."""
        check_reason(reason)
        until = now + PROPOSAL_LIFE
        return cls._create(
            cls.Made, id=proposal_id, user_id=user_id, proposer_id=proposer_id, reason=reason, until=until
        )

    def __init__(self, user_id: UUID, proposer_id: UUID, reason: str, until: datetime) -> None:
        self.user_id = user_id
        self.proposer_id = proposer_id
        self.until = until
        self.answered = False

    def approve(self, approver_id: UUID, *, now: datetime) -> None:
        """Raises `SameApprover` or `ProposalOver`."""
        if approver_id == self.proposer_id:
            raise SameApprover("you have proposed this: somebody else approves it")
        self._must_be_open(now)
        self._approved(self.user_id, approver_id)

    def decline(self, reason: str, *, now: datetime) -> None:
        """Raises `ReasonMissing` or `ProposalOver`."""
        check_reason(reason)
        self._must_be_open(now)
        self._declined(self.user_id, reason)

    @event(Approved)
    def _approved(self, user_id: UUID, approver_id: UUID) -> None:
        self.answered = True

    @event(Declined)
    def _declined(self, user_id: UUID, reason: str) -> None:
        self.answered = True

    def _must_be_open(self, now: datetime) -> None:
        if self.answered or now >= self.until:
            raise ProposalOver("this proposal is answered or too old")


class Erasure(Aggregate):
    """One person is forgotten: the intent first, so that whatever stops half-way is gone on with."""

    TOPIC = "erasure"

    class Begun(Created):
        """From now on nothing lets the person in; `proposal_id` is null for who asked alone."""

        TOPIC = "erasure.begun"
        user_id: UUID
        proposal_id: UUID | None

    class RetentionEnded(Created):
        """Nobody asked: an application or an invite came to nothing, and `kept_days` have passed; `user_id` is of the
        account that there never was."""

        TOPIC = "erasure.retention_ended"
        user_id: UUID
        kept_days: int

    class Completed(Aggregate.Event):
        """The data key is destroyed and no process knows it any more: what read it as text before reads `erased`."""

        TOPIC = "erasure.completed"
        user_id: UUID

    @classmethod
    def begin(cls, user_id: UUID, proposal_id: UUID | None = None) -> Erasure:
        return cls._create(cls.Begun, id=erasure_id(user_id), user_id=user_id, proposal_id=proposal_id)

    @classmethod
    def of_stranger(
        cls, user_id: UUID, ended_at: Iterable[datetime | None], kept_days: int, *, now: datetime
    ) -> Erasure:
        """`ended_at` is when each application of the person was answered and each invite was over, None where it still
        may lead to something. Raises `StillKept`."""
        before = now - timedelta(days=kept_days)
        if any(at is None or at > before for at in ended_at):
            raise StillKept("what this person wrote may still be needed")
        return cls._create(cls.RetentionEnded, id=erasure_id(user_id), user_id=user_id, kept_days=kept_days)

    def __init__(self, user_id: UUID) -> None:
        self.user_id = user_id
        self.completed = False

    def complete(self) -> None:
        if not self.completed:
            self._completed(self.user_id)

    @event(Completed)
    def _completed(self, user_id: UUID) -> None:
        self.completed = True


def erasure_id(user_id: UUID) -> UUID:
    """The stream of a person's erasure: there is one."""
    return natural_id("erasure", str(user_id))
