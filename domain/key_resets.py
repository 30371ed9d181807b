"""Resetting the keys that travel in URLs (passkey, feed key): as often as somebody who leaked one needs to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import ClassVar

from domain.errors import DomainError

#: Each reset of a passkey is work for every edge, and a new .torrent for every download.
RESETS_MAX = 5
WITHIN = timedelta(days=1)


class ResetKind(StrEnum):
    """Which key was reset. The value is shown by the API."""

    PASSKEY = "passkey"
    RSS_KEY = "rss_key"


class TooManyResets(DomainError):
    """The key has been reset often enough for today."""

    status: ClassVar[int] = 429

    def __init__(self, wait: timedelta) -> None:
        super().__init__(f"a key is reset {RESETS_MAX} times a day at most")
        self.retry_after_s = max(1, ceil(wait.total_seconds()))


def check_resets(made: Sequence[datetime], *, now: datetime) -> None:
    """Raises `TooManyResets` when one more than those, the oldest first, would be too many."""
    recent = [at for at in made if at > now - WITHIN]
    if len(recent) >= RESETS_MAX:
        raise TooManyResets(recent[-RESETS_MAX] + WITHIN - now)
