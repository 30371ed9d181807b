"""What counts when promotions meet, by the time of the announce."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.factors import (
    EVERYBODY,
    FREE,
    FULL,
    NEUTRAL,
    BadPromotion,
    Factors,
    PromotionInPast,
    Promotions,
    Window,
    check_promotion,
    user_on_torrent,
)
from tests.peers.edges import ADA, ALBUM, FILM, GRACE, START_US, announce

NOW = datetime(2031, 1, 1, tzinfo=UTC)
SUBJECTS = (EVERYBODY, FILM.bytes, ALBUM.bytes, ADA.bytes, GRACE.bytes) + tuple(
    user_on_torrent(torrent.bytes, user.bytes) for torrent in (FILM, ALBUM) for user in (ADA, GRACE)
)
#: Those that an announce of Ada's on the film is about.
HERS = (EVERYBODY, FILM.bytes, ADA.bytes, user_on_torrent(FILM.bytes, ADA.bytes))

DOUBLE, HALF, THIRTY = Factors(200, 100), Factors(100, 50), Factors(100, 30)


def promised(by_subject: dict[bytes, list[Factors]]) -> Promotions:
    """Promotions that hold all the time."""
    return Promotions({s: [Window(0, None, factors) for factors in found] for s, found in by_subject.items()})


@pytest.mark.parametrize(
    ("torrent", "site", "user", "token", "expected"),
    [
        ([], [], [], [], FULL),
        ([FREE], [], [], [], FREE),
        ([], [FREE], [], [], FREE),
        ([], [], [FREE], [], FREE),
        ([], [], [], [FREE], FREE),
        ([DOUBLE], [], [], [], DOUBLE),
        ([DOUBLE], [DOUBLE], [DOUBLE], [], DOUBLE),
        ([DOUBLE, DOUBLE], [], [], [], DOUBLE),
        ([HALF], [HALF], [], [], HALF),
        ([HALF], [THIRTY], [], [], THIRTY),
        ([THIRTY], [DOUBLE], [], [], Factors(200, 30)),
        ([Factors(150, 50)], [Factors(120, 20)], [], [], Factors(150, 20)),
        ([HALF], [], [DOUBLE], [FREE], Factors(200, 0)),
        ([NEUTRAL], [], [], [], NEUTRAL),
        ([NEUTRAL], [DOUBLE], [], [], NEUTRAL),
        ([DOUBLE], [NEUTRAL], [FREE], [FREE], NEUTRAL),
        ([Factors(300, 100)], [], [DOUBLE], [], DOUBLE),
    ],
)
def test_the_better_of_each_counts_and_neutral_before_all(
    torrent: list[Factors], site: list[Factors], user: list[Factors], token: list[Factors], expected: Factors
) -> None:
    promotions = promised({FILM.bytes: torrent, EVERYBODY: site, ADA.bytes: user, HERS[3]: token})
    assert promotions.factors(announce()) == expected


@pytest.mark.parametrize(("at_us", "expected"), [(99, FULL), (100, FREE), (199, FREE), (200, DOUBLE), (10**16, DOUBLE)])
def test_a_window_holds_from_its_start_until_just_before_its_end(at_us: int, expected: Factors) -> None:
    windows = [Window(START_US + 100, START_US + 200, FREE), Window(START_US + 200, None, DOUBLE)]
    for subject in HERS:
        assert Promotions({subject: windows}).factors(announce(at_us / 1e6)) == expected


@pytest.mark.parametrize("subject", [subject for subject in SUBJECTS if subject not in HERS], ids=bytes.hex)
def test_what_is_for_others_changes_nothing(subject: bytes) -> None:
    assert promised({subject: [FREE]}).factors(announce()) is FULL


_factors = st.builds(Factors, st.integers(0, 400), st.integers(0, 400)) | st.sampled_from([FREE, NEUTRAL, DOUBLE, HALF])
_moments = st.integers(START_US - 20, START_US + 20)
_windows = st.lists(
    st.tuples(st.sampled_from(SUBJECTS), st.builds(Window, _moments, st.none() | _moments, _factors)), max_size=12
)


def promotions_of(windows: list[tuple[bytes, Window]]) -> Promotions:
    return Promotions({s: [window for subject, window in windows if subject == s] for s, _ in windows})


@given(windows=_windows, at_us=st.integers(-25, 25), data=st.data())
def test_whatever_windows_there_are_the_factors_are_fair(
    windows: list[tuple[bytes, Window]], at_us: int, data: st.DataObject
) -> None:
    """Within bounds, in whatever order, as the definition says, and in full outside all of them."""
    record = announce(at_us / 1e6)
    factors = promotions_of(windows).factors(record)
    assert 0 <= factors.upload_percent <= 200
    assert 0 <= factors.download_percent <= 100
    assert promotions_of(data.draw(st.permutations(windows))).factors(record) == factors
    covering = [
        window.factors
        for subject, window in windows
        if subject in HERS
        and window.starts_us <= record.received_at_us
        and (window.ends_us is None or record.received_at_us < window.ends_us)
    ]
    if NEUTRAL in covering:
        assert factors == NEUTRAL
    else:
        assert factors.upload_percent == min(200, max([100, *(one.upload_percent for one in covering)]))
        assert factors.download_percent == min([100, *(one.download_percent for one in covering)])


@pytest.mark.parametrize("factors", [FREE, NEUTRAL, DOUBLE, HALF, THIRTY, Factors(101, 100), Factors(200, 0)], ids=str)
def test_what_is_better_for_users_is_a_promotion_and_neutral_is(factors: Factors) -> None:
    check_promotion(factors, None, now=NOW)
    check_promotion(factors, NOW + timedelta(seconds=1), now=NOW)
    for until in (NOW, NOW - timedelta(days=1)):
        with pytest.raises(PromotionInPast):
            check_promotion(factors, until, now=NOW)


@pytest.mark.parametrize(
    "factors",
    [FULL, Factors(201, 0), Factors(99, 100), Factors(99, 0), Factors(0, 1), Factors(0, 100), Factors(200, 101)],
    ids=str,
)
def test_what_is_no_promotion_is_refused(factors: Factors) -> None:
    with pytest.raises(BadPromotion):
        check_promotion(factors, None, now=NOW)
