"""A moderation case: opened by a report, claimed, discussed, decided, perhaps appealed, closed."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from domain.base import Aggregate, Created, Personal, event
from domain.errors import Conflict, Malformed, NotAllowed
from domain.torrents import check_reason


class BadText(Malformed):
    """A text has 1 to 10,000 characters."""


class SelfReport(Malformed):
    """Nobody reports themselves."""


class AlreadyReported(Conflict):
    """The caller reported this before, and the case is open."""


class CaseClosed(Conflict):
    """The case is closed."""


class ClaimedByAnother(Conflict):
    """Another moderator handles the case."""


class AlreadyDecided(Conflict):
    """The case is decided; an appeal reopens it."""


class NotDecided(Conflict):
    """There is no decision to act on."""


class AppealUsed(Conflict):
    """A case is appealed once."""


class OwnCase(NotAllowed):
    """Nobody handles a case about themselves."""


class NotConcerned(NotAllowed):
    """Only whom the decision is about may appeal."""


class OutcomeDoesNotFit(Malformed):
    """This outcome cannot be applied to such a subject."""


class CaseState(StrEnum):
    OPEN = "open"
    CLAIMED = "claimed"
    DECIDED = "decided"
    APPEALED = "appealed"
    CLOSED = "closed"


class Outcome(StrEnum):
    """What a decision leads to; a policy carries out the last two."""

    DISMISSED = "dismissed"
    UPHELD = "upheld"
    WARNED = "warned"
    TORRENT_DELETED = "torrent_deleted"
    USER_DISABLED = "user_disabled"


class Case(Aggregate):
    """One matter about one subject, with every report of it."""

    TOPIC = "case"

    class Opened(Created):
        TOPIC = "case.opened"
        subject_type: str  # torrent, user, request
        subject_id: UUID
        concerned_id: UUID  # the user whom a decision would be about

    class ReportFiled(Aggregate.Event):
        """Somebody reported the subject; further reports join the case until it is decided."""

        TOPIC = "case.report_filed"
        SUBJECT: ClassVar[str] = "reporter_id"
        report_id: UUID
        reporter_id: UUID
        reason: str
        text: Personal

    class Claimed(Aggregate.Event):
        """The moderator handles the case from now on."""

        TOPIC = "case.claimed"
        moderator_id: UUID

    class Commented(Aggregate.Event):
        TOPIC = "case.commented"
        author_id: UUID
        text: str

    class Decided(Aggregate.Event):
        """The moderator ends the matter; what it is about is said again, for who reads no other event."""

        TOPIC = "case.decided"
        moderator_id: UUID
        outcome: str
        reason: str
        subject_type: str
        subject_id: UUID
        concerned_id: UUID

    class Appealed(Aggregate.Event):
        TOPIC = "case.appealed"
        SUBJECT: ClassVar[str] = "appellant_id"
        appellant_id: UUID
        text: Personal

    class Closed(Aggregate.Event):
        TOPIC = "case.closed"

    @classmethod
    def open(cls, case_id: UUID, subject_type: str, subject_id: UUID, concerned_id: UUID) -> Case:
        return cls._create(
            cls.Opened, id=case_id, subject_type=subject_type, subject_id=subject_id, concerned_id=concerned_id
        )

    def __init__(self, subject_type: str, subject_id: UUID, concerned_id: UUID) -> None:
        self.subject_type = subject_type
        self.subject_id = subject_id
        self.concerned_id = concerned_id
        self.state = CaseState.OPEN
        self.reporters: set[UUID] = set()
        self.moderator_id: UUID | None = None
        self.outcome: Outcome | None = None
        self.appeals = 0

    @property
    def takes_reports(self) -> bool:
        """Never decided yet: a further report of the same subject joins this case."""
        return self.outcome is None

    def file_report(self, report_id: UUID, reporter_id: UUID, reason: str, text: str) -> None:
        if reporter_id == self.subject_id:
            raise SelfReport("you cannot report yourself")
        if reporter_id in self.reporters:
            raise AlreadyReported("you have reported this already")
        if not self.takes_reports:
            raise AlreadyDecided("this case is decided: a further report opens a new one")
        check_reason(reason)
        _check_text(text, optional=True)
        self._report_filed(report_id, reporter_id, reason, text)

    def claim(self, moderator_id: UUID) -> None:
        self._must_be_handled_by_another(moderator_id)
        self._must_be_open()
        if self.state is CaseState.DECIDED:
            raise AlreadyDecided("this case is decided")
        if self.moderator_id == moderator_id:
            return
        if self.moderator_id is not None:
            raise ClaimedByAnother("another moderator handles this case")
        self._claimed(moderator_id)

    def comment(self, author_id: UUID, text: str) -> None:
        self._must_be_handled_by_another(author_id)
        self._must_be_open()
        _check_text(text)
        self._commented(author_id, text)

    def decide(self, moderator_id: UUID, outcome: Outcome, reason: str) -> None:
        """Decide, or decide again after an appeal; an unclaimed case is claimed by whoever decides it."""
        self.claim(moderator_id)
        check_reason(reason)
        if outcome is Outcome.TORRENT_DELETED and self.subject_type != "torrent":
            raise OutcomeDoesNotFit("this case is not about a torrent")
        self._decided(
            moderator_id=moderator_id,
            outcome=str(outcome),
            reason=reason,
            subject_type=self.subject_type,
            subject_id=self.subject_id,
            concerned_id=self.concerned_id,
        )

    def appeal(self, appellant_id: UUID, text: str) -> None:
        self._must_be_open()
        if self.state is not CaseState.DECIDED:
            raise NotDecided("this case is not decided")
        if appellant_id != self.concerned_id:
            raise NotConcerned("only whom the decision is about may appeal")
        if self.appeals:
            raise AppealUsed("this case was appealed before")
        _check_text(text)
        self._appealed(appellant_id, text)

    def close(self, moderator_id: UUID) -> None:
        self._must_be_handled_by_another(moderator_id)
        self._must_be_open()
        if self.state is not CaseState.DECIDED:
            raise NotDecided("decide the case before closing it")
        self._closed()

    @event(ReportFiled)
    def _report_filed(self, report_id: UUID, reporter_id: UUID, reason: str, text: str) -> None:
        self.reporters.add(reporter_id)

    @event(Claimed)
    def _claimed(self, moderator_id: UUID) -> None:
        self.moderator_id = moderator_id
        self.state = CaseState.CLAIMED

    @event(Commented)
    def _commented(self, author_id: UUID, text: str) -> None:
        pass

    @event(Decided)
    def _decided(
        self, moderator_id: UUID, outcome: str, reason: str, subject_type: str, subject_id: UUID, concerned_id: UUID
    ) -> None:
        self.outcome = Outcome(outcome)
        self.state = CaseState.DECIDED

    @event(Appealed)
    def _appealed(self, appellant_id: UUID, text: str) -> None:
        self.state = CaseState.APPEALED
        self.appeals += 1
        self.moderator_id = None  # an appeal is free to be heard by another moderator

    @event(Closed)
    def _closed(self) -> None:
        self.state = CaseState.CLOSED

    def _must_be_open(self) -> None:
        if self.state is CaseState.CLOSED:
            raise CaseClosed("this case is closed")

    def _must_be_handled_by_another(self, moderator_id: UUID) -> None:
        if moderator_id == self.concerned_id:
            raise OwnCase("this case is about you: somebody else must handle it")


def _check_text(text: str, *, optional: bool = False) -> None:
    if len(text) > 10_000 or not (optional or text.strip()):
        raise BadText("a text has 1 to 10,000 characters")
