"""A user's profile: a title, a few words about oneself, a picture. What others read, and what staff may take away."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from domain.base import Aggregate, Created, Personal, event, natural_id
from domain.errors import Conflict, Malformed
from domain.torrents import check_reason

TITLE_MAX = 64
BIO_MAX = 4_000
#: The larger side of a picture as it is kept, in pixels, and the bytes of the file that is sent.
AVATAR_SIDE = 256
AVATAR_BYTES_MAX = 2 * 2**20
#: Every picture stays in the store, as all history does.
AVATARS_A_DAY = 10
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_DAY = timedelta(days=1)


class BadTitle(Malformed):
    """A title has at most 64 visible characters."""


class BioTooLong(Malformed):
    """A text about oneself has at most 4,000 characters."""


class TooManyAvatars(Conflict):
    """The picture was changed ten times within a day."""

    status: ClassVar[int] = 429


class NothingToClear(Malformed):
    """Say which parts of the profile are to go."""


class ProfilePart(StrEnum):
    """What staff may take away. The value is stored in events and shown by the API."""

    TITLE = "title"
    BIO = "bio"
    AVATAR = "avatar"


class Profile(Aggregate):
    """One user's profile. Before the first change it is empty, and nothing is written for that."""

    TOPIC = "profile"

    class Opened(Created):
        TOPIC = "profile.opened"
        user_id: UUID

    class Described(Aggregate.Event):
        """The user's title, and what it writes about itself in Markdown."""

        TOPIC = "profile.described"
        SUBJECT: ClassVar[str] = "user_id"
        user_id: UUID
        title: Personal
        bio: Personal

    class AvatarChosen(Aggregate.Event):
        """The user has a new picture."""

        TOPIC = "profile.avatar_chosen"
        SUBJECT: ClassVar[str] = "user_id"
        user_id: UUID
        sha256: Personal  # of the picture: its name in addresses
        blob_sha256: str  # of what the store keeps: the picture under the user's data key
        chosen_at: datetime

    class AvatarRemoved(Aggregate.Event):
        """By the user."""

        TOPIC = "profile.avatar_removed"
        user_id: UUID

    class Cleared(Aggregate.Event):
        """Staff took these parts away: title, bio, avatar."""

        TOPIC = "profile.cleared"
        user_id: UUID
        parts: list[str]
        reason: str

    @classmethod
    def open(cls, user_id: UUID) -> Profile:
        return cls._create(cls.Opened, id=profile_id(user_id), user_id=user_id)

    def __init__(self, user_id: UUID) -> None:
        self.user_id = user_id
        self.title = ""
        self.bio = ""
        self.avatar: str | None = None  # its hash
        self.avatars_chosen_at: list[datetime] = []  # the newest ones

    def describe(self, title: str, bio: str) -> None:
        """Raises `BadTitle` or `BioTooLong`."""
        if len(title) > TITLE_MAX or any(unicodedata.category(char) in _INVISIBLE for char in title):
            raise BadTitle(f"a title has at most {TITLE_MAX} visible characters")
        if len(bio) > BIO_MAX:
            raise BioTooLong(f"write at most {BIO_MAX} characters")
        if (title, bio) != (self.title, self.bio):
            self._described(self.user_id, title, bio)

    def check_avatars(self, *, now: datetime) -> None:
        """Whether there may be another picture, before anybody decodes it; raises `TooManyAvatars`."""
        if sum(now - at < _DAY for at in self.avatars_chosen_at) >= AVATARS_A_DAY:
            raise TooManyAvatars(f"a picture is changed at most {AVATARS_A_DAY} times a day")

    def choose_avatar(self, sha256: str, blob_sha256: str, *, now: datetime) -> None:
        """Raises `TooManyAvatars`."""
        self.check_avatars(now=now)
        if sha256 != self.avatar:
            self._avatar_chosen(self.user_id, sha256, blob_sha256, now)

    def remove_avatar(self) -> None:
        if self.avatar is not None:
            self._avatar_removed(self.user_id)

    def clear(self, parts: Collection[ProfilePart], reason: str) -> None:
        """Take away what is there of these parts; raises `NothingToClear` or `ReasonMissing`."""
        check_reason(reason)
        if not parts:
            raise NothingToClear("name at least one part of the profile")
        there = {ProfilePart.TITLE: self.title, ProfilePart.BIO: self.bio, ProfilePart.AVATAR: self.avatar}
        if gone := sorted(str(part) for part in set(parts) if there[part]):
            self._cleared(self.user_id, gone, reason)

    @event(Described)
    def _described(self, user_id: UUID, title: str, bio: str) -> None:
        self.title, self.bio = title, bio

    @event(AvatarChosen)
    def _avatar_chosen(self, user_id: UUID, sha256: str, blob_sha256: str, chosen_at: datetime) -> None:
        self.avatar = sha256
        self.avatars_chosen_at = [*self.avatars_chosen_at, chosen_at][-AVATARS_A_DAY:]

    @event(AvatarRemoved)
    def _avatar_removed(self, user_id: UUID) -> None:
        self.avatar = None

    @event(Cleared)
    def _cleared(self, user_id: UUID, parts: list[str], reason: str) -> None:
        self.title = "" if "title" in parts else self.title
        self.bio = "" if "bio" in parts else self.bio
        self.avatar = None if "avatar" in parts else self.avatar


def profile_id(user_id: UUID) -> UUID:
    return natural_id("profile", user_id.hex)
