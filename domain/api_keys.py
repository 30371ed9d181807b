"""API keys: that a user gave a program leave to act in its name, how far, and when that ended.

The key itself is shown once and kept nowhere; its hash lives in the credentials store.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
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


class KeyExpiresInPast(Malformed):
    """A key that opens nothing any more is of no use."""


class Scope(StrEnum):
    """How far a key reaches. The value is stored in events and shown by the API; those of a section are its name."""

    READ = "read"  # GET and HEAD
    WRITE = "write"  # everything but the security of the account
    TORRENTS = "torrents"  # this section of the API, and nothing else
    REQUESTS = "requests"
    MODERATION = "moderation"


class ApiKey(Aggregate):
    """One key of one user."""

    TOPIC = "api_key"

    class Issued(Created):
        """A program may act in the user's name as far as `scopes` reach.

        Scopes are read, write, torrents, requests and moderation.
        """

        TOPIC = "api_key.issued"
        SUBJECT: ClassVar[str] = "user_id"
        class_version = 2
        user_id: UUID
        name: Personal
        scopes: list[str]
        expires_at: datetime | None  # null for never

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """Keys did not expire."""
            state["expires_at"] = None

    class Revoked(Aggregate.Event):
        TOPIC = "api_key.revoked"
        reason: str  # revoked, disabled, banned, group_changed

    @classmethod
    def issue(
        cls, key_id: UUID, user_id: UUID, name: str, scopes: Iterable[Scope], expires_at: datetime | None = None
    ) -> ApiKey:
        """A new key; raises `BadKeyName` or `ScopesMissing`. How many there may be is checked where they are kept, that
        it does not expire in the past by `check_expiry`."""
        _check_name(name)
        wanted = sorted({str(scope) for scope in scopes})
        if not wanted:
            raise ScopesMissing("name at least one scope")
        return cls._create(cls.Issued, id=key_id, user_id=user_id, name=name, scopes=wanted, expires_at=expires_at)

    def __init__(self, user_id: UUID, name: str, scopes: list[str], expires_at: datetime | None) -> None:
        self.user_id = user_id
        self.scopes = scopes
        self.expires_at = expires_at
        self.revoked = False

    def revoke(self, reason: str) -> None:
        if not self.revoked:
            self._revoked(reason)

    @event(Revoked)
    def _revoked(self, reason: str) -> None:
        self.revoked = True


def check_expiry(expires_at: datetime | None, *, now: datetime) -> None:
    """Raises `KeyExpiresInPast`."""
    if expires_at is not None and expires_at <= now:
        raise KeyExpiresInPast("a key expires in the future, or never")


def _check_name(name: str) -> None:
    hidden = any(unicodedata.category(char) in {"Cc", "Cf", "Cs"} for char in name)
    if not name.strip() or len(name) > NAME_MAX or hidden:
        raise BadKeyName(f"a key's name has 1 to {NAME_MAX} visible characters")
