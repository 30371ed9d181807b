"""What announces earn, rule by rule and against a model that knows only sums."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.announces import Announce, Event
from domain.base import MAX_COUNT
from domain.credit import (
    COMPLETED_UNSTARTED,
    COMPLETED_WITH_BYTES_LEFT,
    COUNTER_FELL,
    IMPLAUSIBLE_RATE,
    OUT_OF_ORDER,
    Credit,
    Session,
    settle,
)
from domain.factors import Factors

FULL = Factors()
CEILING = 2**62  # believes everything
MINUTE = 60


def announce(
    at_s: float, uploaded: int = 0, downloaded: int = 0, left: int = 100, event: Event = Event.REGULAR
) -> Announce:
    at_us = int(at_s * 1_000_000)
    return Announce(at_us, bytes(16), bytes(16), bytes(20), event, uploaded, downloaded, left, bytes(4), 6881, 0)


def settled(
    *announces: Announce, factors: Factors = FULL, ceiling: int = CEILING
) -> tuple[Session | None, list[Credit]]:
    session: Session | None = None
    credits = []
    for one in announces:
        session, credit = settle(session, one, factors, ceiling)
        credits.append(credit)
    return session, credits


def test_the_first_announce_is_the_baseline_and_earns_nothing() -> None:
    session, [credit] = settled(announce(0, 500, 700, event=Event.STARTED))
    assert session is not None
    assert (session.high_uploaded, session.high_downloaded) == (500, 700)
    assert (credit.uploaded, credit.downloaded, credit.baseline_uploaded) == (0, 0, 500)


def test_what_is_above_the_baseline_is_credited_once() -> None:
    again = announce(MINUTE, 50, 70)
    _, [_, first, repeat] = settled(announce(0, 10, 20), again, again)
    assert (first.raw_uploaded, first.raw_downloaded, first.uploaded, first.downloaded) == (40, 50, 40, 50)
    assert (repeat.uploaded, repeat.downloaded, repeat.anomaly) == (0, 0, None)


def test_a_stop_is_credited() -> None:
    session, [_, credit] = settled(announce(0), announce(MINUTE, 5, 9, event=Event.STOPPED))
    assert session is not None
    assert not session.active
    assert (credit.uploaded, credit.downloaded) == (5, 9)


def test_started_on_a_live_session_earns_while_nothing_fell() -> None:
    _, [_, credit] = settled(announce(0, 10, 10), announce(1, 15, 12, event=Event.STARTED))
    assert (credit.uploaded, credit.downloaded) == (5, 2)


def test_a_fall_with_started_begins_a_new_baseline() -> None:
    _, credits = settled(announce(0, 100, 100), announce(1, 3, 0, event=Event.STARTED), announce(2, 10, 4))
    assert [(c.uploaded, c.downloaded, c.anomaly) for c in credits[1:]] == [(0, 0, None), (7, 4, None)]


def test_a_fall_without_started_earns_again_only_above_the_high_water_mark() -> None:
    _, credits = settled(*(announce(n, up, 0) for n, up in enumerate((0, 100, 0, 60, 100, 130))))
    assert [c.uploaded for c in credits] == [0, 100, 0, 0, 0, 30]
    assert [c.anomaly for c in credits] == [None, None, COUNTER_FELL, None, None, None]


def test_a_sawtooth_earns_nothing_after_the_first_tooth() -> None:
    _, credits = settled(*(announce(n, (n % 2) * 1000, 0) for n in range(9)))
    assert sum(c.uploaded for c in credits) == 1000


def test_when_one_counter_falls_both_earn_nothing_but_the_other_is_not_escaped() -> None:
    _, credits = settled(announce(0, 100, 100), announce(1, 99, 150), announce(2, 100, 150))
    assert [(c.uploaded, c.downloaded) for c in credits] == [(0, 0), (0, 0), (0, 50)]


def test_an_older_announce_moves_nothing() -> None:
    before, _ = settled(announce(10, 5, 5), announce(20, 9, 9))
    after, credit = settle(before, announce(15, 99, 99, left=0, event=Event.COMPLETED), FULL, CEILING)
    assert after == before
    assert (credit.uploaded, credit.downloaded, credit.snatched, credit.anomaly) == (0, 0, False, OUT_OF_ORDER)


def test_a_rate_that_no_line_has_earns_nothing_and_is_named() -> None:
    session, credits = settled(announce(0), announce(10, 41_000), announce(20, 41_100), ceiling=1000)
    assert [(c.uploaded, c.anomaly) for c in credits] == [(0, None), (0, IMPLAUSIBLE_RATE), (100, None)]
    _, [_, barely] = settled(announce(0), announce(10, 40_000), ceiling=1000)
    assert barely.uploaded == 40_000  # 10 s and the timing slack
    assert session is not None
    assert session.high_uploaded == 41_100


def test_announces_at_the_same_moment_are_fine() -> None:
    _, [_, credit] = settled(announce(5), announce(5, 10))
    assert credit.uploaded == 10


def test_the_largest_counters_do_not_overflow() -> None:
    session, [_, credit] = settled(
        announce(0), announce(1, MAX_COUNT, MAX_COUNT), factors=Factors(200, 100), ceiling=MAX_COUNT
    )
    assert (credit.uploaded, credit.downloaded) == (MAX_COUNT, MAX_COUNT)
    assert session is not None


@pytest.mark.parametrize(("factors", "up", "down"), [((0, 0), 0, 0), ((150, 50), 151, 50), ((900, 100), 202, 101)])
def test_factors_are_whole_percent_rounded_down_and_upload_at_most_doubles(
    factors: tuple[int, int], up: int, down: int
) -> None:
    _, [_, credit] = settled(announce(0), announce(1, 101, 101), factors=Factors(*factors))
    assert (credit.uploaded, credit.downloaded) == (up, down)


def test_promotions_combine_to_the_better_of_each() -> None:
    assert Factors(150, 100).combined(Factors(100, 0)) == Factors(150, 0)
    assert Factors(300, 100).combined(Factors(100, 50)) == Factors(200, 50)
    with pytest.raises(ValueError, match="below zero"):
        Factors(-1, 100)


def test_seed_time_counts_between_two_seeding_announces_without_a_gap() -> None:
    _, credits = settled(
        announce(0, left=0),
        announce(1800, left=0),
        announce(1800 + 5400, left=0),
        announce(7200 + 5401, left=0),
        announce(12700, left=0, event=Event.STOPPED),
        announce(12800, left=0, event=Event.STARTED),
        announce(12900, left=7),
        announce(13000, left=0),
    )
    assert [c.seed_time_s for c in credits] == [0, 1800, 5400, 0, 99, 0, 0, 0]


def test_a_snatch_is_the_moment_when_nothing_is_left() -> None:
    by_event = settled(announce(0, left=5), announce(1, 0, 5, left=0, event=Event.COMPLETED))[1][1]
    by_transition = settled(announce(0, left=5), announce(1, 0, 5, left=0))[1][1]
    seeder = settled(announce(0, left=0), announce(1, left=0))[1]
    lied = settled(announce(0, left=5), announce(1, left=5, event=Event.COMPLETED))[1][1]
    unstarted = settled(announce(0, left=0, event=Event.COMPLETED))[1][0]
    assert (by_event.snatched, by_transition.snatched) == (True, True)
    assert [c.snatched for c in seeder] == [False, False]
    assert (lied.snatched, lied.anomaly) == (False, COMPLETED_WITH_BYTES_LEFT)
    assert (unstarted.snatched, unstarted.anomaly) == (True, COMPLETED_UNSTARTED)


def test_an_unknown_client_that_leaves_makes_no_session() -> None:
    for event in (Event.STOPPED, Event.EXPIRED):
        session, [credit] = settled(announce(0, 10, 10, event=event))
        assert session is None
        assert (credit.uploaded, credit.downloaded) == (0, 0)


def test_a_client_that_fell_silent_keeps_its_baseline() -> None:
    session, credits = settled(announce(0, 10, 10), announce(7200, event=Event.EXPIRED), announce(9000, 25, 30))
    assert [(c.uploaded, c.downloaded) for c in credits[1:]] == [(0, 0), (15, 20)]
    assert session is not None
    assert session.active


def test_an_edge_that_ships_after_another_gave_its_clients_up_loses_nothing() -> None:
    """Silent for the others since 0, while its own edge heard it every half hour and could not ship."""
    session, credits = settled(
        announce(0, left=0),
        announce(7500, event=Event.EXPIRED),
        announce(1800, 10, 1, left=0),
        announce(3600, 30, 2, left=0),
        announce(9000, 60, 3, left=0),
        announce(8000, 70, 4, left=0),
    )
    assert [(c.uploaded, c.downloaded) for c in credits[2:]] == [(10, 1), (20, 1), (30, 1), (0, 0)]
    assert [c.seed_time_s for c in credits[2:]] == [1800, 1800, 0, 0]  # nobody vouches for the time around the mark
    assert credits[5].anomaly == OUT_OF_ORDER
    assert session is not None
    assert session.active


def test_late_counters_do_not_bring_a_silent_client_back() -> None:
    session, _ = settled(announce(0), announce(7500, event=Event.EXPIRED), announce(1800, 10, 1))
    assert session is not None
    assert not session.active


steps = st.lists(
    st.tuples(
        st.integers(0, 50),  # uploaded
        st.integers(0, 50),  # downloaded
        st.integers(0, 3),  # left
        st.sampled_from(Event),
        st.integers(-3, 3000),  # seconds since the step before
    ),
    max_size=30,
)


@given(steps)
def test_credit_is_what_the_counters_rose_above_their_marks(steps: list[tuple[int, int, int, Event, int]]) -> None:
    """The model keeps, for each life of a session, the settled marks: what is earned is exactly how far they rose."""
    session: Session | None = None
    at, counted, newest = 10_000, 0, 0  # when: of the newest counters, of the newest record
    marks: list[int] | None = None
    last = [0, 0]
    for up, down, left, event, gap in steps:
        at += gap
        before = session
        session, credit = settle(session, announce(at, up, down, left, event), FULL, CEILING)
        earned = [0, 0]
        if marks is None:
            if event not in (Event.STOPPED, Event.EXPIRED):
                marks, last, counted, newest = [up, down], [up, down], at, at
        elif at >= (newest if event == Event.EXPIRED else counted):
            newest = max(newest, at)
            if event != Event.EXPIRED:
                counted = at
                fell = up < last[0] or down < last[1]
                if fell and event == Event.STARTED:
                    marks = [up, down]
                elif not fell:
                    earned = [max(0, up - marks[0]), max(0, down - marks[1])]
                    marks = [max(up, marks[0]), max(down, marks[1])]
                last = [up, down]
        else:
            assert session == before
        assert [credit.uploaded, credit.downloaded] == earned
        assert 0 <= credit.seed_time_s <= 5400
        assert not (credit.snatched and left)
        if session is not None and marks is not None:
            assert [session.high_uploaded, session.high_downloaded] == marks


@given(st.lists(st.integers(0, MAX_COUNT), min_size=1, max_size=20))
def test_without_started_never_more_is_credited_than_the_highest_counter_minus_the_first(ups: list[int]) -> None:
    _, credits = settled(*(announce(n * 60, up) for n, up in enumerate(ups)), ceiling=MAX_COUNT)
    assert sum(c.uploaded for c in credits) <= max(ups) - ups[0]
