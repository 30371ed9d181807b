"""Uniqueness: whatever may exist once has a stream of its own, saved together with the thing that claims it.

The stream's id follows from the natural key, so of two commands that claim the same key at the same moment the event
store lets only one commit. A read table is never asked whether a name is free.
"""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID

from domain.base import Aggregate, Created, event, natural_id
from domain.errors import Conflict


class AlreadyClaimed(Conflict):
    """Somebody else holds this key."""


class Claim(Aggregate):
    """One natural key and the id of whatever holds it."""

    TOPIC = "claim"

    class Made(Created):
        """A natural key, from which the stream's id follows, is held by `holder_id`: nobody else gets it."""

        TOPIC = "claim.made"
        kind: str
        holder_id: UUID

    class Released(Aggregate.Event):
        """The key is free."""

        TOPIC = "claim.released"

    class Retaken(Aggregate.Event):
        """The key was free, and is held again."""

        TOPIC = "claim.retaken"
        holder_id: UUID

    @classmethod
    def make(cls, claim_id: UUID, kind: str, holder_id: UUID) -> Claim:
        return cls._create(cls.Made, id=claim_id, kind=kind, holder_id=holder_id)

    def __init__(self, kind: str, holder_id: UUID) -> None:
        self.kind = kind
        self.holder_id: UUID | None = holder_id

    def release(self) -> None:
        if self.holder_id is not None:
            self._released()

    def retake(self, holder_id: UUID) -> None:
        """Hold a released key again, perhaps for another holder."""
        if self.holder_id is not None:
            raise AlreadyClaimed(f"this {self.kind} is taken")
        self._retaken(holder_id)

    @event(Released)
    def _released(self) -> None:
        self.holder_id = None

    @event(Retaken)
    def _retaken(self, holder_id: UUID) -> None:
        self.holder_id = holder_id


def claim_id(kind: str, key: str) -> UUID:
    """The claim stream of a public natural key (an info-hash, an open case's subject)."""
    return natural_id(f"claim:{kind}", key)


def personal_claim_id(secret: bytes, kind: str, key: str) -> UUID:
    """The claim stream of a personal key (username, e-mail): without the site's secret nobody can confirm a guess.

    HMAC-SHA256 (RFC 2104) cut to 128 bits and marked as UUIDv8 (RFC 9562 section 5.8).
    """
    digest = bytearray(hmac.digest(secret, f"claim:{kind}:{key}".encode(), hashlib.sha256)[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return UUID(bytes=bytes(digest))
