"""Which part of the past a history is asked for: from when, to when, in hours or in days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Query

from domain.errors import Malformed
from runtime.http.deps import Clock
from runtime.http.types import Timestamp

#: No answer is longer; a year of days or six weeks of hours is less.
POINTS_MAX = 1000
#: How many of the newest are shown when nobody says from when.
POINTS_DEFAULT = 168


class BadPeriod(Malformed):
    """The period ends before it begins, or has more hours or days than one answer holds."""


class Step(StrEnum):
    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        return timedelta(hours=1) if self is Step.HOUR else timedelta(days=1)


@dataclass(frozen=True)
class Period:
    """From `start`, where an hour or a day (UTC) begins, until just before `end`."""

    start: datetime
    end: datetime
    step: Step

    @classmethod
    def of(cls, start: datetime | None, end: datetime | None, step: Step, now: datetime) -> Period:
        """The whole hours or days that the two moments lie in; raises `BadPeriod`."""
        try:
            last = _floor(end or now, step) + step.length
            first = _floor(start, step) if start else last - POINTS_DEFAULT * step.length
        except OverflowError:
            raise BadPeriod("this time is out of range") from None
        if not timedelta(0) < last - first <= POINTS_MAX * step.length:
            raise BadPeriod(f"ask for at least one and at most {POINTS_MAX} hours or days")
        return cls(first, last, step)


From = Annotated[Timestamp | None, Query(alias="from", description="the newest 168 hours or days unless given")]
To = Annotated[Timestamp | None, Query(description="now unless given")]


def _floor(moment: datetime, step: Step) -> datetime:
    utc = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return utc if step is Step.HOUR else utc.replace(hour=0)


def hours_or_days(now: Clock, start: From = None, to: To = None, step: Step = Step.HOUR) -> Period:
    """The dependency behind `PeriodDep`."""
    return Period.of(start, to, step, now)


def days(now: Clock, start: From = None, to: To = None) -> Period:
    """The dependency behind `DaysDep`."""
    return Period.of(start, to, Step.DAY, now)


PeriodDep = Annotated[Period, Depends(hours_or_days)]
DaysDep = Annotated[Period, Depends(days)]
