"""Of two pictures one is removed by the user, one by staff."""

from __future__ import annotations

from domain.profiles import Profile, ProfilePart
from tests.history.past import NOW, Past


def tell(past: Past) -> None:
    for user in past.users:
        profile = Profile.open(user.id)
        profile.describe("Archivist", "I *keep* things.")
        profile.choose_avatar("ab" * 32, "cd" * 32, now=NOW)
        profile.remove_avatar()
        profile.choose_avatar("ba" * 32, "dc" * 32, now=NOW)
        profile.clear([ProfilePart.BIO, ProfilePart.AVATAR], "advertising")
        past.save(profile, actor=user.id)
