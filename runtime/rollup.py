"""Rows of periods that grow coarser with age: by the hour for a while, then by the day, then by the month for ever.

Each row says how much its counters changed within its period. Which period a change belongs to follows from its own
time and from the newest hour of the table alone, so that a table does not depend on how its facts were batched. That
hour is never later than the store's own clock was when it took the fact: one machine whose clock is years ahead must
not make months of everybody's hours, which no later fact could undo.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import LiteralString, NamedTuple

from runtime.db import Writer

#: What graphs of Gazelle go back to: 15 days by the hour, 120 by the day.
HOURS_KEPT = timedelta(days=15)
DAYS_KEPT = timedelta(days=120)

_MAX: LiteralString = "9223372036854775807"


class Grain(StrEnum):
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"

    def start(self, moment: datetime) -> datetime:
        """Where the hour, day or month (UTC) of that moment begins."""
        hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        if self is Grain.HOUR:
            return hour
        day = hour.replace(hour=0)
        return day if self is Grain.DAY else day.replace(day=1)


def come(moment: datetime, recorded_at: datetime) -> datetime:
    """The moment that has certainly come when the store took what is said to be of `moment`."""
    return min(moment, recorded_at)


class Period(NamedTuple):
    grain: Grain
    at: datetime  # where it begins


class Horizon(NamedTuple):
    """The newest hour of a table, and with it how far hours and days reach back."""

    newest: datetime

    @property
    def hours_from(self) -> datetime:
        return self.newest - HOURS_KEPT

    @property
    def days_from(self) -> datetime:
        return Grain.DAY.start(self.newest - DAYS_KEPT)

    def reaches(self, grain: Grain) -> datetime | None:
        """From when on there are periods of that length, None for ever."""
        return {Grain.HOUR: self.hours_from, Grain.DAY: self.days_from}.get(grain)

    def period(self, moment: datetime) -> Period:
        """The period that a change of that moment is counted in."""
        for grain in (Grain.HOUR, Grain.DAY):
            at, reach = grain.start(moment), self.reaches(grain)
            if reach is None or at >= reach:
                return Period(grain, at)
        return Period(Grain.MONTH, Grain.MONTH.start(moment))


class Rollup:
    """A table of user_id, grain, at and counters, and the table of one row that holds its newest hour.

    `held` are counters that never fall, `moving` may rise and fall; all are held within a bigint.
    """

    def __init__(self, table: LiteralString, *, held: Sequence[LiteralString], moving: Sequence[LiteralString]) -> None:
        merges = [f"{name} = least(t.{name}, {_MAX} - excluded.{name}) + excluded.{name}" for name in held]
        merges += [f"{name} = {_within(f't.{name}::numeric + excluded.{name}')}" for name in moving]
        sums = [_within(f"sum({name})") for name in (*held, *moving)]
        self._table, self._clock, self._sums = table, f"{table}_clock", ", ".join(sums)
        #: What stands before and behind rows of user_id, grain, at, the counters held and those that move.
        self.add: LiteralString = f"INSERT INTO {table} AS t (user_id, grain, at, {', '.join([*held, *moving])})"
        self.merged: LiteralString = f"ON CONFLICT (user_id, at, grain) DO UPDATE SET {', '.join(merges)}"

    def foresee(self, db: Writer, moment: datetime) -> None:
        """That moment will come, and the table is empty: its rows are those of then from the first one on."""
        self._set_clock(db, Grain.HOUR.start(moment))

    def horizon(self, db: Writer) -> Horizon:
        """As far as `reach` has come."""
        return Horizon(db.rows(f"SELECT hour FROM {self._clock} WHERE one")[0][0])

    def reach(self, db: Writer, moment: datetime) -> Horizon:
        """The horizon when that moment has `come`: what is older than it allows goes into coarser rows."""
        hour = Grain.HOUR.start(moment)
        found = db.rows(f"SELECT hour FROM {self._clock} WHERE one")
        if found and found[0][0] >= hour:
            return Horizon(found[0][0])
        self._set_clock(db, hour)
        horizon = Horizon(hour)
        self._coarsen(db, Grain.HOUR, Grain.DAY, horizon.hours_from)
        self._coarsen(db, Grain.DAY, Grain.MONTH, horizon.days_from)
        return horizon

    def _set_clock(self, db: Writer, hour: datetime) -> None:
        db.execute(
            f"INSERT INTO {self._clock} (one, hour) VALUES (true, %s) ON CONFLICT (one) DO UPDATE"
            " SET hour = excluded.hour",
            (hour,),
        )

    def _coarsen(self, db: Writer, fine: Grain, coarse: Grain, before: datetime) -> None:
        db.execute(
            f"WITH old AS (DELETE FROM {self._table} WHERE grain = %s AND at < %s RETURNING *)"
            f" {self.add} SELECT user_id, %s, date_trunc(%s, at, 'UTC') AS period, {self._sums} FROM old"
            f" GROUP BY user_id, period {self.merged}",
            (fine, before, coarse, coarse),
        )


def _within(amount: LiteralString) -> LiteralString:
    return f"greatest(least({amount}, {_MAX}), -{_MAX})"
