"""Who announces too often: counts by key and by address in the present minute, bounded by what a minute brings."""

from __future__ import annotations

from typing import Literal

WINDOW_S = 60


class Flood:
    """Limits are announces a minute, 0 for none. A client with thousands of torrents announces all of them at once."""

    def __init__(self, per_key: int, per_address: int) -> None:
        self._per_key = per_key or 2**63
        self._per_address = per_address or 2**63
        self._keys: dict[bytes, int] = {}
        self._addresses: dict[bytes, int] = {}
        self._until_s = 0

    def over(self, user_id: bytes, address: bytes, now_s: int) -> Literal["key", "address"] | None:
        """Counts one announce; says which limit it is over."""
        if now_s >= self._until_s:
            self._until_s = now_s + WINDOW_S
            self._keys, self._addresses = {}, {}
        keys, addresses = self._keys, self._addresses
        keys[user_id] = by_key = keys.get(user_id, 0) + 1
        addresses[address] = by_address = addresses.get(address, 0) + 1
        if by_key > self._per_key:
            return "key"
        return "address" if by_address > self._per_address else None
