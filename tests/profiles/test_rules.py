"""Profiles: what may be written, how often a picture changes, and what staff take away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.profiles import (
    AVATARS_A_DAY,
    BIO_MAX,
    TITLE_MAX,
    BadTitle,
    BioTooLong,
    NothingToClear,
    Profile,
    ProfilePart,
    TooManyAvatars,
)
from domain.torrents import ReasonMissing

ALICE = UUID(int=1)
NOW = datetime(2031, 1, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def profile() -> Profile:
    made = Profile.open(ALICE)
    made.collect_events()
    return made


def decided(made: Profile) -> list[type]:
    return [type(event) for event in made.collect_events()]


def test_a_title_and_a_text_are_recorded_once() -> None:
    made = profile()
    for _ in range(2):
        made.describe("Archivist", "I *keep* things.")
    (event,) = made.collect_events()
    assert isinstance(event, Profile.Described)
    assert (event.user_id, event.title, event.bio) == (ALICE, "Archivist", "I *keep* things.")


def test_the_longest_texts_are_taken_and_no_longer_ones() -> None:
    made = profile()
    made.describe("é" * TITLE_MAX, "é" * BIO_MAX)
    assert decided(made) == [Profile.Described]
    with pytest.raises(BadTitle):
        made.describe("x" * (TITLE_MAX + 1), "")
    with pytest.raises(BioTooLong):
        made.describe("", "x" * (BIO_MAX + 1))
    assert decided(made) == []


@pytest.mark.parametrize("hidden", ["\u202e", "\u200b", "\n", "\u2028", "\ufeff"])
def test_a_title_hides_nothing(hidden: str) -> None:
    with pytest.raises(BadTitle):
        profile().describe(f"Admin{hidden}", "")


def test_a_picture_is_changed_ten_times_a_day() -> None:
    made = profile()
    for n in range(AVATARS_A_DAY):
        made.choose_avatar(f"{n:064x}", "0" * 64, now=NOW + timedelta(hours=n))
    with pytest.raises(TooManyAvatars):
        made.choose_avatar("f" * 64, "0" * 64, now=NOW + DAY - timedelta(microseconds=1))
    made.choose_avatar("f" * 64, "0" * 64, now=NOW + DAY)
    with pytest.raises(TooManyAvatars):
        made.choose_avatar("e" * 64, "0" * 64, now=NOW + DAY)
    assert len(decided(made)) == AVATARS_A_DAY + 1


def test_the_same_picture_again_is_no_news() -> None:
    made = profile()
    made.choose_avatar("a" * 64, "1" * 64, now=NOW)
    made.choose_avatar("a" * 64, "2" * 64, now=NOW)
    assert decided(made) == [Profile.AvatarChosen]
    made.remove_avatar()
    made.remove_avatar()
    assert decided(made) == [Profile.AvatarRemoved]
    made.choose_avatar("a" * 64, "3" * 64, now=NOW)
    assert decided(made) == [Profile.AvatarChosen]


def test_staff_take_away_what_is_there_for_a_reason() -> None:
    made = profile()
    made.describe("Archivist", "")
    made.choose_avatar("a" * 64, "1" * 64, now=NOW)
    made.collect_events()
    with pytest.raises(ReasonMissing):
        made.clear([ProfilePart.AVATAR], " ")
    with pytest.raises(NothingToClear):
        made.clear([], "why not")
    made.clear(list(ProfilePart), "advertising")
    (event,) = made.collect_events()
    assert isinstance(event, Profile.Cleared)
    assert (event.parts, event.reason) == (["avatar", "title"], "advertising")
    assert (made.title, made.bio, made.avatar) == ("", "", None)
    made.clear(list(ProfilePart), "again")
    assert decided(made) == []
