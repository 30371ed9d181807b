"""Numbers at the end of each period, worked out backwards: what somebody who looked then would have seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.levels import Asked, _backwards
from queries.periods import POINTS_MAX, BadPeriod
from runtime.rollup import Grain

NOW = datetime(2031, 3, 15, 12, 34, tzinfo=UTC)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("grain", "start", "end", "first", "last"),
    [
        (Grain.HOUR, "2031-03-15T01:59", "2031-03-15T03:00", "2031-03-15T01:00", "2031-03-15T03:00"),
        (Grain.DAY, "2031-02-27T23:59", "2031-03-01T00:00", "2031-02-27", "2031-03-01"),
        (Grain.MONTH, "2030-11-30", "2031-02-01", "2030-11-01", "2031-02-01"),
    ],
)
def test_whole_periods_are_asked_for(grain: Grain, start: str, end: str, first: str, last: str) -> None:
    found = Asked.of(moment(start), moment(end), grain, NOW)
    assert found == (grain, moment(first), moment(last))


def test_the_newest_are_shown_when_nobody_says_from_when() -> None:
    assert Asked.of(None, None, Grain.MONTH, NOW) == (Grain.MONTH, moment("2029-04-01"), moment("2031-03-01"))
    assert len(list(Asked.of(None, None, Grain.HOUR, NOW).starts(None))) == 168
    assert list(Asked.of(None, None, Grain.DAY, NOW).starts(moment("2031-03-14"))) == [
        moment("2031-03-15"),
        moment("2031-03-14"),
    ]


@pytest.mark.parametrize("grain", list(Grain))
def test_an_answer_has_an_end(grain: Grain) -> None:
    start = Asked.of(None, None, grain, NOW).last
    longest = [*Asked(grain, datetime.min.replace(tzinfo=UTC), start).starts(start - timedelta(days=1))]
    assert longest[0] == start
    with pytest.raises(BadPeriod):
        Asked.of(datetime(1900, 1, 1, tzinfo=UTC), None, grain, NOW)
    with pytest.raises(BadPeriod):
        Asked.of(NOW + timedelta(days=40), None, grain, NOW)
    with pytest.raises(BadPeriod):
        Asked.of(None, datetime(1, 1, 1, tzinfo=UTC), grain, NOW)
    assert POINTS_MAX == 1000


@given(changes=st.lists(st.tuples(st.integers(-5, 2), st.integers(-9, 9)), max_size=20))
def test_backwards_from_now_is_forwards_from_nothing(changes: list[tuple[int, int]]) -> None:
    """Changes of days around those that are asked for, later ones too."""
    day = Grain.DAY.start(NOW)
    by_day: dict[datetime, dict[str, int]] = {}
    for offset, amount in changes:
        at = day + timedelta(days=offset)
        by_day[at] = {"n": by_day.get(at, {"n": 0})["n"] + amount}
    wanted = Asked(Grain.DAY, day - timedelta(days=3), day)
    total = sum(amount for _, amount in changes)
    seen: list[Any] = list(_backwards({"n": total}, by_day, wanted, None))[::-1]
    assert seen == [
        (at, {"n": sum(amount for offset, amount in changes if day + timedelta(days=offset) <= at)})
        for at in (day + timedelta(days=n) for n in range(-3, 1))
    ]
