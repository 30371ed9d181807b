"""Percentiles and the overall rank: nothing is 0, the most is 100, ties are equal, what is hidden has no weight."""

from __future__ import annotations

from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st

from domain.ranks import STEPS, WEIGHTS, Dimension, overall, percentile


def ranks(values: list[int]) -> list[int]:
    """As a look at everybody gives the steps: the smallest value that n hundredths do not exceed."""
    having = sorted(value for value in values if value > 0)
    steps = [having[-(-n * len(having) // STEPS) - 1] for n in range(1, STEPS + 1)] if having else []
    found = [percentile(value, steps) for value in values]
    exact = [max(1, STEPS * bisect_right(having, value) // len(having)) if value else 0 for value in values]
    assert found == exact, "hundredths of those who have as much or less"
    return found


def test_gazelles_weights() -> None:
    assert list(WEIGHTS.values()) == [8, 20, 25, 10, 3, 4, 1, 5, 5, 6, 18]
    assert set(WEIGHTS) == set(Dimension)


def test_ranks_of_a_few() -> None:
    assert ranks([0, 5]) == [0, 100]
    assert ranks([1, 2, 2, 4]) == [25, 75, 75, 100]
    assert ranks([5, 6, 7]) == [33, 66, 100]
    assert ranks([0, 0, 7, 1000]) == [0, 0, 50, 100]
    assert ranks(list(range(1, 1001)))[:12] == [1] * 12


@given(values=st.lists(st.integers(0, 50), min_size=1, max_size=60))
def test_ranks_follow_the_values(values: list[int]) -> None:
    found = ranks(values)
    by_value = dict(zip(values, found, strict=True))
    assert [by_value[value] for value in values] == found, "ties are equal"
    assert [rank for _, rank in sorted(by_value.items())] == sorted(by_value.values()), "more is never less"
    assert all(rank == 0 if value == 0 else 1 <= rank <= 100 for value, rank in by_value.items())
    assert max(values) == 0 or by_value[max(values)] == 100


def test_the_overall_rank_is_weighted_and_scaled_by_a_ratio_below_one() -> None:
    both: dict[Dimension, int | None] = {Dimension.UPLOADED: 100, Dimension.DOWNLOADED: 30}
    assert overall(both, 10, 5) == 50
    assert overall(both, 5, 10) == 25
    assert overall(both, 0, 0) == 50, "who has downloaded nothing passes"
    assert overall(both, 0, 5) == 0


def test_what_is_hidden_or_unknown_has_no_weight() -> None:
    assert overall({Dimension.UPLOADED: 90, Dimension.DOWNLOADED: None, Dimension.POSTS: None}, 1, 1) == 90
    assert overall({Dimension.UPLOADED: None}, 1, 1) is None
