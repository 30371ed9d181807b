"""The swarms in one file, so that a start reads them back in seconds and asks the store only for what came after.

A copy of the process (fork) writes it while the edge goes on answering. It is soft state: whoever finds it missing,
damaged or old reads the projected sessions instead.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import struct
import time
import warnings
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

from domain.announces import Event
from tracker_edge.swarms import Session, Swarms

NAME = "swarms.snapshot"
#: A start reads at most so many seconds of journal after it.
EVERY_S = 180
_MAGIC = b"swarms 1\n"
_HEAD = struct.Struct(">9s32sI")  # magic, SHA-256 of all that follows, bytes of the JSON head
_LEVEL = 1
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Unusable(Exception):
    """The file is missing, damaged, of another edge or too old."""


class Snapshot(NamedTuple):
    """What a file says: `ends` are the last segments, by edge, that the sessions are made of."""

    age_s: int
    now_s: int  # of the clock that the sessions' times are of
    ends: dict[str, int]
    sessions: Iterator[Session]
    peers: int


class Moment(NamedTuple):
    """When a snapshot is taken: the swarms' clock, and the two clocks that tell its age at the next start."""

    now_s: int
    wall_s: float
    monotonic_s: float

    @classmethod
    def now(cls, now_s: int) -> Moment:
        return cls(now_s, time.time(), time.monotonic())


def write(path: Path, edge_id: str, swarms: Swarms, ends: Mapping[str, int], moment: Moment) -> None:
    """Replaces the file; whoever reads it meanwhile or after a crash finds the old one or the new one whole."""
    columns = _Columns()
    for session in swarms.sessions():
        columns.add(session)
    head = json.dumps(
        {
            "edge_id": edge_id,
            "ends": dict(ends),
            "now_s": moment.now_s,
            "wall_s": moment.wall_s,
            "monotonic_s": moment.monotonic_s,
            "boot_id": _boot_id(),
            **columns.counts,
        }
    ).encode()
    body = head + zstandard.ZstdCompressor(level=_LEVEL).compress(columns.joined())
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)  # who was where
    with os.fdopen(handle, "wb") as file:
        file.write(_HEAD.pack(_MAGIC, hashlib.sha256(body).digest(), len(head)))
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def fork_and_write(path: Path, edge_id: str, swarms: Swarms, ends: Mapping[str, int], now_s: int) -> int:
    """Begins to write in a copy of this process; returns its pid, for `os.waitpid`. Exit code 0 is a new file."""
    moment = Moment.now(now_s)
    with warnings.catch_warnings():
        # The copy has no other thread, and calls nothing that a lock of one of them could hold up.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # the copy must hold neither sockets nor the journal's lock
        gc.disable()
        os.nice(10)
        write(path, edge_id, swarms, ends, moment)
        code = 0
    finally:
        os._exit(code)


def read(path: Path, edge_id: str, max_age_s: int) -> Snapshot:
    """The newest snapshot; raises `Unusable`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Unusable(error.strerror or "unreadable") from None
    if len(data) < _HEAD.size:
        raise Unusable("cut short")
    magic, digest, size = _HEAD.unpack_from(data)
    body = memoryview(data)[_HEAD.size :]
    if magic != _MAGIC or hashlib.sha256(body).digest() != digest:
        raise Unusable("damaged")
    head = json.loads(bytes(body[:size]))
    age_s = _age_s(head)
    if head["edge_id"] != edge_id:
        raise Unusable("of another edge")
    if age_s > max_age_s:
        raise Unusable(f"{age_s} s old")
    columns = zstandard.ZstdDecompressor().decompress(body[size:])
    return Snapshot(age_s, head["now_s"], head["ends"], _sessions(columns, head), head["peers"])


def load(swarms: Swarms, snapshot: Snapshot, now_s: int, floor_s: int) -> None:
    """Puts the sessions into the swarms; their times become those of the clock `now_s`, none before `floor_s`."""
    later_s = now_s - snapshot.age_s - snapshot.now_s
    for torrent_id, user_id, peer_id, left, paused, elsewhere, seen, addresses in snapshot.sessions:
        swarm, user = swarms.swarm(torrent_id), swarms.user(user_id)
        event = Event.PAUSED if paused else Event.REGULAR
        for seen_s, (address, port) in zip(seen, addresses, strict=True):
            if seen_s is not None:
                at_s = max(floor_s, seen_s + later_s)
                swarms.announce(swarm, user, peer_id, event, left, address, port, at_s, elsewhere=elsewhere)


def _age_s(head: Mapping[str, Any]) -> int:
    """By the monotonic clock when the machine has not been started since: nobody can set it."""
    if head["boot_id"] and head["boot_id"] == _boot_id():
        return max(0, int(time.monotonic() - head["monotonic_s"]))
    return max(0, int(time.time() - head["wall_s"]))


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


class _Columns:
    """Sessions as columns: like beside like is what a compressor shortens."""

    def __init__(self) -> None:
        self._users: dict[bytes, int] = {}
        self._torrents: dict[bytes, int] = {}
        self._rows = array("I"), array("I")
        self._seen = array("I"), array("I")
        self._flags = bytearray()
        self._peers = bytearray()
        self._entries = bytearray(), bytearray()

    def add(self, session: Session) -> None:
        users, torrents = self._users, self._torrents
        self._rows[0].append(torrents.setdefault(session.torrent_id, len(torrents)))
        self._rows[1].append(users.setdefault(session.user_id, len(users)))
        self._flags.append((session.left == 0) | session.paused << 1 | session.elsewhere << 2)
        self._peers += session.peer_id
        for family in (0, 1):
            seen_s = session.seen[family]
            self._seen[family].append(seen_s or 0)
            if seen_s is not None:
                address, port = session.addresses[family]
                self._entries[family].extend(address + port.to_bytes(2, "big"))

    @property
    def counts(self) -> dict[str, int]:
        return {"peers": len(self._flags), "users": len(self._users), "torrents": len(self._torrents)}

    def joined(self) -> bytes:
        return b"".join((
            *self._torrents, *self._users, *(column.tobytes() for column in (*self._rows, *self._seen)),
            self._flags, self._peers, *self._entries,
        ))  # fmt: skip


def _sessions(columns: bytes, head: Mapping[str, Any]) -> Iterator[Session]:
    count, position = head["peers"], 0

    def take(size: int) -> bytes:
        nonlocal position
        position += size
        return columns[position - size : position]

    def numbers() -> array[int]:
        found = array("I")
        found.frombytes(take(4 * count))
        return found

    torrents = _blocks(take(16 * head["torrents"]), 16)
    users = _blocks(take(16 * head["users"]), 16)
    torrent_rows, user_rows, seen4, seen6 = (numbers() for _ in range(4))
    flags, peers = take(count), take(20 * count)
    four = iter(_blocks(take(6 * sum(map(bool, seen4))), 6))
    six = iter(_blocks(take(18 * sum(map(bool, seen6))), 18))
    for n in range(count):
        flag, at4, at6 = flags[n], seen4[n], seen6[n]
        yield Session(
            torrents[torrent_rows[n]],
            users[user_rows[n]],
            peers[n * 20 : n * 20 + 20],
            0 if flag & 1 else 1,
            bool(flag & 2),
            bool(flag & 4),
            (at4 or None, at6 or None),
            (_entry(next(four)) if at4 else _NOWHERE, _entry(next(six)) if at6 else _NOWHERE),
        )


_NOWHERE = (b"", 0)


def _entry(packed: bytes) -> tuple[bytes, int]:
    return packed[:-2], packed[-2] << 8 | packed[-1]


def _blocks(raw: bytes, size: int) -> list[bytes]:
    return [raw[start : start + size] for start in range(0, len(raw), size)]
