"""When an account that nobody uses is warned, and when disabled: never without a warning, never before its time."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.inactivity import Inactivity, Patience, disabling_due, warning_due
from tests.given import NOON

ALICE = UUID(int=1)
DAY = timedelta(days=1)
PATIENCE = Patience(120 * DAY, 7 * DAY)


def test_a_warning_comes_seven_days_before() -> None:
    assert not warning_due(None, NOON, PATIENCE, now=NOON + 113 * DAY - timedelta(seconds=1))
    assert warning_due(None, NOON, PATIENCE, now=NOON + 113 * DAY)


def test_one_absence_is_warned_of_once_and_the_next_one_again() -> None:
    warned = Inactivity.first_warning(ALICE, NOON, NOON + 120 * DAY)
    assert not warning_due(warned, NOON, PATIENCE, now=NOON + 114 * DAY)
    assert warning_due(warned, NOON + 115 * DAY, PATIENCE, now=NOON + 228 * DAY)


def test_who_comes_back_is_not_disabled() -> None:
    warned = Inactivity.first_warning(ALICE, NOON, NOON + 120 * DAY)
    assert disabling_due(warned, NOON, now=NOON + 120 * DAY)
    assert not disabling_due(warned, NOON, now=NOON + 120 * DAY - timedelta(seconds=1))
    assert not disabling_due(warned, NOON + 119 * DAY, now=NOON + 400 * DAY)
    assert not disabling_due(None, NOON, now=NOON + 400 * DAY)


@given(visits=st.lists(st.integers(1, 300), max_size=6), looks=st.lists(st.integers(1, 60), min_size=1, max_size=30))
def test_whenever_a_worker_looks_nobody_is_disabled_without_a_week_of_warning(
    visits: list[int], looks: list[int]
) -> None:
    """Days between visits, and between looks: workers may be down for weeks."""
    seen = [NOON]
    for gap in visits:
        seen.append(seen[-1] + gap * DAY)
    warned: Inactivity | None = None
    warned_at, now = NOON, NOON
    for gap in looks:
        now += gap * DAY
        last_seen = max(at for at in seen if at <= now)
        if warning_due(warned, last_seen, PATIENCE, now=now):
            assert now - last_seen >= 113 * DAY
            warned, warned_at = Inactivity.first_warning(ALICE, last_seen, now + PATIENCE.warning), now
        elif disabling_due(warned, last_seen, now=now):
            assert now - warned_at >= 7 * DAY
            assert now - last_seen >= 120 * DAY
            return
