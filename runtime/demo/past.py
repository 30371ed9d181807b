"""How a command happens at a moment of the past: the store that dates its events, and ids of that moment.

Only code that builds a `PastStore` can date events: routes build a `Store`, which has no such field.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from runtime.recorder import Beside
from runtime.store import Store

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US
DAY_US = 24 * HOUR_US


@dataclasses.dataclass(frozen=True, kw_only=True)
class PastStore(Store):
    """The store for one command that happens at `at`: what it records was decided then."""

    at: datetime

    def _put(self, events: list[Any], reply: dict[str, Any], beside: Beside | None) -> int:
        return super()._put([dataclasses.replace(event, timestamp=self.at) for event in events], reply, beside)


class SeededIds:
    """UUIDv7 (RFC 9562 section 5.7) of the moment `at_us`; the same for the same seed."""

    def __init__(self, seed: str, at_us: int = 0) -> None:
        self._rng = Random(seed)
        self.at_us = at_us

    def __call__(self) -> UUID:
        high, low = self._rng.getrandbits(12), self._rng.getrandbits(62)
        return UUID(int=self.at_us // 1000 << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)


def moment(at_us: int) -> datetime:
    """UTC microseconds as a time."""
    return _EPOCH + timedelta(microseconds=at_us)


def microseconds(at: datetime) -> int:
    """A time as UTC microseconds."""
    return (at - _EPOCH) // timedelta(microseconds=1)
