"""Requests of people whose account is disabled to be let in again, and what the staff say to them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from domain.base import Aggregate, Created, Personal, event, natural_id
from domain.errors import Conflict, Malformed

TEXT_MAX = 2_000
#: Who was rejected thinks about it for so long.
AGAIN_AFTER = timedelta(days=7)


class ReenableTextMissing(Malformed):
    """Staff want to read why, in 1 to 2,000 characters."""


class AccountNotDisabled(Conflict):
    """There is nothing to ask for: the account is open."""


class ReenableRequestOpen(Conflict):
    """The staff have not answered the request before."""


class RejectedLately(Conflict):
    """The staff have said no less than a week ago."""


class NoOpenRequest(Conflict):
    """The user waits for no answer."""


class ReenableRequest(Aggregate):
    """The requests of one user, one after the other."""

    TOPIC = "reenable_request"

    class Filed(Created):
        """The user asks, for the first time or again."""

        TOPIC = "reenable_request.filed"
        SUBJECT = "user_id"
        user_id: UUID
        text: Personal

        def mutate(self, aggregate: Any) -> Any:
            return super().mutate(None) if aggregate is None else Aggregate.Event.mutate(self, aggregate)

        def apply(self, aggregate: Any) -> None:
            aggregate.user_id, aggregate.open = self.user_id, True

    class Approved(Aggregate.Event):
        """The account is open again."""

        TOPIC = "reenable_request.approved"
        user_id: UUID

    class Rejected(Aggregate.Event):
        """The user may ask again from then on."""

        TOPIC = "reenable_request.rejected"
        user_id: UUID
        reason: str
        again_from: datetime

    @classmethod
    def first(cls, user_id: UUID, text: str) -> ReenableRequest:
        """Raises `ReenableTextMissing`."""
        _check_text(text)
        return cls._create(cls.Filed, id=reenable_request_id(user_id), user_id=user_id, text=text)

    def __init__(self, user_id: UUID, text: str) -> None:
        self.user_id = user_id
        self.open = True
        self.again_from: datetime | None = None

    def file_again(self, text: str, *, now: datetime) -> None:
        """Raises `ReenableTextMissing`, `ReenableRequestOpen` or `RejectedLately`."""
        _check_text(text)
        if self.open:
            raise ReenableRequestOpen("the staff have not answered your request yet")
        if self.again_from is not None and now < self.again_from:
            raise RejectedLately(f"you may ask again from {self.again_from:%Y-%m-%d} on")
        self.trigger_event(self.Filed, originator_topic=self.TOPIC, user_id=self.user_id, text=text)

    def approve(self) -> None:
        self._must_be_open()
        self._approved(self.user_id)

    def reject(self, reason: str, *, now: datetime) -> None:
        self._must_be_open()
        self._rejected(self.user_id, reason, now + AGAIN_AFTER)

    def _must_be_open(self) -> None:
        if not self.open:
            raise NoOpenRequest("this user waits for no answer")

    @event(Approved)
    def _approved(self, user_id: UUID) -> None:
        self.open = False

    @event(Rejected)
    def _rejected(self, user_id: UUID, reason: str, again_from: datetime) -> None:
        self.open, self.again_from = False, again_from


def reenable_request_id(user_id: UUID) -> UUID:
    return natural_id("reenable_request", user_id.hex)


def _check_text(text: str) -> None:
    if not text.strip() or len(text) > TEXT_MAX:
        raise ReenableTextMissing(f"say why in 1 to {TEXT_MAX} characters")
