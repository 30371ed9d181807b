"""Warnings: from when to when they count, and how each ends once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.torrents import ReasonMissing
from domain.warnings import (
    IN_FORCE_MAX,
    NoSuchWarning,
    TooManyWarnings,
    WarningEndsInPast,
    WarningOver,
    Warnings,
    warnings_id,
)

FIRST, SECOND, ALICE, BOB, CASE = (UUID(int=n) for n in range(1, 6))
NOW = datetime(2031, 1, 1, 12, 0, tzinfo=UTC)
UNTIL = NOW + timedelta(days=30)
TICK = timedelta(microseconds=1)


def warned(*until: datetime) -> Warnings:
    """Of one user, with so many warnings, whose ids are 1, 2 …"""
    warnings = Warnings.open(ALICE)
    for n, end in enumerate(until, 1):
        warnings.give(UUID(int=n), "rude", end, now=NOW)
    warnings.collect_events()
    return warnings


def decided(warnings: Warnings) -> list[type]:
    return [type(event) for event in warnings.collect_events()]


def test_who_was_never_warned_has_no_warning() -> None:
    assert Warnings.open(ALICE).warned_until(NOW) is None


def test_a_warning_counts_until_its_time_comes() -> None:
    warnings = warned(UNTIL)
    assert [warnings.warned_until(at) for at in (NOW, UNTIL - TICK, UNTIL)] == [UNTIL, UNTIL, None]


def test_of_several_the_last_one_says_until_when() -> None:
    warnings = warned(UNTIL, UNTIL + TICK, UNTIL - TICK)
    assert warnings.warned_until(NOW) == UNTIL + TICK
    warnings.lift(UUID(int=2), "r", now=NOW)
    assert warnings.warned_until(NOW) == UNTIL


@pytest.mark.parametrize("until", [NOW, NOW - TICK, datetime.min.replace(tzinfo=UTC)])
def test_a_warning_that_would_be_over_is_refused(until: datetime) -> None:
    with pytest.raises(WarningEndsInPast):
        warned(until)


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001])
def test_giving_and_lifting_need_a_reason(reason: str) -> None:
    with pytest.raises(ReasonMissing):
        Warnings.open(ALICE).give(FIRST, reason, UNTIL, now=NOW)
    with pytest.raises(ReasonMissing):
        warned(UNTIL).lift(FIRST, reason, now=NOW)


def test_a_warning_ends_once() -> None:
    lifted, expired, overdue = warned(UNTIL), warned(UNTIL), warned(UNTIL)
    lifted.lift(FIRST, "sorry", now=NOW)
    expired.expire(now=UNTIL)
    assert (decided(lifted), decided(expired)) == ([Warnings.Lifted], [Warnings.Expired])
    for warnings in (lifted, expired, overdue):
        with pytest.raises(WarningOver):
            warnings.lift(FIRST, "again", now=UNTIL)
    lifted.expire(now=UNTIL)
    expired.expire(now=UNTIL)
    assert (decided(lifted), decided(expired)) == ([], [])
    with pytest.raises(NoSuchWarning):
        lifted.lift(SECOND, "r", now=NOW)


def test_only_those_whose_time_is_over_expire() -> None:
    warnings = warned(UNTIL, UNTIL + TICK)
    warnings.expire(now=UNTIL - TICK)
    assert decided(warnings) == []
    warnings.expire(now=UNTIL)
    (event,) = warnings.collect_events()
    assert isinstance(event, Warnings.Expired)
    assert (event.user_id, event.warning_id) == (ALICE, FIRST)


def test_a_case_finds_the_warning_that_it_gave_while_it_counts() -> None:
    warnings = warned(UNTIL)
    warnings.give(SECOND, "r", UNTIL, case_id=CASE, now=NOW)
    assert [warnings.given_by_case(CASE, at) for at in (NOW, UNTIL)] == [SECOND, None]
    assert warnings.given_by_case(BOB, NOW) is None


def test_there_is_an_end_to_warning() -> None:
    warnings = warned(*[UNTIL] * IN_FORCE_MAX)
    with pytest.raises(TooManyWarnings):
        warnings.give(UUID(int=99), "r", UNTIL, now=NOW)
    warnings.give(UUID(int=99), "r", UNTIL + TICK, now=UNTIL)


def test_everybody_has_a_record_of_their_own() -> None:
    assert warnings_id(ALICE) != warnings_id(BOB)


STEPS = st.lists(
    st.tuples(st.sampled_from(["give", "lift", "expire"]), st.integers(1, 4), st.integers(0, 40)), max_size=30
)


@given(STEPS)
def test_whatever_happens_what_counts_is_what_was_given_and_not_lifted_and_is_not_over(
    steps: list[tuple[str, int, int]],
) -> None:
    """A model beside it: ends by id. Time goes on with every step."""
    warnings, now = Warnings.open(ALICE), NOW
    open_until: dict[UUID, datetime] = {}
    for n, (step, which, days) in enumerate(steps):
        now += timedelta(days=1)
        counting = {key: end for key, end in open_until.items() if end > now}
        if step == "give" and days:
            open_until[UUID(int=100 + n)] = now + timedelta(days=days)
            warnings.give(UUID(int=100 + n), "r", now + timedelta(days=days), now=now)
        elif step == "lift" and len(counting) >= which:
            key = sorted(counting)[which - 1]
            warnings.lift(key, "r", now=now)
            del open_until[key]
        elif step == "expire":
            warnings.expire(now=now)
        assert warnings.warned_until(now) == max((end for end in open_until.values() if end > now), default=None)
