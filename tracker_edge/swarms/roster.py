"""The listed addresses of one torrent, family and role, packed so that random slices of them are the answer."""

from __future__ import annotations

from collections.abc import Callable

#: Drawn beyond what is wanted, to make up for the requester's own peers among them.
_OVERDRAW = 3
#: Spreads the numbers of users over all 4 bytes (an odd factor, and its inverse modulo 2^32): a search for one user's
#: bytes in a row of small numbers would stop at the seam between every two of them.
_SPREAD, _GATHER = 0x9E3779B1, pow(0x9E3779B1, -1, 2**32)


def user_key(number: int) -> bytes:
    """The 4 bytes that stand for the user of this number."""
    return (number * _SPREAD & 0xFFFFFFFF).to_bytes(4, "big")


def user_number(key: bytes) -> int:
    """The contrary of `user_key`."""
    return int.from_bytes(key, "big") * _GATHER & 0xFFFFFFFF


class Roster:
    """Two columns by position: address and port as on the wire, user and slot. Removal moves the last entry into the
    hole."""

    __slots__ = ("addresses", "owners", "stride")

    def __init__(self, stride: int) -> None:
        self.stride = stride  # 6 or 18 bytes (BEP 23, BEP 7)
        self.addresses = bytearray()
        self.owners = bytearray()  # 4 bytes each of user and slot

    def __len__(self) -> int:
        return len(self.owners) >> 3

    def add(self, entry: bytes, user: bytes, slot: int) -> int:
        """Appends; returns the position."""
        position = len(self.owners) >> 3
        self.addresses += entry
        self.owners += user + slot.to_bytes(4, "big")
        return position

    def entry(self, position: int) -> bytes:
        return bytes(self.addresses[position * self.stride : (position + 1) * self.stride])

    def holds(self, position: int, entry: bytes) -> bool:
        """Whether this is the entry there."""
        return self.addresses.startswith(entry, position * self.stride)

    def slot(self, position: int) -> int:
        return int.from_bytes(self.owners[position * 8 + 4 : position * 8 + 8], "big")

    def replace(self, position: int, entry: bytes) -> None:
        self.addresses[position * self.stride : (position + 1) * self.stride] = entry

    def remove(self, position: int) -> int:
        """Takes the entry out; returns the slot that has moved to its position (its own, when it was the last)."""
        for column, width in ((self.addresses, self.stride), (self.owners, 8)):
            last = column[-width:]
            column[position * width : (position + 1) * width] = last
            del column[-width:]
        return int.from_bytes(last[4:], "big")

    def draw(self, count: int, user: bytes, random: Callable[[], float]) -> bytes:
        """The entries of at most `count` random peers that are not the user's."""
        stride, addresses = self.stride, self.addresses
        runs = self._others(count + _OVERDRAW, user, random)
        return b"".join([addresses[start * stride : end * stride] for start, end in runs])[: count * stride]

    def draw_slots(self, count: int, user: bytes, random: Callable[[], float]) -> list[int]:
        """As `draw`, the slots instead of the entries."""
        runs = self._others(count + _OVERDRAW, user, random)
        return [self.slot(position) for start, end in runs for position in range(start, end)][:count]

    def slots_of(self, user: bytes) -> list[int]:
        """The slots of the user's peers."""
        gaps = self._without(user, 0, len(self))[:-1]
        return [self.slot(end) for _, end in gaps]

    def _others(self, wanted: int, user: bytes, random: Callable[[], float]) -> list[tuple[int, int]]:
        """Runs of `wanted` positions, less the user's: two at random places, so that neighbours are not for life."""
        total = len(self.owners) >> 3
        if total <= wanted:
            return self._without(user, 0, total)
        half = wanted >> 1
        start = int(random() * total)
        again = (start + half + int(random() * (total - wanted + 1))) % total
        runs = []
        for begin, end in ((start, start + half), (again, again + wanted - half)):
            if end > total:
                runs += self._without(user, 0, end - total)
                end = total
            runs += self._without(user, begin, end)
        return runs

    def _without(self, user: bytes, start: int, end: int) -> list[tuple[int, int]]:
        """The positions from `start` to `end` in runs that leave the user's out, each of which ends one."""
        owners, last = self.owners, end << 3
        runs = []
        found = owners.find(user, start << 3, last)
        while found >= 0:
            if found & 7:
                found = owners.find(user, found + 1, last)
                continue
            runs.append((start, found >> 3))
            start = (found >> 3) + 1
            found = owners.find(user, found + 8, last)
        runs.append((start, end))
        return runs
