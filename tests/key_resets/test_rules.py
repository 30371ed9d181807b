"""How often a key is reset, and what a feed key opens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.feed_keys import FeedKey, feed_key, named_user, opens
from domain.key_resets import RESETS_MAX, TooManyResets, check_resets

NOW = datetime(2031, 1, 1, 12, 0, tzinfo=UTC)
ALICE, BOB, FILM, SONG = (UUID(int=n) for n in range(1, 5))
SECRET = b"s" * 32


@given(st.lists(st.integers(0, 200_000), max_size=12))
def test_a_key_is_reset_five_times_in_any_day(ages_s: list[int]) -> None:
    made = sorted(NOW - timedelta(seconds=age) for age in ages_s)
    within = [at for at in made if at > NOW - timedelta(days=1)]
    try:
        check_resets(made, now=NOW)
        refused = None
    except TooManyResets as error:
        refused = error.retry_after_s
    assert (refused is not None) is (len(within) >= RESETS_MAX)
    if refused is not None:
        check_resets(made, now=NOW + timedelta(seconds=refused))


def test_each_reset_moves_the_number_on() -> None:
    key = FeedKey.first_reset(ALICE)
    key.reset()
    assert [(event.user_id, event.key_no) for event in key.collect_events()] == [(ALICE, 2), (ALICE, 3)]  # type: ignore[attr-defined]
    assert key.key_no == 3


def test_a_key_opens_what_it_was_made_for() -> None:
    general, film = feed_key(SECRET, ALICE, 1), feed_key(SECRET, ALICE, 1, FILM)
    assert named_user(general) == named_user(film) == ALICE
    assert [opens(general, SECRET, ALICE, 1, what) for what in (None, FILM, SONG)] == [True, True, True]
    assert [opens(film, SECRET, ALICE, 1, what) for what in (None, FILM, SONG)] == [False, True, False]


def test_a_key_opens_nothing_for_another_user_number_or_site() -> None:
    key = feed_key(SECRET, ALICE, 1)
    assert not opens(key, SECRET, ALICE, 2, None)
    assert not opens(key, SECRET, BOB, 1, None)
    assert not opens(key, b"t" * 32, ALICE, 1, None)


@pytest.mark.parametrize("text", ["", "rss_", "rss_x", "utp_" + "A" * 43, "rss_" + "A" * 44, "rss_" + "é" * 43])
def test_what_is_no_key_names_nobody(text: str) -> None:
    assert named_user(text) is None
