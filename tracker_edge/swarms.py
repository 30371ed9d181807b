"""Who is on which torrent right now: peers in memory, a projection of the journal that answers in O(numwant).

A peer is (user, torrent, peer_id) with up to one IPv4 and one IPv6 address. Peers live in parallel columns, indexed by
slot; what is handed out lies packed per torrent, family and role, so that a random slice of it is the answer.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from random import Random
from typing import Final, NamedTuple

from domain.announces import Event
from tracker_edge.protocol.compact import may_hand_out
from tracker_edge.protocol.types import Counts, Peer

_UNLISTED: Final = 0xFFFFFFFF
_SEEDER: Final = 1
_PAUSED: Final = 2
_ELSEWHERE: Final = 4  # another edge heard it last
#: Drawn beyond what is wanted, to make up for the requester's own peers among them.
_OVERDRAW: Final = 3


class Gone(NamedTuple):
    """A peer that left without saying so."""

    user_id: bytes
    torrent_id: bytes
    peer_id: bytes
    address: bytes
    port: int


class Seen(NamedTuple):
    """When a peer was last heard of over any family, and whether another edge heard it."""

    at_s: int
    elsewhere: bool


class Session(NamedTuple):
    """All that is known of one peer; pairs are of IPv4 and IPv6. `seen` is None where the peer never announced, and an
    address that is not handed out reads 0.0.0.0 or ::, port 0."""

    torrent_id: bytes
    user_id: bytes
    peer_id: bytes
    left: int  # 0 or 1
    paused: bool
    elsewhere: bool
    seen: tuple[int | None, int | None]
    addresses: tuple[tuple[bytes, int], tuple[bytes, int]]


class Roster:
    """The listed addresses of one torrent, family and role, packed; removal moves the last entry into the hole."""

    __slots__ = ("addresses", "slots", "stride", "users")

    def __init__(self, stride: int) -> None:
        self.stride = stride  # 6 or 18: address and port, as on the wire (BEP 23, BEP 7)
        self.addresses = bytearray()
        self.users = bytearray()  # 4 bytes each
        self.slots = bytearray()  # 4 bytes each

    def __len__(self) -> int:
        return len(self.users) >> 2

    def add(self, entry: bytes, user: bytes, slot: int) -> int:
        """Appends; returns the position."""
        position = len(self.users) >> 2
        self.addresses += entry
        self.users += user
        self.slots += slot.to_bytes(4, "big")
        return position

    def entry(self, position: int) -> bytes:
        return bytes(self.addresses[position * self.stride : (position + 1) * self.stride])

    def slot(self, position: int) -> int:
        return int.from_bytes(self.slots[position * 4 : position * 4 + 4], "big")

    def replace(self, position: int, entry: bytes) -> None:
        self.addresses[position * self.stride : (position + 1) * self.stride] = entry

    def remove(self, position: int) -> int:
        """Takes the entry out; returns the slot that has moved to its position (its own, when it was the last)."""
        for column, width in ((self.addresses, self.stride), (self.users, 4), (self.slots, 4)):
            last = column[-width:]
            column[position * width : (position + 1) * width] = last
            del column[-width:]
            moved = int.from_bytes(last, "big")
        return moved

    def draw(self, count: int, user: bytes, rng: Random) -> tuple[bytearray, bytearray]:
        """Addresses and slots of at most `count` random entries that are not the user's."""
        total = len(self.users) >> 2
        addresses, users, slots = bytearray(), bytearray(), bytearray()
        for start, end in _slices(total, count + _OVERDRAW, rng):
            addresses += self.addresses[start * self.stride : end * self.stride]
            users += self.users[start * 4 : end * 4]
            slots += self.slots[start * 4 : end * 4]
        found = users.find(user)
        while found >= 0:
            if found & 3:
                found = users.find(user, found + 1)
                continue
            position = found >> 2
            del addresses[position * self.stride : (position + 1) * self.stride]
            del users[found : found + 4]
            del slots[found : found + 4]
            found = users.find(user, found)
        return addresses[: count * self.stride], slots[: count * 4]


def _slices(total: int, count: int, rng: Random) -> Iterable[tuple[int, int]]:
    """Slices of range(total) with `count` places in all: two runs at random places, so neighbours are not for life."""
    if total <= count:
        return ((0, total),)
    first = count >> 1
    start = int(rng.random() * total)
    again = start + first + int(rng.random() * (total - count + 1))
    return (*_wrapped(start, first, total), *_wrapped(again % total, count - first, total))


def _wrapped(start: int, count: int, total: int) -> Iterable[tuple[int, int]]:
    end = start + count
    return ((start, end),) if end <= total else ((start, total), (0, end - total))


class Swarm:
    """One torrent's peers, counted."""

    __slots__ = (
        "completed",
        "key",
        "leech4",
        "leech6",
        "leechers",
        "paused",
        "seed4",
        "seed6",
        "seeders",
        "torrent_id",
    )

    def __init__(self, torrent_id: bytes, key: bytes) -> None:
        self.torrent_id = torrent_id
        self.key = key
        self.seeders = 0
        self.leechers = 0
        self.paused = 0  # leechers that are partial seeds
        self.completed = 0
        self.leech4: Roster | None = None
        self.leech6: Roster | None = None
        self.seed4: Roster | None = None
        self.seed6: Roster | None = None

    @property
    def counts(self) -> Counts:
        return Counts(self.seeders, self.completed, self.leechers, self.leechers - self.paused)

    def roster(self, six: bool, seeder: bool) -> Roster:
        name = ("leech4", "seed4", "leech6", "seed6")[2 * six + seeder]
        found: Roster | None = getattr(self, name)
        if found is None:
            found = Roster(18 if six else 6)
            setattr(self, name, found)
        return found


class Swarms:
    """All swarms of one edge. Times are whole seconds of any clock that does not go back."""

    def __init__(self, rng: Random, *, allow_private: bool = False) -> None:
        self._rng = rng
        self._allow_private = allow_private
        self._swarms: dict[bytes, Swarm] = {}
        self._by_key: list[Swarm] = []
        self._users: dict[bytes, bytes] = {}
        self._user_ids: list[bytes] = []
        self._index: dict[bytes, int] = {}  # torrent key, user key, peer_id -> slot
        self._keys: list[bytes | None] = []
        self._flags = bytearray()
        self._seen = (array("I"), array("I"))  # by family; 0 = never
        self._listed = (array("I"), array("I"))  # by family: position in the roster
        self._free: list[int] = []
        self._cursor = 0

    def __len__(self) -> int:
        return len(self._index)

    @property
    def torrents(self) -> int:
        return len(self._swarms)

    def swarm(self, torrent_id: bytes) -> Swarm:
        """The torrent's swarm, made when there is none."""
        found = self._swarms.get(torrent_id)
        if found is None:
            found = Swarm(torrent_id, len(self._by_key).to_bytes(4, "big"))
            self._swarms[torrent_id] = found
            self._by_key.append(found)
        return found

    def counts(self, torrent_id: bytes) -> Counts:
        found = self._swarms.get(torrent_id)
        return found.counts if found else Counts(0, 0, 0, 0)

    def announce(
        self,
        swarm: Swarm,
        user_id: bytes,
        peer_id: bytes,
        event: int,
        left: int,
        address: bytes,
        port: int,
        now_s: int,
        *,
        elsewhere: bool = False,
    ) -> int | None:
        """Applies one announce; returns how long ago the peer announced over this family, None for the first time.

        `elsewhere` marks what another edge heard: see `expire`.
        """
        user = self._user_key(user_id)
        key = swarm.key + user + peer_id
        slot = self._index.get(key)
        if event == Event.STOPPED or event == Event.EXPIRED:
            if slot is not None:
                self._remove(slot, swarm)
            return None
        flags = (0 if left else _SEEDER) | (_PAUSED if event == Event.PAUSED and left else 0)
        if elsewhere:
            flags |= _ELSEWHERE
        if slot is None:
            slot = self._add(key, swarm, flags)
            if event == Event.COMPLETED and not left:
                swarm.completed += 1
        elif self._flags[slot] != flags:
            self._change_role(slot, swarm, flags)
        six = len(address) == 16
        seen = self._seen[six]
        before = seen[slot]
        seen[slot] = now_s
        self._list(slot, swarm, user, six, flags & _SEEDER, address, port)
        return now_s - before if before else None

    def draw(self, swarm: Swarm, user_id: bytes, count: int, *, six: bool, seeder: bool) -> tuple[bytearray, bytearray]:
        """Compact addresses and slots of at most `count` peers: seeders first, and none of them for a seeder."""
        user = self._user_key(user_id)
        addresses, slots = bytearray(), bytearray()
        seeds, leeches = (swarm.seed6, swarm.leech6) if six else (swarm.seed4, swarm.leech4)
        for roster in (None if seeder else seeds, leeches):
            wanted = count - (len(slots) >> 2)
            if roster is not None and wanted > 0 and roster.users:
                some, theirs = roster.draw(wanted, user, self._rng)
                addresses += some
                slots += theirs
        return addresses, slots

    def has_six(self, swarm: Swarm, user_id: bytes, peer_id: bytes) -> bool:
        """Whether the peer has announced over IPv6."""
        slot = self._index.get(swarm.key + self._user_key(user_id) + peer_id)
        return slot is not None and self._seen[1][slot] != 0

    def last_seen(self, swarm: Swarm, user_id: bytes, peer_id: bytes) -> Seen | None:
        """What is known of a peer; None when it is not in the swarm."""
        slot = self._index.get(swarm.key + self._user_key(user_id) + peer_id)
        if slot is None:
            return None
        return Seen(max(self._seen[0][slot], self._seen[1][slot]), bool(self._flags[slot] & _ELSEWHERE))

    def peers(self, addresses: bytes | bytearray, slots: bytes | bytearray) -> list[Peer]:
        """The long form of what `draw` gave."""
        stride = len(addresses) // (len(slots) // 4) if slots else 6
        found = []
        for number in range(len(slots) // 4):
            key = self._keys[int.from_bytes(slots[number * 4 : number * 4 + 4], "big")]
            entry = addresses[number * stride : (number + 1) * stride]
            found.append(Peer(key[8:] if key else b"", bytes(entry[:-2]), int.from_bytes(entry[-2:], "big")))
        return found

    def sessions(self) -> Iterator[Session]:
        """Every peer; nothing may be announced meanwhile."""
        for slot, key in enumerate(self._keys):
            if key is None:
                continue
            flags, swarm = self._flags[slot], self._swarm_of(key)
            yield Session(
                swarm.torrent_id,
                self._user_ids[int.from_bytes(key[4:8], "big")],
                key[8:],
                0 if flags & _SEEDER else 1,
                bool(flags & _PAUSED),
                bool(flags & _ELSEWHERE),
                (self._seen[0][slot] or None, self._seen[1][slot] or None),
                (self._address(slot, swarm, False), self._address(slot, swarm, True)),
            )

    def expire(self, before_s: int, limit: int, *, others_s: int = 0) -> list[Gone]:
        """Looks at the next `limit` slots and removes the peers whose every family was last heard of before then.

        Those that another edge heard last have `others_s` more: it is that edge's to say that they fell silent. An
        address that fell silent while the other family speaks is taken off the lists.
        """
        gone = []
        for _ in range(min(limit, len(self._keys))):
            slot = self._cursor = (self._cursor + 1) % len(self._keys)
            key = self._keys[slot]
            if key is None:
                continue
            limit_s = before_s - others_s if self._flags[slot] & _ELSEWHERE else before_s
            stale = [family for family in (0, 1) if 0 < self._seen[family][slot] < limit_s]
            if not stale:
                continue
            swarm = self._swarm_of(key)
            if any(self._seen[family][slot] >= limit_s for family in (0, 1)):
                self._unlist(slot, swarm, stale[0], self._flags[slot] & _SEEDER)
                self._seen[stale[0]][slot] = 0
            else:
                gone.append(self._gone(slot, swarm, key))
        return gone

    def evict(self, user_ids: Iterable[bytes], torrent_ids: Iterable[bytes]) -> Iterator[Gone | None]:
        """Removes all peers of these users and torrents; yields None now and then, for the caller to do other work."""
        users = {self._users[user] for user in user_ids if user in self._users}
        torrents = {self._swarms[torrent].key for torrent in torrent_ids if torrent in self._swarms}
        if not users and not torrents:
            return
        for slot in range(len(self._keys)):
            key = self._keys[slot] if slot < len(self._keys) else None
            if key is not None and (key[4:8] in users or key[:4] in torrents):
                yield self._gone(slot, self._swarm_of(key), key)
            elif slot & 0xFFF == 0:
                yield None

    def evict_leechers(self, user_ids: Iterable[bytes]) -> Iterator[Gone | None]:
        """As `evict`, for the peers of these users that do not seed."""
        users = {self._users[user] for user in user_ids if user in self._users}
        for slot in range(len(self._keys) if users else 0):
            key = self._keys[slot] if slot < len(self._keys) else None
            if key is not None and key[4:8] in users and not self._flags[slot] & _SEEDER:
                yield self._gone(slot, self._swarm_of(key), key)
            elif slot & 0xFFF == 0:
                yield None

    def _user_key(self, user_id: bytes) -> bytes:
        key = self._users.get(user_id)
        if key is None:
            key = self._users[user_id] = len(self._user_ids).to_bytes(4, "big")
            self._user_ids.append(user_id)
        return key

    def _swarm_of(self, key: bytes) -> Swarm:
        return self._by_key[int.from_bytes(key[:4], "big")]

    def _add(self, key: bytes, swarm: Swarm, flags: int) -> int:
        if self._free:
            slot = self._free.pop()
            self._keys[slot] = key
            self._flags[slot] = flags
        else:
            slot = len(self._keys)
            self._keys.append(key)
            self._flags.append(flags)
            for family in (0, 1):
                self._seen[family].append(0)
                self._listed[family].append(_UNLISTED)
        self._index[key] = slot
        _count(swarm, flags, 1)
        return slot

    def _remove(self, slot: int, swarm: Swarm) -> None:
        flags = self._flags[slot]
        for family in (0, 1):
            self._unlist(slot, swarm, family, flags & _SEEDER)
            self._seen[family][slot] = 0
        key = self._keys[slot]
        assert key is not None
        del self._index[key]
        self._keys[slot] = None
        self._free.append(slot)
        _count(swarm, flags, -1)

    def _address(self, slot: int, swarm: Swarm, six: bool) -> tuple[bytes, int]:
        position = self._listed[six][slot]
        if position == _UNLISTED:
            return bytes(16 if six else 4), 0
        entry = swarm.roster(six, bool(self._flags[slot] & _SEEDER)).entry(position)
        return entry[:-2], int.from_bytes(entry[-2:], "big")

    def _gone(self, slot: int, swarm: Swarm, key: bytes) -> Gone:
        """Removes the peer, and says who it was; an address that was never listed reads 0.0.0.0."""
        address, port = bytes(4), 0
        for family in (1, 0):
            position = self._listed[family][slot]
            if position != _UNLISTED:
                entry = swarm.roster(bool(family), bool(self._flags[slot] & _SEEDER)).entry(position)
                address, port = entry[:-2], int.from_bytes(entry[-2:], "big")
        self._remove(slot, swarm)
        return Gone(self._user_ids[int.from_bytes(key[4:8], "big")], swarm.torrent_id, key[8:], address, port)

    def _change_role(self, slot: int, swarm: Swarm, flags: int) -> None:
        old = self._flags[slot]
        if (old ^ flags) & _SEEDER:
            key = self._keys[slot]
            assert key is not None
            for family in (0, 1):
                position = self._listed[family][slot]
                if position != _UNLISTED:
                    entry = swarm.roster(bool(family), bool(old & _SEEDER)).entry(position)
                    self._unlist(slot, swarm, family, old & _SEEDER)
                    roster = swarm.roster(bool(family), bool(flags & _SEEDER))
                    self._listed[family][slot] = roster.add(entry, key[4:8], slot)
            if flags & _SEEDER:
                swarm.completed += 1
        self._flags[slot] = flags
        _count(swarm, old, -1)
        _count(swarm, flags, 1)

    def _list(self, slot: int, swarm: Swarm, user: bytes, six: bool, seeder: int, address: bytes, port: int) -> None:
        """Lists the address for others, or takes it off the list when they must not be told of it."""
        if not port or not may_hand_out(address, self._allow_private):
            self._unlist(slot, swarm, six, seeder)
            return
        entry = address + port.to_bytes(2, "big")
        if six:
            roster = swarm.seed6 if seeder else swarm.leech6
        else:
            roster = swarm.seed4 if seeder else swarm.leech4
        if roster is None:
            roster = swarm.roster(six, bool(seeder))
        listed = self._listed[six]
        position = listed[slot]
        if position == _UNLISTED:
            listed[slot] = roster.add(entry, user, slot)
        elif roster.entry(position) != entry:
            roster.replace(position, entry)

    def _unlist(self, slot: int, swarm: Swarm, family: int, seeder: int) -> None:
        listed = self._listed[family]
        position = listed[slot]
        if position != _UNLISTED:
            moved = swarm.roster(bool(family), bool(seeder)).remove(position)
            listed[moved] = position
            listed[slot] = _UNLISTED


def _count(swarm: Swarm, flags: int, by: int) -> None:
    if flags & _SEEDER:
        swarm.seeders += by
    else:
        swarm.leechers += by
        if flags & _PAUSED:
            swarm.paused += by
