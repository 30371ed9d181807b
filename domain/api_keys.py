"""API keys: that a user gave a program leave to act in its name, how far, and when that ended.

The key itself is shown once and kept nowhere; its hash lives in the credentials store.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from domain.base import Aggregate, Created, Personal, event
from domain.errors import Conflict, Malformed

MAX_KEYS = 20
NAME_MAX = 64


class BadKeyName(Malformed):
    """A key's name has 1 to 64 visible characters."""


class ScopesMissing(Malformed):
    """A key that opens nothing is of no use."""


class TooManyApiKeys(Conflict):
    """The user has as many keys as one may have; revoke one first."""


class Scope(StrEnum):
    """How far a key reaches. The value is stored in events and shown by the API."""

    READ = "read"  # GET and HEAD
    WRITE = "write"  # everything but the security of the account


class ApiKey(Aggregate):
    """One key of one user."""

    TOPIC = "api_key"

    class Issued(Created):
        """A program may act in the user's name as far as `scopes` reach: read, write."""

        TOPIC = "api_key.issued"
        SUBJECT: ClassVar[str] = "user_id"
        user_id: UUID
        name: Personal
        scopes: list[str]

    class Revoked(Aggregate.Event):
        TOPIC = "api_key.revoked"
        reason: str  # revoked, disabled, banned, group_changed

    @classmethod
    def issue(cls, key_id: UUID, user_id: UUID, name: str, scopes: Iterable[Scope]) -> ApiKey:
        """A new key; raises `BadKeyName` or `ScopesMissing`. How many there may be is checked where they are kept."""
        _check_name(name)
        wanted = sorted({str(scope) for scope in scopes})
        if not wanted:
            raise ScopesMissing("name at least one scope")
        return cls._create(cls.Issued, id=key_id, user_id=user_id, name=name, scopes=wanted)

    def __init__(self, user_id: UUID, name: str, scopes: list[str]) -> None:
        self.user_id = user_id
        self.scopes = scopes
        self.revoked = False

    def revoke(self, reason: str) -> None:
        if not self.revoked:
            self._revoked(reason)

    @event(Revoked)
    def _revoked(self, reason: str) -> None:
        self.revoked = True


def _check_name(name: str) -> None:
    hidden = any(unicodedata.category(char) in {"Cc", "Cf", "Cs"} for char in name)
    if not name.strip() or len(name) > NAME_MAX or hidden:
        raise BadKeyName(f"a key's name has 1 to {NAME_MAX} visible characters")
