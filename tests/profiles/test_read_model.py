"""Profiles of two users as they are shown, and built again."""

from __future__ import annotations

from uuid import UUID

import pytest

from domain.profiles import Profile, profile_id
from projections.profiles import profiles
from runtime.rebuild import verify
from tests.given import NOON, Given, event, projected, rows_of

ALICE, BOB = (UUID(f"0199a4f0-0000-7000-8000-00000000000{n}") for n in (1, 2))

pytestmark = pytest.mark.engine


def test_each_part_changes_alone(given: Given) -> None:
    def shown() -> list[tuple[object, ...]]:
        projected(given.platform, profiles)
        return rows_of(
            given.platform, "SELECT title, bio, avatar, avatar_blob, version FROM read.profile ORDER BY user_id"
        )

    for user in (ALICE, BOB):
        stream = profile_id(user)
        given.facts(
            event(Profile.Opened, stream, user_id=user),
            event(Profile.Described, stream, 2, user_id=user, title="T", bio="B"),
            event(Profile.AvatarChosen, stream, 3, user_id=user, sha256="aa", blob_sha256="bb", chosen_at=NOON),
        )
    assert shown() == [("T", "B", "aa", "bb", 3)] * 2
    given.facts(event(Profile.Cleared, profile_id(ALICE), 4, user_id=ALICE, parts=["bio"], reason="r"))
    given.facts(event(Profile.AvatarRemoved, profile_id(BOB), 4, user_id=BOB))
    assert shown() == [("T", "", "aa", "bb", 4), ("T", "B", None, None, 4)]
    given.facts(event(Profile.Cleared, profile_id(ALICE), 5, user_id=ALICE, parts=["avatar", "title"], reason="r"))
    assert shown() == [("", "", None, None, 5), ("T", "B", None, None, 4)]
    assert [(t.rows, t.differences) for t in verify(given.platform, profiles)] == [(2, 0)]
