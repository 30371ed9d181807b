"""All peers of one edge: what an announce changes, and whom it is told of.

A peer is (user, torrent, peer_id) with up to one IPv4 and one IPv6 address. Peers live in parallel columns, indexed by
slot; what is handed out lies packed per torrent, family and role, so that a random slice of it is the answer.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from random import Random
from typing import Final, NamedTuple

from tracker_edge.protocol.compact import may_hand_out
from tracker_edge.protocol.types import COMPLETED, EXPIRED, PARTIAL_SEED, STOPPED, Counts, Peer
from tracker_edge.swarms.limits import Allowance, Everything, Limits
from tracker_edge.swarms.roster import user_key, user_number
from tracker_edge.swarms.swarm import ELSEWHERE, HIDDEN, PAUSED, SEEDER, TOO_MANY_PEERS, Swarm

_UNLISTED: Final = 0xFFFFFFFF
_NOTHING: Final = Counts(0, 0, 0, 0)
_GONE: Final = (None, 0, False)


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


class Swarms:
    """All swarms of one edge. Times are whole seconds of any clock that does not go back."""

    def __init__(self, rng: Random, *, allow_private: bool = False, allowance: Allowance | None = None) -> None:
        self._random = rng.random
        self._allow_private = allow_private
        self._limits = Limits(allowance or Everything())
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

    def user(self, user_id: bytes) -> bytes:
        """The 4 bytes that stand for the user of this id here."""
        return self._users.get(user_id) or self._welcome(user_id)

    def has(self, swarm: Swarm, user: bytes, peer_id: bytes) -> bool:
        """Whether the peer is there; `user` is what the method of this name gives."""
        return swarm.key + user + peer_id in self._index

    def counts(self, torrent_id: bytes) -> Counts:
        found = self._swarms.get(torrent_id)
        return found.counts if found else _NOTHING

    def announce(
        self,
        swarm: Swarm,
        user: bytes,
        peer_id: bytes,
        event: int,
        left: int,
        address: bytes,
        port: int,
        now_s: int,
        *,
        elsewhere: bool = False,
    ) -> tuple[int | None, int, bool]:
        """Applies one announce; `user` is what the method of this name gives.

        Returns how long ago the peer announced over this family (None for the first time), why it is hidden from others
        (a flag of `HIDDEN`, or 0), and whether it has announced over IPv6. `elsewhere` marks what another edge heard:
        see `expire`.
        """
        key = swarm.key + user + peer_id
        slot = self._index.get(key)
        if event == STOPPED or event == EXPIRED:
            if slot is not None:
                self._remove(slot, swarm)
            return _GONE
        flags = SEEDER if not left else PAUSED if event == PARTIAL_SEED else 0
        if elsewhere:
            flags |= ELSEWHERE
        if slot is None:
            self._supersede(swarm, user, address, port)
            slot = self._add(key, swarm, flags)
            if event == COMPLETED and not left:
                swarm.completed += 1
        elif self._flags[slot] != flags:
            self._change(slot, swarm, flags)
        six = len(address) == 16
        seen = self._seen[six]
        before = seen[slot]
        seen[slot] = now_s
        hidden = self._flags[slot] & HIDDEN
        if not hidden:
            self._list(slot, swarm, user, six, flags & SEEDER, address, port)
        return now_s - before if before else None, hidden, self._seen[1][slot] != 0

    def draw(self, swarm: Swarm, user: bytes, count: int, *, six: bool, seeder: bool) -> bytes:
        """Compact addresses of at most `count` peers: seeders first, and none of them for a seeder."""
        if count <= 0:
            return b""
        seeds, leeches = (swarm.seed6, swarm.leech6) if six else (swarm.seed4, swarm.leech4)
        if seeder or seeds is None:
            return leeches.draw(count, user, self._random) if leeches is not None else b""
        found = seeds.draw(count, user, self._random)
        more = count - len(found) // seeds.stride
        if more > 0 and leeches is not None:
            found += leeches.draw(more, user, self._random)
        return found

    def draw_peers(self, swarm: Swarm, user: bytes, count: int, *, six: bool, seeder: bool) -> list[Peer]:
        """The long form of `draw`."""
        found: list[Peer] = []
        for role in (0,) if seeder else (SEEDER, 0):
            roster = swarm.roster(six, role)
            for slot in roster.draw_slots(max(0, count - len(found)), user, self._random):
                entry = roster.entry(self._listed[six][slot])
                found.append(Peer(self._key(slot)[8:], entry[:-2], int.from_bytes(entry[-2:], "big")))
        return found

    def last_seen(self, swarm: Swarm, user: bytes, peer_id: bytes) -> Seen | None:
        """What is known of a peer; None when it is not in the swarm."""
        slot = self._index.get(swarm.key + user + peer_id)
        if slot is None:
            return None
        return Seen(max(self._seen[0][slot], self._seen[1][slot]), bool(self._flags[slot] & ELSEWHERE))

    def sessions(self) -> Iterator[Session]:
        """Every peer; nothing may be announced meanwhile."""
        for slot, key in enumerate(self._keys):
            if key is None:
                continue
            flags, swarm = self._flags[slot], self._swarm_of(key)
            yield Session(
                swarm.torrent_id,
                self._user_ids[user_number(key[4:8])],
                key[8:],
                0 if flags & SEEDER else 1,
                bool(flags & PAUSED),
                bool(flags & ELSEWHERE),
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
            limit_s = before_s - others_s if self._flags[slot] & ELSEWHERE else before_s
            stale = [family for family in (0, 1) if 0 < self._seen[family][slot] < limit_s]
            if not stale:
                continue
            swarm = self._swarm_of(key)
            if any(self._seen[family][slot] >= limit_s for family in (0, 1)):
                self._unlist(slot, swarm, stale[0], self._flags[slot] & SEEDER)
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
            if key is not None and key[4:8] in users and not self._flags[slot] & SEEDER:
                yield self._gone(slot, self._swarm_of(key), key)
            elif slot & 0xFFF == 0:
                yield None

    def _welcome(self, user_id: bytes) -> bytes:
        """The 4 bytes that say instead of the user's id in keys, for a user who is new here."""
        key = self._users[user_id] = user_key(len(self._user_ids))
        self._user_ids.append(user_id)
        self._limits.welcome()
        return key

    def _key(self, slot: int) -> bytes:
        key = self._keys[slot]
        assert key is not None, "an empty slot"
        return key

    def _swarm_of(self, key: bytes) -> Swarm:
        return self._by_key[int.from_bytes(key[:4], "big")]

    def _add(self, key: bytes, swarm: Swarm, flags: int) -> int:
        if self._free:
            slot = self._free.pop()
            self._keys[slot] = key
        else:
            slot = len(self._keys)
            self._keys.append(key)
            self._flags.append(0)
            for family in (0, 1):
                self._seen[family].append(0)
                self._listed[family].append(_UNLISTED)
        self._index[key] = slot
        self._enter(slot, swarm, flags)
        return slot

    def _remove(self, slot: int, swarm: Swarm) -> None:
        key, flags = self._key(slot), self._flags[slot]
        for family in (0, 1):
            self._unlist(slot, swarm, family, flags & SEEDER)
            self._seen[family][slot] = 0
        self._leave(slot, swarm)
        del self._index[key]
        self._keys[slot] = None
        self._free.append(slot)

    def _enter(self, slot: int, swarm: Swarm, flags: int) -> None:
        """Counts a peer, with the side that it is on and whether it is shown."""
        user = self._key(slot)[4:8]
        flags |= self._limits.hidden(swarm, user, self._user_ids[user_number(user)], slot, flags)
        self._flags[slot] = flags
        swarm.count(flags, 1)
        self._limits.count(swarm, user, flags, 1)

    def _leave(self, slot: int, swarm: Swarm) -> None:
        """The contrary of `_enter`."""
        flags = self._flags[slot]
        swarm.count(flags, -1)
        self._limits.count(swarm, self._key(slot)[4:8], flags, -1)

    def _change(self, slot: int, swarm: Swarm, flags: int) -> None:
        """Another side, or room for a peer that was hidden; its addresses move along."""
        old, user = self._flags[slot], self._key(slot)[4:8]
        self._leave(slot, swarm)
        self._enter(slot, swarm, flags)
        flags = self._flags[slot]
        if not (old ^ flags) & (SEEDER | HIDDEN):
            return
        if flags & SEEDER and not old & SEEDER:
            swarm.completed += 1
        for family in (0, 1):
            position = self._listed[family][slot]
            if position != _UNLISTED:
                entry = swarm.roster(family, old & SEEDER).entry(position)
                self._unlist(slot, swarm, family, old & SEEDER)
                if not flags & HIDDEN:
                    self._listed[family][slot] = swarm.roster(family, flags & SEEDER).add(entry, user, slot)

    def _supersede(self, swarm: Swarm, user: bytes, address: bytes, port: int) -> None:
        """A client that was restarted comes with another peer_id: what it was before is told of no more."""
        if not self._limits.may_show(swarm, user):
            return
        six, entry = len(address) == 16, address + port.to_bytes(2, "big")
        for slot in swarm.listed_of(user):
            position, seeder = self._listed[six][slot], self._flags[slot] & SEEDER
            if position != _UNLISTED and swarm.roster(six, seeder).holds(position, entry):
                for family in (0, 1):
                    self._unlist(slot, swarm, family, seeder)
                self._leave(slot, swarm)
                self._flags[slot] |= TOO_MANY_PEERS
                swarm.count(self._flags[slot], 1)

    def _address(self, slot: int, swarm: Swarm, six: bool) -> tuple[bytes, int]:
        position = self._listed[six][slot]
        if position == _UNLISTED:
            return bytes(16 if six else 4), 0
        entry = swarm.roster(six, self._flags[slot] & SEEDER).entry(position)
        return entry[:-2], int.from_bytes(entry[-2:], "big")

    def _gone(self, slot: int, swarm: Swarm, key: bytes) -> Gone:
        """Removes the peer, and says who it was; an address that was never listed reads 0.0.0.0."""
        four, six = self._address(slot, swarm, False), self._address(slot, swarm, True)
        self._remove(slot, swarm)
        return Gone(
            self._user_ids[user_number(key[4:8])],
            swarm.torrent_id,
            key[8:],
            *(four if four[1] else six if six[1] else four),
        )

    def _list(self, slot: int, swarm: Swarm, user: bytes, six: bool, seeder: int, address: bytes, port: int) -> None:
        """Lists the address for others, or takes it off the list when they must not be told of it."""
        listed = self._listed[six]
        position = listed[slot]
        entry = address + port.to_bytes(2, "big")
        if six:
            roster = swarm.seed6 if seeder else swarm.leech6
        else:
            roster = swarm.seed4 if seeder else swarm.leech4
        if position != _UNLISTED and roster is not None and roster.holds(position, entry):
            return
        if not port or not may_hand_out(address, self._allow_private):
            self._unlist(slot, swarm, six, seeder)
        elif position == _UNLISTED:
            listed[slot] = swarm.roster(six, seeder).add(entry, user, slot)
        else:
            swarm.roster(six, seeder).replace(position, entry)

    def _unlist(self, slot: int, swarm: Swarm, family: int, seeder: int) -> None:
        listed = self._listed[family]
        position = listed[slot]
        if position != _UNLISTED:
            moved = swarm.roster(family, seeder).remove(position)
            listed[moved] = position
            listed[slot] = _UNLISTED
