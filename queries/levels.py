"""What did a number say at the end of each hour, day or month? Worked out backwards from what it says now.

Tables of changes (`runtime.rollup`) say how much each number changed within a period, and grow coarser with age: the
value at the end of a period is the value of now without everything that changed later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, LiteralString, NamedTuple
from uuid import UUID

from fastapi import Depends, Query
from psycopg import Connection
from psycopg.rows import dict_row

from queries.periods import POINTS_MAX, BadPeriod, From, To
from runtime.http.deps import Clock
from runtime.rollup import Grain, Horizon

#: How many of the newest are shown when nobody says from when.
DEFAULT = {Grain.HOUR: 168, Grain.DAY: 120, Grain.MONTH: 24}


class Asked(NamedTuple):
    """Periods of one length, from that which begins at `first` to that which begins at `last`."""

    grain: Grain
    first: datetime
    last: datetime

    @classmethod
    def of(cls, start: datetime | None, end: datetime | None, grain: Grain, now: datetime) -> Asked:
        """The whole periods that the two moments lie in; raises `BadPeriod`."""
        try:
            last = grain.start(end or now)
            first = grain.start(start) if start else _earlier(last, grain, DEFAULT[grain] - 1)
            longest = _earlier(last, grain, POINTS_MAX - 1)
        except (OverflowError, ValueError):
            raise BadPeriod("this time is out of range") from None
        if not longest <= first <= last:
            raise BadPeriod(f"ask for at least one and at most {POINTS_MAX} periods")
        return cls(grain, first, last)

    def starts(self, since: datetime | None) -> Iterator[datetime]:
        """Where each period begins, the newest first, as far back as such periods are known."""
        at = self.last
        while at >= max(self.first, since or self.first):
            yield at
            at = _earlier(at, self.grain, 1)


def _earlier(start: datetime, grain: Grain, count: int) -> datetime:
    """Where the period so many before this one begins."""
    if grain is not Grain.MONTH:
        return start - count * timedelta(**{f"{grain}s": 1})
    months = start.year * 12 + start.month - 1 - count
    return start.replace(year=months // 12, month=months % 12 + 1)


def asked(now: Clock, start: From = None, to: To = None, period: Annotated[Grain, Query()] = Grain.DAY) -> Asked:
    """The dependency behind `AskedDep`."""
    return Asked.of(start, to, period, now)


AskedDep = Annotated[Asked, Depends(asked)]


class Changes(NamedTuple):
    """A table of changes, and the table that says what its numbers are now; both by user_id."""

    table: LiteralString
    now: LiteralString
    numbers: Sequence[str]


def levels(
    db: Connection[Any], user_id: UUID, sources: Sequence[Changes], wanted: Asked
) -> list[tuple[datetime, dict[str, int]]]:
    """Each period with what all numbers said at its end, oldest first. Hours and days that are kept as longer periods
    only are left out."""
    since = _known_since(db, sources, wanted.grain)
    numbers = dict[str, int]()
    changed = dict[datetime, dict[str, int]]()
    for source in sources:
        numbers |= _now(db, user_id, source)
        for at, amounts in _changed(db, user_id, source, wanted):
            changed[at] = changed.get(at, {}) | amounts
    return list(_backwards(numbers, changed, wanted, since))[::-1]


def _backwards(
    numbers: Mapping[str, int], changed: Mapping[datetime, Mapping[str, int]], wanted: Asked, since: datetime | None
) -> Iterator[tuple[datetime, dict[str, int]]]:
    left, later = dict(numbers), sorted(changed)
    for at in wanted.starts(since):
        while later and later[-1] > at:
            for name, amount in changed[later.pop()].items():
                left[name] -= amount
        yield at, dict(left)


def _known_since(db: Connection[Any], sources: Sequence[Changes], grain: Grain) -> datetime | None:
    """From when on all tables know periods of that length."""
    clocks = [db.execute(f"SELECT hour FROM {source.table}_clock WHERE one").fetchone() for source in sources]
    return max(filter(None, (Horizon(row[0]).reaches(grain) for row in clocks if row)), default=None)


def _now(db: Connection[Any], user_id: UUID, source: Changes) -> dict[str, int]:
    with db.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            f"SELECT {', '.join(source.numbers)} FROM {source.now} WHERE user_id = %s", (user_id,)
        ).fetchone()
    return row or dict.fromkeys(source.numbers, 0)


def _changed(
    db: Connection[Any], user_id: UUID, source: Changes, wanted: Asked
) -> Iterator[tuple[datetime, dict[str, int]]]:
    """The sums of what changed in each period from the first that is wanted until now."""
    sums = ", ".join(f"sum({name})" for name in source.numbers)
    rows = db.execute(
        f"SELECT date_trunc(%s, at, 'UTC') AS period, {sums} FROM {source.table}"
        " WHERE user_id = %s AND at >= %s GROUP BY period",
        (wanted.grain, user_id, wanted.first),
    )
    for at, *amounts in rows.fetchall():
        yield at, dict(zip(source.numbers, map(int, amounts), strict=True))
