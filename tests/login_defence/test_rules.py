"""When may somebody guess again? Waits of addresses, bounds of accounts and codes, and who is spared them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.login_defence import (
    ACCOUNT_FAILURES_MAX,
    ACCOUNT_MEMORY,
    AT_ONCE,
    BACK_OFF,
    KNOWN_FAILURES_MAX,
    KNOWN_WAIT_MAX,
    WRONG_CODES_MAX,
    WRONG_CODES_MEMORY,
    Guesses,
    Standing,
    TooManyTries,
    back_off,
    check_guess,
    network_of,
)

NOW = datetime(2031, 1, 1, 12, 0, tzinfo=UTC)
NONE = Guesses()
SECOND = timedelta(seconds=1)


def standing(
    address: Guesses | None = NONE,
    pair: Guesses = NONE,
    account: Guesses = NONE,
    codes: Guesses = NONE,
    *,
    known: bool = False,
) -> Standing:
    return Standing(address, pair, account, codes, known)


def wait_of(who: Standing, now: datetime = NOW, *, with_code: bool = False) -> int:
    """Seconds until the guess may be made, 0 for at once."""
    try:
        check_guess(who, with_code=with_code, now=now)
    except TooManyTries as refused:
        return refused.retry_after_s
    return 0


def test_an_address_waits_as_gazelle_has_it() -> None:
    waits = [wait_of(standing(Guesses(failed, NOW))) for failed in range(13)]
    week = 604_800
    assert waits == [0, 0, 30, 90, 300, 900, 10_800, 21_600, 86_400, 259_200, week, week, week]


@pytest.mark.parametrize("failed", range(2, 12))
def test_the_wait_is_over_to_the_second(failed: int) -> None:
    over = NOW + back_off(failed)
    assert wait_of(standing(Guesses(failed, NOW)), over - SECOND) == 1
    assert wait_of(standing(Guesses(failed, NOW)), over - SECOND / 2) == 1
    assert wait_of(standing(Guesses(failed, NOW)), over) == 0


def test_a_known_device_waits_a_minute_whatever_strangers_do() -> None:
    everybody = Guesses(1_000, NOW)
    assert wait_of(standing(everybody, NONE, everybody, known=True)) == 0
    waits = [wait_of(standing(everybody, Guesses(n, NOW), everybody, known=True)) for n in (1, 2, 3, 10, 19)]
    assert waits == [0, 30, 60, 60, 60]


def test_a_known_device_that_guesses_on_is_a_stranger() -> None:
    pair = Guesses(KNOWN_FAILURES_MAX, NOW)
    assert wait_of(standing(pair, pair, pair, known=True)) == BACK_OFF[-1].total_seconds()


def test_an_account_bears_a_hundred_failures_of_strangers() -> None:
    last = Guesses(ACCOUNT_FAILURES_MAX - 1, NOW)
    assert wait_of(standing(account=last)) == 0
    assert wait_of(standing(account=Guesses(last.failed, NOW, under_way=1))) == ACCOUNT_MEMORY.total_seconds()
    full = Guesses(ACCOUNT_FAILURES_MAX, NOW)
    assert wait_of(standing(account=full)) == ACCOUNT_MEMORY.total_seconds()
    assert wait_of(standing(account=full), NOW + ACCOUNT_MEMORY) == 0


def test_who_has_no_address_is_limited_by_the_account() -> None:
    assert wait_of(standing(None)) == 0
    assert wait_of(standing(None, account=Guesses(100, NOW))) > 0


@pytest.mark.parametrize("known", [False, True])
def test_five_wrong_codes_are_enough(known: bool) -> None:
    def waits(codes: Guesses, *, with_code: bool = True, later: timedelta = timedelta(0)) -> int:
        return wait_of(standing(codes=codes, known=known), NOW + later, with_code=with_code)

    assert waits(Guesses(WRONG_CODES_MAX - 1, NOW)) == 0
    assert waits(Guesses(WRONG_CODES_MAX, NOW)) == WRONG_CODES_MEMORY.total_seconds()
    assert waits(Guesses(2, NOW, under_way=3)) == WRONG_CODES_MEMORY.total_seconds()
    assert waits(Guesses(0, None, under_way=WRONG_CODES_MAX)) == 1
    assert waits(Guesses(WRONG_CODES_MAX, NOW), later=WRONG_CODES_MEMORY) == 0
    assert waits(Guesses(WRONG_CODES_MAX, NOW), with_code=False) == 0


@given(failed=st.integers(0, 20), under_way=st.integers(0, 30))
def test_a_burst_brings_no_more_guesses_than_its_size(failed: int, under_way: int) -> None:
    """Guesses that are under way together have not been counted against each other yet."""
    late = NOW + BACK_OFF[-1]
    allowed = wait_of(standing(Guesses(failed, NOW if failed else None, under_way)), late) == 0
    assert allowed is (under_way == 0 or failed + under_way < AT_ONCE)


@given(st.lists(st.integers(0, 400_000), max_size=40))
def test_an_address_gets_ten_guesses_a_week_however_it_times_them(gaps: list[int]) -> None:
    """The tenth failure holds it up for a week, and by then the first ones are forgotten."""
    made: list[datetime] = []
    for at in (NOW + timedelta(seconds=s) for s in accumulate(gaps)):
        recent = [one for one in made if one > at - BACK_OFF[-1]]
        if wait_of(standing(Guesses(len(recent), recent[-1] if recent else None)), at) == 0:
            made.append(at)
            assert len(recent) < len(BACK_OFF)


@given(st.integers(0, 50), st.integers(0, 10**6), st.integers(0, 10**6))
def test_who_waits_longer_is_never_worse_off(failed: int, first: int, second: int) -> None:
    who = standing(Guesses(failed, NOW if failed else None))
    waits = [wait_of(who, NOW + timedelta(seconds=s)) for s in sorted((first, second))]
    assert waits[1] <= waits[0]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::1", "::/64"),
    ],
)
def test_failures_are_held_against_an_address_or_a_64(address: str, network: str) -> None:
    assert network_of(address) == network


def test_the_longest_wait_of_a_known_device_is_the_rule_that_is_told() -> None:
    assert KNOWN_WAIT_MAX == timedelta(seconds=60)
