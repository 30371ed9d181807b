"""Accounts that nobody uses: warned by mail, then disabled. Whoever comes back meanwhile starts afresh."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from domain.base import Aggregate, Created, natural_id


class Patience(NamedTuple):
    """How long an account may go unused, and how long before that its owner is warned."""

    unused: timedelta
    warning: timedelta

    def warns_at(self, last_seen: datetime) -> datetime:
        return last_seen + self.unused - self.warning


class Inactivity(Aggregate):
    """The warnings of one user, one for each time that the account went unused."""

    TOPIC = "inactivity"

    class Warned(Created):
        """The account has not been used since `last_seen`, and is disabled from `disabled_from` on unless it is."""

        TOPIC = "inactivity.warned"
        user_id: UUID
        last_seen: datetime
        disabled_from: datetime

        def mutate(self, aggregate: Any) -> Any:
            return super().mutate(None) if aggregate is None else Aggregate.Event.mutate(self, aggregate)

        def apply(self, aggregate: Any) -> None:
            aggregate.last_seen, aggregate.disabled_from = self.last_seen, self.disabled_from

    @classmethod
    def first_warning(cls, user_id: UUID, last_seen: datetime, disabled_from: datetime) -> Inactivity:
        return cls._create(
            cls.Warned, id=inactivity_id(user_id), user_id=user_id, last_seen=last_seen, disabled_from=disabled_from
        )

    def __init__(self, user_id: UUID, last_seen: datetime, disabled_from: datetime) -> None:
        self.user_id = user_id
        self.last_seen = last_seen
        self.disabled_from = disabled_from

    def warn_again(self, last_seen: datetime, disabled_from: datetime) -> None:
        self.trigger_event(
            self.Warned,
            originator_topic=self.TOPIC,
            user_id=self.user_id,
            last_seen=last_seen,
            disabled_from=disabled_from,
        )


def inactivity_id(user_id: UUID) -> UUID:
    return natural_id("inactivity", user_id.hex)


def warning_due(warned: Inactivity | None, last_seen: datetime, patience: Patience, *, now: datetime) -> bool:
    """Whether the owner has to be warned now: not twice for the same absence."""
    return now >= patience.warns_at(last_seen) and (warned is None or warned.last_seen < last_seen)


def disabling_due(warned: Inactivity | None, last_seen: datetime, *, now: datetime) -> bool:
    """Whether the owner was warned of this absence, and the time that the warning gave is over."""
    return warned is not None and warned.last_seen >= last_seen and now >= warned.disabled_from
