"""Warnings: that a user was told off, for how long that counts, and how it ended.

Whoever has a warning in force invites nobody and is not promoted; what it may do besides is as ever.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from domain.base import Aggregate, Created, event, natural_id
from domain.errors import Conflict, Malformed, NotFound
from domain.torrents import check_reason

#: How long a warning counts unless whoever gives it says otherwise.
WARNED_FOR = timedelta(days=30)
#: More at once say nothing that these do not say.
IN_FORCE_MAX = 50


class WarningEndsInPast(Malformed):
    """A warning ends later than it begins."""


class TooManyWarnings(Conflict):
    """Fifty warnings of this user are in force."""


class NoSuchWarning(NotFound):
    """This user was never given that warning."""

    code = "not_found"


class WarningOver(Conflict):
    """The warning was lifted, or its time is over."""


class InviterWarned(Conflict):
    """Whoever has a warning invites nobody."""


class OpenWarning(NamedTuple):
    """One whose end is not on record; `case_id` names the case whose decision it is."""

    until: datetime
    case_id: UUID | None


class Warnings(Aggregate):
    """All warnings of one user.

    Every event says again whose it is, so that followers need not remember.
    """

    TOPIC = "warnings"

    class Opened(Created):
        """The user is warned for the first time, as the event after this one says."""

        TOPIC = "warnings.opened"
        user_id: UUID

    class Given(Aggregate.Event):
        TOPIC = "warnings.given"
        user_id: UUID
        warning_id: UUID
        reason: str
        until: datetime
        case_id: UUID | None  # whose decision it is; null for one given by hand

    class Lifted(Aggregate.Event):
        """It counts no more, before its time."""

        TOPIC = "warnings.lifted"
        user_id: UUID
        warning_id: UUID
        reason: str

    class Expired(Aggregate.Event):
        """Its time came; nobody lifted it."""

        TOPIC = "warnings.expired"
        user_id: UUID
        warning_id: UUID

    @classmethod
    def open(cls, user_id: UUID) -> Warnings:
        return cls._create(cls.Opened, id=warnings_id(user_id), user_id=user_id)

    def __init__(self, user_id: UUID) -> None:
        self.user_id = user_id
        self.open_ones: dict[UUID, OpenWarning] = {}
        self.over: set[UUID] = set()

    def give(
        self, warning_id: UUID, reason: str, until: datetime, *, case_id: UUID | None = None, now: datetime
    ) -> None:
        """Raises `ReasonMissing`, `WarningEndsInPast` or `TooManyWarnings`."""
        check_reason(reason)
        if until <= now:
            raise WarningEndsInPast("a warning ends in the future")
        if len(self._in_force(now)) >= IN_FORCE_MAX:
            raise TooManyWarnings(f"{IN_FORCE_MAX} warnings of this user are in force")
        self._given(self.user_id, warning_id, reason, until, case_id)

    def lift(self, warning_id: UUID, reason: str, *, now: datetime) -> None:
        """End it early; raises `ReasonMissing`, `NoSuchWarning` or `WarningOver`."""
        check_reason(reason)
        if warning_id not in self.open_ones and warning_id not in self.over:
            raise NoSuchWarning("no such warning")
        if warning_id not in self._in_force(now):
            raise WarningOver("this warning is over")
        self._lifted(self.user_id, warning_id, reason)

    def expire(self, *, now: datetime) -> None:
        """Record of each whose time is over that it is; nothing happens to those in force."""
        for warning_id in self.open_ones.keys() - self._in_force(now).keys():
            self._expired(self.user_id, warning_id)

    def warned_until(self, now: datetime) -> datetime | None:
        """When the last of those in force ends; None while there is none. One counts until its time comes, whether or
        not anybody recorded that yet."""
        return max((one.until for one in self._in_force(now).values()), default=None)

    def given_by_case(self, case_id: UUID, now: datetime) -> UUID | None:
        """The warning in force that a decision of this case gave."""
        return next((key for key, one in self._in_force(now).items() if one.case_id == case_id), None)

    def _in_force(self, now: datetime) -> dict[UUID, OpenWarning]:
        return {key: one for key, one in self.open_ones.items() if now < one.until}

    @event(Given)
    def _given(self, user_id: UUID, warning_id: UUID, reason: str, until: datetime, case_id: UUID | None) -> None:
        self.open_ones[warning_id] = OpenWarning(until, case_id)

    @event(Lifted)
    def _lifted(self, user_id: UUID, warning_id: UUID, reason: str) -> None:
        del self.open_ones[warning_id]
        self.over.add(warning_id)

    @event(Expired)
    def _expired(self, user_id: UUID, warning_id: UUID) -> None:
        del self.open_ones[warning_id]
        self.over.add(warning_id)


def warnings_id(user_id: UUID) -> UUID:
    return natural_id("warnings", user_id.hex)
