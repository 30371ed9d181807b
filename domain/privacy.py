"""Privacy: what a user lets others see of its numbers and lists. Gazelle's 17 paranoia settings and what they imply.

Eight things are shown or hidden; of nine lists also the count alone can be shown. What follows from what is shown is
shown too, as in Gazelle: a setting that would pretend to hide what anybody can work out is not reachable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from domain.base import Aggregate, Created, event, natural_id
from domain.errors import Malformed
from domain.permissions import Permission


class NothingToCount(Malformed):
    """Only lists have a count that can be shown alone."""


class PrivacyKey(StrEnum):
    """What can be hidden, in Gazelle's words. The value is stored in events and shown by the API."""

    DOWNLOADED = "downloaded"
    UPLOADED = "uploaded"
    RATIO = "ratio"
    LAST_SEEN = "lastseen"
    REQUIRED_RATIO = "requiredratio"
    INVITED_COUNT = "invitedcount"
    ARTISTS_ADDED = "artistsadded"
    NOTIFICATIONS = "notifications"  # whether others are told of one's uploads
    TORRENT_COMMENTS = "torrentcomments"
    COLLAGES = "collages"
    COLLAGE_CONTRIBS = "collagecontribs"
    UPLOADS = "uploads"
    UNIQUE_GROUPS = "uniquegroups"
    PERFECT_FLACS = "perfectflacs"
    SEEDING = "seeding"
    LEECHING = "leeching"
    SNATCHED = "snatched"


#: Those that have a list and a count of it.
LISTS = frozenset(
    {
        PrivacyKey.TORRENT_COMMENTS,
        PrivacyKey.COLLAGES,
        PrivacyKey.COLLAGE_CONTRIBS,
        PrivacyKey.UPLOADS,
        PrivacyKey.UNIQUE_GROUPS,
        PrivacyKey.PERFECT_FLACS,
        PrivacyKey.SEEDING,
        PrivacyKey.LEECHING,
        PrivacyKey.SNATCHED,
    }
)


class Part(StrEnum):
    """Which part of it somebody looks at. Whoever sees the list sees the count; a single number is a count."""

    COUNT = "count"
    LIST = "list"


class Answer(StrEnum):
    """What becomes of one value for one viewer; the value is shown by the API beside what it is about."""

    ALLOWED = "allowed"
    OVERRIDDEN = "overridden"  # hidden, but not from this viewer, who is told so
    HIDDEN = "hidden"


class Level(StrEnum):
    """How much is hidden, in Gazelle's words."""

    OFF = "Off"
    VERY_LOW = "Very Low"
    LOW = "Low"
    HIGH = "High"
    VERY_HIGH = "Very High"


#: Above this score a level is very high.
HIGH_MAX = 20


@dataclass(frozen=True)
class PrivacySettings:
    """`hidden` altogether, `counted` with the count alone; everything else is shown. No key is in both."""

    hidden: frozenset[PrivacyKey] = frozenset()
    counted: frozenset[PrivacyKey] = frozenset()

    def shows(self, key: PrivacyKey, part: Part = Part.COUNT) -> bool:
        return key not in self.hidden and not (part is Part.LIST and key in self.counted)

    @property
    def score(self) -> int:
        """Gazelle's: one for each thing withheld, two for a list whose count is withheld too."""
        return len(self.hidden) + len(self.hidden & LISTS) + len(self.counted)

    @property
    def level(self) -> Level:
        for level, at_most in ((Level.OFF, 0), (Level.VERY_LOW, 1), (Level.LOW, 5), (Level.HIGH, HIGH_MAX)):
            if self.score <= at_most:
                return level
        return Level.VERY_HIGH

    @property
    def private(self) -> bool:
        """Whether the profile is private: nobody finds it by searching but its user, and who overrides privacy."""
        return self.level is Level.VERY_HIGH


EVERYTHING_SHOWN = PrivacySettings()

Item = tuple[PrivacyKey, Part]


def _lists(*keys: PrivacyKey) -> frozenset[Item]:
    return frozenset((key, Part.LIST) for key in keys)


def _counts(*keys: PrivacyKey) -> frozenset[Item]:
    return frozenset((key, Part.COUNT) for key in keys)


_MOVED = (PrivacyKey.DOWNLOADED, PrivacyKey.UPLOADED, PrivacyKey.RATIO)

#: Whoever sees all on the left can work out all on the right (Gazelle's sections/user/take_edit.php).
IMPLIES: tuple[tuple[frozenset[Item], frozenset[Item]], ...] = (
    (_lists(PrivacyKey.UNIQUE_GROUPS), _lists(PrivacyKey.UPLOADS)),
    (
        _lists(PrivacyKey.UPLOADS),
        _lists(PrivacyKey.UNIQUE_GROUPS, PrivacyKey.PERFECT_FLACS) | _counts(PrivacyKey.ARTISTS_ADDED),
    ),
    (_lists(PrivacyKey.COLLAGE_CONTRIBS), _lists(PrivacyKey.COLLAGES)),
    (
        _counts(PrivacyKey.SNATCHED, PrivacyKey.SEEDING, PrivacyKey.DOWNLOADED),
        _counts(PrivacyKey.REQUIRED_RATIO),
    ),
    *((_counts(*(key for key in _MOVED if key is not third)), _counts(third)) for third in _MOVED),
)


def consistent(wished: PrivacySettings) -> PrivacySettings:
    """The wish, with everything shown that follows from what it shows; applying it twice changes nothing."""
    settings, before = wished, EVERYTHING_SHOWN
    while settings != before:
        before = settings
        for given, implied in IMPLIES:
            if all(settings.shows(*item) for item in given):
                settings = _showing(settings, implied)
    return settings


def _showing(settings: PrivacySettings, items: Collection[Item]) -> PrivacySettings:
    whole = {key for key, part in items if part is Part.LIST or key not in LISTS}
    hidden = settings.hidden - {key for key, _ in items}
    counted = settings.counted | {key for key, _ in items if key in settings.hidden and key not in whole}
    return PrivacySettings(hidden, counted - whole)


#: The right that shows a hidden value all the same, beside `OVERRIDE`, which shows all of them.
OVERRIDE = Permission.USERS_OVERRIDE_PRIVACY
OVERRIDES: dict[PrivacyKey, Permission] = {
    **dict.fromkeys((*_MOVED, PrivacyKey.REQUIRED_RATIO), Permission.USERS_DISABLE),
    **dict.fromkeys((PrivacyKey.SEEDING, PrivacyKey.LEECHING, PrivacyKey.UPLOADS), Permission.USERS_SEE_SWARMS),
    PrivacyKey.SNATCHED: Permission.USERS_SEE_SNATCHES,
    PrivacyKey.LAST_SEEN: Permission.USERS_SEE_LAST_SEEN,
    PrivacyKey.INVITED_COUNT: Permission.USERS_SEE_INVITES,
    PrivacyKey.TORRENT_COMMENTS: Permission.FORUMS_MODERATE,
}


@dataclass(frozen=True)
class Viewer:
    """Who looks: whether it is the user itself, and what it may do."""

    own: bool
    permissions: frozenset[str]

    def overrides(self, key: PrivacyKey) -> bool:
        return OVERRIDE in self.permissions or OVERRIDES.get(key, OVERRIDE) in self.permissions


def visibility(settings: PrivacySettings, key: PrivacyKey, viewer: Viewer, part: Part = Part.COUNT) -> Answer:
    """Whether the viewer sees this of a user who has these settings; the user itself sees everything."""
    if viewer.own or settings.shows(key, part):
        return Answer.ALLOWED
    return Answer.OVERRIDDEN if viewer.overrides(key) else Answer.HIDDEN


def strictest(answers: Iterable[Answer]) -> Answer:
    """What becomes of a value that several things tell of: whoever may not see one of them may not see it."""
    return max(answers, key=list(Answer).index)


class Privacy(Aggregate):
    """One user's settings. Before the first choice everything is shown, and nothing is written for that."""

    TOPIC = "privacy"

    class Opened(Created):
        TOPIC = "privacy.opened"
        user_id: UUID

    class Chosen(Aggregate.Event):
        """The keys that are hidden, and the lists of which the count alone is shown; everything else is shown."""

        TOPIC = "privacy.chosen"
        user_id: UUID
        hidden: list[str]
        counted: list[str]

    @classmethod
    def open(cls, user_id: UUID) -> Privacy:
        return cls._create(cls.Opened, id=privacy_id(user_id), user_id=user_id)

    def __init__(self, user_id: UUID) -> None:
        self.user_id = user_id
        self.settings = EVERYTHING_SHOWN

    def choose(self, wished: PrivacySettings) -> None:
        """Hide what the user wants hidden, but for what can be worked out anyway; raises `NothingToCount`."""
        if not wished.counted <= LISTS:
            raise NothingToCount("only lists have a count that can be shown alone")
        settings = consistent(wished)
        if settings != self.settings:
            self._chosen(self.user_id, sorted(settings.hidden), sorted(settings.counted))

    @event(Chosen)
    def _chosen(self, user_id: UUID, hidden: list[str], counted: list[str]) -> None:
        self.settings = PrivacySettings(frozenset(map(PrivacyKey, hidden)), frozenset(map(PrivacyKey, counted)))


def privacy_id(user_id: UUID) -> UUID:
    return natural_id("privacy", user_id.hex)
