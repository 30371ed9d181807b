"""What a movement of points adds to which number, and how long a streak of sign-ins lasts."""

from __future__ import annotations

from datetime import date

import pytest

from domain.bonus import PostingKind
from domain.statistics import Count, Streak, of_posting


@pytest.mark.parametrize(
    ("kind", "amount", "added"),
    [
        (PostingKind.GRANTED, 7, {Count.BONUS_EARNED: 7}),
        (PostingKind.BOUNTY_ESCROWED, -5, {Count.BONUS_SPENT: 5, Count.BOUNTY_SPENT: 5}),
        (PostingKind.BOUNTY_REFUNDED, 5, {Count.BONUS_SPENT: -5, Count.BOUNTY_SPENT: -5}),
        (PostingKind.BOUNTY_PAID, 5, {Count.BONUS_EARNED: 5, Count.BOUNTY_EARNED: 5}),
        ("a kind of later", -3, {Count.BONUS_SPENT: 3}),
    ],
)
def test_points_are_earned_or_spent_and_a_refund_is_neither(kind: str, amount: int, added: dict[Count, int]) -> None:
    assert of_posting(kind, amount) == added
    assert added.get(Count.BONUS_EARNED, 0) - added.get(Count.BONUS_SPENT, 0) == amount


def streak(*days: int) -> Streak:
    found = Streak()
    for day in days:
        found = found.with_day(date(2031, 1, day))
    return found


@pytest.mark.parametrize(
    ("days", "length", "longest"),
    [((), 0, 0), ((3,), 1, 1), ((3, 3, 4, 5), 3, 3), ((3, 4, 6), 1, 2), ((3, 4, 5, 7, 8), 2, 3), ((3, 4, 2), 2, 2)],
)
def test_a_streak_is_of_days_in_a_row(days: tuple[int, ...], length: int, longest: int) -> None:
    assert (streak(*days).days, streak(*days).longest) == (length, longest)


def test_a_streak_lasts_until_a_whole_day_went_by() -> None:
    assert [streak(3, 4).on(date(2031, 1, day)) for day in (4, 5, 6)] == [2, 2, 0]
    assert Streak().on(date(2031, 1, 1)) == 0
