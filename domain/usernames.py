"""Names: which there may be, which look like one another, which the staff have banned.

Two forms of a name count. Its key is what people mean by it: names are looked up by it, everywhere. Its skeleton is
what eyes make of it: no two accounts share one, so that nobody passes for somebody else.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from uuid import UUID

from domain.base import Aggregate, Created, event, natural_id
from domain.errors import Conflict, Malformed
from domain.torrents import check_reason

_USERNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9]|[_-](?=[A-Za-z0-9])){2,24}")
_RESERVED = frozenset(
    "admin administrator anonymous api bot deleted erased everyone guest me mod moderator nobody null owner root staff"
    " support sysop system tracker undefined unknown".split()
)
#: Signs of ASCII that take another's place at a glance, in one font or another (Unicode UTS 39 knows the first three).
_LOOKS_LIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "2": "z", "5": "s", "8": "b", "-": None, "_": None})
_LOOK_LIKE_ONE = (("rn", "m"), ("vv", "w"))
#: A name has 25 characters, so a few wildcards say all that there is to say, and matching stays cheap.
_PATTERN = re.compile(r"(?=.{3,40}$)\*?[A-Za-z0-9_-]+(?:\*[A-Za-z0-9_-]+){0,3}\*?")
#: Of signs that a pattern has to name, so that no pattern bans nearly everybody.
PATTERN_SIGNS_MIN = 3
PATTERNS_MAX = 200


class BadUsername(Malformed):
    """3 to 25 letters and digits of ASCII, with single dashes or underscores between them."""


class ReservedUsername(Malformed):
    """The name, or one that looks like it, would pass for the site's own."""


class UsernameBanned(Malformed):
    """The staff have banned names like this one."""


class UsernameTaken(Conflict):
    """Another account has or had this name, or one that looks like it."""


class BadNamePattern(Malformed):
    """A pattern is a name or a part of one, with at most five `*` for any signs."""


class NamePatternBanned(Conflict):
    """This pattern is banned already."""


class NamePatternNotBanned(Conflict):
    """This pattern is not banned."""


class TooManyNamePatterns(Conflict):
    """The list of banned patterns is full."""


class BannedNames(Aggregate):
    """The patterns of names that nobody may take from now on; who has such a name keeps it."""

    TOPIC = "banned_names"

    class Opened(Created):
        """The list exists."""

        TOPIC = "banned_names.opened"

    class Banned(Aggregate.Event):
        """Nobody may take a name that the pattern fits; `*` stands for any signs."""

        TOPIC = "banned_names.banned"
        pattern: str
        reason: str

    class Allowed(Aggregate.Event):
        """Such names may be taken again."""

        TOPIC = "banned_names.allowed"
        pattern: str
        reason: str

    @classmethod
    def open(cls, list_id: UUID) -> BannedNames:
        """The site's list is `BANNED_NAMES`."""
        return cls._create(cls.Opened, id=list_id)

    def __init__(self) -> None:
        self.patterns: dict[str, str] = {}  # what was banned, and the skeleton of it

    def ban(self, pattern: str, reason: str) -> None:
        """Raises `BadNamePattern`, `ReasonMissing`, `NamePatternBanned`, `TooManyNamePatterns`."""
        check_reason(reason)
        pattern = username_key(pattern)
        if not _PATTERN.fullmatch(pattern) or len(pattern.replace("*", "")) < PATTERN_SIGNS_MIN:
            raise BadNamePattern(f"a pattern has {PATTERN_SIGNS_MIN} signs of a name or more, and * for any others")
        if pattern in self.patterns:
            raise NamePatternBanned("this pattern is banned already")
        if len(self.patterns) >= PATTERNS_MAX:
            raise TooManyNamePatterns(f"the list has {PATTERNS_MAX} patterns: allow others first")
        self._banned(pattern, reason)

    def allow(self, pattern: str, reason: str) -> None:
        """Raises `ReasonMissing`, `NamePatternNotBanned`."""
        check_reason(reason)
        pattern = username_key(pattern)
        if pattern not in self.patterns:
            raise NamePatternNotBanned("this pattern is not banned")
        self._allowed(pattern, reason)

    def check(self, username: str) -> None:
        """Raises `UsernameBanned` for a name that looks like a banned one."""
        seen = skeleton(username)
        if any(fnmatchcase(seen, banned) for banned in self.patterns.values()):
            raise UsernameBanned("names like this one are not taken here")

    @event(Banned)
    def _banned(self, pattern: str, reason: str) -> None:
        self.patterns[pattern] = skeleton(pattern)

    @event(Allowed)
    def _allowed(self, pattern: str, reason: str) -> None:
        del self.patterns[pattern]


BANNED_NAMES = natural_id("banned_names", "site")


def check_username(username: str, *, reserved: bool = False) -> None:
    """Raises `BadUsername`, or `ReservedUsername` unless the caller may use `reserved` names."""
    if not _USERNAME.fullmatch(username):
        raise BadUsername("a username has 3 to 25 letters, digits, and single dashes or underscores between them")
    if not reserved and skeleton(username) in _RESERVED_SKELETONS:
        raise ReservedUsername("this name is reserved")


def username_key(username: str) -> str:
    """The one normal form by which names are looked up; applying it twice changes nothing."""
    return username.lower()


def skeleton(username: str) -> str:
    """What the name looks like, by which names are unique: equal keys have equal skeletons; applying it twice changes
    nothing."""
    seen = username_key(username).translate(_LOOKS_LIKE)
    for several, one in _LOOK_LIKE_ONE:
        seen = seen.replace(several, one)
    return seen


_RESERVED_SKELETONS = frozenset(map(skeleton, _RESERVED))
