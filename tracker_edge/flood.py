"""Who announces too often: counts by key and by address in the present minute, bounded by what a minute brings."""

from __future__ import annotations

from typing import Literal, Protocol

WINDOW_S = 60


class Announcer(Protocol):
    """Who keeps a count: so many announces since the window that began at `minute_s`."""

    announces: int
    minute_s: int


class Flood:
    """Limits are announces a minute, 0 for none. A client with thousands of torrents announces all of them at once."""

    def __init__(self, per_key: int, per_address: int) -> None:
        self._per_key = per_key or 2**63
        self._per_address = per_address
        self._addresses: dict[bytes, int] = {}
        self._minute_s = 0

    def over(self, user: Announcer, address: bytes, now_s: int) -> Literal["key", "address"] | None:
        """Counts one announce; says which limit it is over."""
        if now_s >= self._minute_s + WINDOW_S:
            self._minute_s = now_s
            self._addresses = {}
        if user.minute_s != self._minute_s:
            user.minute_s, user.announces = self._minute_s, 0
        user.announces += 1
        by_address = 0
        if self._per_address:
            self._addresses[address] = by_address = self._addresses.get(address, 0) + 1
        if user.announces > self._per_key:
            return "key"
        return "address" if by_address > self._per_address else None
