"""Which hour, day or month a change is counted in: by its own time and the newest hour alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.rollup import DAYS_KEPT, HOURS_KEPT, Grain, Horizon

NEWEST = datetime(2031, 6, 20, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "grain", "at"),
    [
        ("2031-06-20T07:59:59.999999", Grain.HOUR, "2031-06-20T07:00"),
        ("2031-06-05T07:00", Grain.HOUR, "2031-06-05T07:00"),
        ("2031-06-05T06:59", Grain.DAY, "2031-06-05T00:00"),
        ("2031-02-20T00:00", Grain.DAY, "2031-02-20T00:00"),
        ("2031-02-19T23:59", Grain.MONTH, "2031-02-01T00:00"),
        ("1970-01-31T05:00", Grain.MONTH, "1970-01-01T00:00"),
    ],
)
def test_older_changes_are_counted_in_longer_periods(moment: str, grain: Grain, at: str) -> None:
    found = Horizon(NEWEST).period(datetime.fromisoformat(moment + "+00:00"))
    assert (found.grain, found.at) == (grain, datetime.fromisoformat(at + "+00:00"))


@given(age=st.timedeltas(timedelta(0), timedelta(days=400)), later=st.timedeltas(timedelta(0), timedelta(days=400)))
def test_a_period_that_grows_coarser_is_within_the_coarser_one(age: timedelta, later: timedelta) -> None:
    """Where a row goes when it ages is where a change that comes later yet is counted: neither depends on the other."""
    moment = NEWEST - age
    before, after = Horizon(NEWEST).period(moment), Horizon(Grain.HOUR.start(NEWEST + later)).period(moment)
    order = list(Grain)
    assert order.index(after.grain) >= order.index(before.grain)
    assert after.at == after.grain.start(before.at)


def test_hours_and_days_last_as_long_as_the_graphs_go_back() -> None:
    assert (HOURS_KEPT, DAYS_KEPT) == (timedelta(days=15), timedelta(days=120))
