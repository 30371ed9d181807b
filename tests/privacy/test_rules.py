"""Privacy: what follows from what is shown is shown too, nothing else is, and who sees what."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.permissions import Permission
from domain.privacy import (
    EVERYTHING_SHOWN,
    LISTS,
    OVERRIDE,
    OVERRIDES,
    Answer,
    Level,
    NothingToCount,
    Part,
    Privacy,
    PrivacySettings,
    Viewer,
    consistent,
    visibility,
)
from domain.privacy import PrivacyKey as K

ALICE = UUID(int=1)
STRANGER = Viewer(own=False, permissions=frozenset())
HERSELF = Viewer(own=True, permissions=frozenset())
ALL = frozenset(K)


@st.composite
def wishes(draw: st.DrawFn) -> PrivacySettings:
    hidden = draw(st.frozensets(st.sampled_from(sorted(K))))
    counted = draw(st.frozensets(st.sampled_from(sorted(LISTS))))
    return PrivacySettings(hidden, counted - hidden)


class Stranger:
    """Somebody who writes down what a profile shows, and works out what else follows from it."""

    #: What a value is worked out from. Of a list: (key, "list"); its count and single numbers: (key, "count").
    FORMULAS: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("ratio count", ("uploaded count", "downloaded count")),  # up / down
        ("uploaded count", ("ratio count", "downloaded count")),  # ratio * down
        ("downloaded count", ("uploaded count", "ratio count")),  # up / ratio
        # Gazelle's required ratio is a table over bytes downloaded, times the share of snatched that is not seeded.
        ("requiredratio count", ("downloaded count", "snatched count", "seeding count")),
        ("uniquegroups list", ("uploads list",)),
        ("perfectflacs list", ("uploads list",)),
        ("artistsadded count", ("uploads list",)),
        ("uploads list", ("uniquegroups list",)),  # each group's page names its uploaders
        ("collages list", ("collagecontribs list",)),
        *((f"{key} count", (f"{key} list",)) for key in LISTS),
    )

    def __init__(self, settings: PrivacySettings) -> None:
        parts = {f"{key} {part}": (key, part) for key in K for part in Part if key in LISTS or part is Part.COUNT}
        self.shown = {name for name, item in parts.items() if visibility(settings, *item_of(item)) is Answer.ALLOWED}
        self.known = set(self.shown)
        for _ in parts:
            self.known |= {out for out, needed in self.FORMULAS if set(needed) <= self.known}


def item_of(item: tuple[K, Part]) -> tuple[K, Viewer, Part]:
    return item[0], STRANGER, item[1]


@given(wishes())
def test_nothing_hidden_can_be_worked_out(wished: PrivacySettings) -> None:
    """Through the aggregate, so that no other setting is reachable."""
    privacy = Privacy.open(ALICE)
    privacy.choose(wished)
    stranger = Stranger(privacy.settings)
    assert stranger.known == stranger.shown


@given(wishes())
def test_nothing_else_is_revealed(wished: PrivacySettings) -> None:
    """What is shown against the wish is what the stranger would have known anyway."""
    assert Stranger(consistent(wished)).shown == Stranger(wished).known


@given(wishes())
def test_what_is_consistent_stays(wished: PrivacySettings) -> None:
    settings = consistent(wished)
    assert consistent(settings) == settings
    assert settings.counted <= LISTS
    assert not settings.counted & settings.hidden


@pytest.mark.parametrize(
    ("hidden", "counted", "then"),
    [
        ({K.RATIO}, set(), (set(), set())),
        ({K.UPLOADED}, set(), (set(), set())),
        ({K.UPLOADED, K.RATIO}, set(), ({K.UPLOADED, K.RATIO}, set())),
        ({K.UPLOADS}, set(), (set(), set())),  # the unique groups are shown
        ({K.UPLOADS, K.UNIQUE_GROUPS}, set(), ({K.UPLOADS, K.UNIQUE_GROUPS}, set())),
        ({K.UNIQUE_GROUPS, K.ARTISTS_ADDED}, {K.PERFECT_FLACS}, (set(), set())),  # the uploads are shown
        (set(), {K.COLLAGES}, (set(), set())),  # what was contributed to is shown
        ({K.COLLAGES}, {K.COLLAGE_CONTRIBS}, ({K.COLLAGES}, {K.COLLAGE_CONTRIBS})),
        ({K.REQUIRED_RATIO}, set(), (set(), set())),
        ({K.REQUIRED_RATIO}, {K.SNATCHED, K.SEEDING}, (set(), {K.SNATCHED, K.SEEDING})),
        ({K.REQUIRED_RATIO, K.SEEDING}, set(), ({K.REQUIRED_RATIO, K.SEEDING}, set())),
    ],
)
def test_gazelles_rules(hidden: set[K], counted: set[K], then: tuple[set[K], set[K]]) -> None:
    settings = consistent(PrivacySettings(frozenset(hidden), frozenset(counted)))
    assert (set(settings.hidden), set(settings.counted)) == then


def test_there_are_17_settings_9_of_them_lists() -> None:
    assert (len(K), len(LISTS)) == (17, 9)


def test_the_level_counts_what_is_withheld() -> None:
    one_by_one = [PrivacySettings(frozenset(sorted(ALL - LISTS)[:n])) for n in (0, 1, 2, 5, 6)]
    assert [(s.score, s.level) for s in one_by_one] == [
        (0, Level.OFF), (1, Level.VERY_LOW), (2, Level.LOW), (5, Level.LOW), (6, Level.HIGH),
    ]  # fmt: skip
    assert (PrivacySettings(counted=LISTS).score, PrivacySettings(hidden=LISTS).score) == (9, 18)
    assert (PrivacySettings(ALL).score, PrivacySettings(ALL).level) == (26, Level.VERY_HIGH)


@pytest.mark.parametrize("key", K)
def test_hidden_from_strangers_overridden_for_the_right_and_allowed_for_oneself(key: K) -> None:
    nothing, everything = PrivacySettings(ALL), EVERYTHING_SHOWN

    def seen(settings: PrivacySettings, viewer: Viewer) -> Answer:
        return visibility(settings, key, viewer)

    with_right = Viewer(own=False, permissions=frozenset({OVERRIDES.get(key, OVERRIDE)}))
    with_any = Viewer(own=False, permissions=frozenset({OVERRIDE}))
    without = Viewer(own=False, permissions=frozenset(Permission) - {OVERRIDE, OVERRIDES.get(key, OVERRIDE)})
    assert [seen(nothing, v) for v in (STRANGER, without, with_right, with_any, HERSELF)] == [
        Answer.HIDDEN, Answer.HIDDEN, Answer.OVERRIDDEN, Answer.OVERRIDDEN, Answer.ALLOWED,
    ]  # fmt: skip
    assert {seen(everything, v) for v in (STRANGER, with_right, HERSELF)} == {Answer.ALLOWED}


@pytest.mark.parametrize("key", sorted(LISTS))
def test_a_count_can_be_shown_without_its_list(key: K) -> None:
    settings = PrivacySettings(counted=frozenset({key}))
    assert visibility(settings, key, STRANGER, Part.COUNT) is Answer.ALLOWED
    assert visibility(settings, key, STRANGER, Part.LIST) is Answer.HIDDEN


def test_a_single_number_has_no_count() -> None:
    with pytest.raises(NothingToCount):
        Privacy.open(ALICE).choose(PrivacySettings(counted=frozenset({K.RATIO})))


def test_choosing_the_same_again_records_nothing() -> None:
    privacy = Privacy.open(ALICE)
    choices: list[Callable[[], PrivacySettings]] = [
        lambda: PrivacySettings(frozenset({K.LAST_SEEN}), frozenset({K.SEEDING})),
        lambda: PrivacySettings(frozenset({K.LAST_SEEN, K.RATIO}), frozenset({K.SEEDING})),  # the ratio stays shown
    ]
    for choice in choices:
        privacy.choose(choice())
    opened, chosen = privacy.collect_events()
    assert isinstance(chosen, Privacy.Chosen)
    assert (chosen.user_id, chosen.hidden, chosen.counted) == (ALICE, ["lastseen"], ["seeding"])
