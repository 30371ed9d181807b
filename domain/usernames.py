"""Names: which there may be, and the one form by which they are unique and looked up."""

from __future__ import annotations

import re

from domain.errors import Conflict, Malformed

_USERNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9]|[_-](?=[A-Za-z0-9])){2,24}")
_RESERVED = frozenset(
    "admin administrator anonymous api bot deleted erased everyone guest me mod moderator nobody null owner root staff"
    " support sysop system tracker undefined unknown".split()
)


class BadUsername(Malformed):
    """3 to 25 letters and digits of ASCII, with single dashes or underscores between them."""


class ReservedUsername(Malformed):
    """The name would pass for the site's own."""


class UsernameTaken(Conflict):
    """Another account has this name, or one that differs in case only."""


def check_username(username: str, *, reserved: bool = False) -> None:
    """Raises `BadUsername`, or `ReservedUsername` unless the caller may use `reserved` names.

    ASCII only, so no two names can look alike but for case.
    """
    if not _USERNAME.fullmatch(username):
        raise BadUsername("a username has 3 to 25 letters, digits, and single dashes or underscores between them")
    if not reserved and username_key(username) in _RESERVED:
        raise ReservedUsername("this name is reserved")


def username_key(username: str) -> str:
    """The one normal form by which names are unique and looked up; applying it twice changes nothing."""
    return username.lower()
