"""The write-ahead journal of one edge: a reply leaves only after its announce is on the disk.

Announces gather while the last group is being synced; one write and one fdatasync in a thread make a group durable.
Files are numbered like the segments that they become; a file is closed when it is to be shipped and deleted after that.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from domain.announces import ROW_BYTES

_MAGIC = b"announces 1\n"
_HEAD = struct.Struct(">12sQ")  # magic, sequence number
_FRAME = struct.Struct(">II")  # bytes of rows, CRC-32 of sequence number, length and rows
_NAME = re.compile(r"(\d{16})\.journal")

#: A group is written at once when it has this many bytes.
GROUP_BYTES = 64 * 1024
MAX_FRAME_BYTES = 64 * 2**20


class JournalInUse(Exception):
    """Another process writes to this directory."""


class JournalDamaged(Exception):
    """A file that was complete when it was closed is not any more: somebody has to look at it."""


class JournalFailed(Exception):
    """The disk refused a write or a sync. What it holds is unknown, so this process acknowledges nothing more."""


class Waiter(Protocol):
    """Who waits for an announce to be durable."""

    def deliver(self, reply: bytes) -> None:
        """The announce is durable: the reply may leave."""

    def abandon(self) -> None:
        """It is unknown whether the announce is durable: no reply may leave."""


class Journal:
    """The files of one edge. All methods belong to the event loop's thread, writes happen in another one."""

    def __init__(
        self,
        directory: Path,
        first_seq: int,
        *,
        delay_s: float = 0.001,
        hold: bool = False,
        on_failure: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        """Locks the directory, cuts a torn tail, continues after the last file; `first_seq` is for an empty directory.

        `delay_s` is how long a group gathers when the disk is idle; `hold` keeps replies back until `shipped`.
        Raises `JournalInUse`, `JournalDamaged`, OSError.
        """
        self.directory = directory
        self.failure: BaseException | None = None
        self.dirty = asyncio.Event()  # the open file has records
        self._delay_s = delay_s
        self._hold = hold
        self._on_failure = on_failure
        self._rows: list[bytes] = []
        self._waiters: list[tuple[Waiter, bytes]] = []
        self._held: dict[int, list[tuple[Waiter, bytes]]] = {}
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._rotation: asyncio.Future[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)  # it names who was where
        self._lock = _locked(directory)
        try:
            self._closed, self._seq, self._size = recover(directory, first_seq)
            self._file = _opened(directory, self._seq)
        except BaseException:
            os.close(self._lock)
            raise
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        if self._size > _HEAD.size:
            self.dirty.set()
        left_over = [*self._closed, self._seq] if self.dirty.is_set() else list(self._closed)
        self._since = dict.fromkeys(left_over, time.monotonic())  # when each file got its first record

    @property
    def closed(self) -> list[int]:
        """Numbers of the files that wait to be shipped, in order."""
        return sorted(self._closed)

    @property
    def open_seq(self) -> int:
        """The number of the file that is being written: nothing of it has been shipped."""
        return self._seq

    @property
    def depth_bytes(self) -> int:
        """Bytes that only this machine has."""
        return sum(self._closed.values()) + self._size

    @property
    def age_s(self) -> float:
        """How long this machine has been the only one to hold some record."""
        return time.monotonic() - min(self._since.values()) if self._since else 0.0

    def open_rows(self) -> bytes:
        """The rows of the open file, before anything is appended: what the last run left."""
        return b"".join(rows for rows, _ in frames(self._seq, _path(self.directory, self._seq).read_bytes()))

    def append(self, row: bytes, waiter: Waiter | None = None, reply: bytes = b"") -> None:
        """Adds a record (`b""` for none); `waiter` gets `reply` once it and all before it are durable."""
        if self.failure is not None:
            if waiter is not None:
                waiter.abandon()
            return
        if row:
            self._rows.append(row)
        if waiter is not None:
            self._waiters.append((waiter, reply))
        if self._busy:
            return
        if len(self._rows) * ROW_BYTES >= GROUP_BYTES:
            self._write()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._delay_s, self._write)

    async def rotate(self) -> None:
        """Closes the open file, so that it can be shipped, and opens the next; nothing when it has no records."""
        if self.failure is not None:
            raise JournalFailed(str(self.failure))
        rotation = self._rotation
        if rotation is None:
            rotation = self._rotation = asyncio.get_running_loop().create_future()
            if not self._busy:
                self._rotate()
        # Who waits may be cancelled, at a shutdown for one; the rotation goes on, and others wait for it too.
        await asyncio.shield(rotation)

    async def settled(self) -> None:
        """Waits until nothing waits for the disk."""
        if self._timer is not None and not self._busy:
            self._write()
        await self._idle.wait()

    def shipped(self, seq: int) -> None:
        """The file's records are in the store: deletes it, and answers those who waited for that."""
        self._closed.pop(seq)
        self._since.pop(seq, None)
        _path(self.directory, seq).unlink()
        _deliver(self._held.pop(seq, []))

    async def close(self) -> None:
        """Waits for the disk, then gives the directory up."""
        await self.settled()
        self._thread.shutdown()
        os.close(self._file)
        os.close(self._lock)

    def fail(self, error: BaseException) -> None:
        """Acknowledges nothing more, ever; whoever waits is abandoned."""
        if self.failure is not None:
            return
        self.failure = error
        abandoned = self._waiters + [pair for held in self._held.values() for pair in held]
        self._waiters, self._rows, self._held = [], [], {}
        for waiter, _ in abandoned:
            waiter.abandon()
        if self._rotation is not None and not self._rotation.done():
            self._rotation.set_exception(JournalFailed(str(error)))
        self._busy = False
        self._idle.set()
        self._on_failure(error)

    def _write(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._busy or self.failure is not None:
            return
        rows, waiters, self._rows, self._waiters = self._rows, self._waiters, [], []
        if not rows:
            self._settle(waiters, rows=False)
            return
        self._busy = True
        self._idle.clear()
        data = framed(self._seq, b"".join(rows))
        self._submit(self._thread.submit(_written, self._file, data), lambda: self._synced(len(data), waiters), waiters)

    def _synced(self, size: int, waiters: list[tuple[Waiter, bytes]]) -> None:
        self._size += size
        self._since.setdefault(self._seq, time.monotonic())
        self.dirty.set()
        self._settle(waiters, rows=True)
        self._next()

    def _settle(self, waiters: list[tuple[Waiter, bytes]], *, rows: bool) -> None:
        if self._hold and (rows or self._held):
            # A reply that needs no record still comes after those before it.
            seq = self._seq if rows else max(self._held)
            self._held.setdefault(seq, []).extend(waiters)
        else:
            _deliver(waiters)

    def _rotate(self) -> None:
        assert self._rotation is not None
        if self._size <= _HEAD.size:
            self._rotation.set_result(None)
            self._rotation = None
            return
        self._busy = True
        self._idle.clear()
        self._submit(self._thread.submit(_created, self.directory, self._seq + 1), self._rotated, [])

    def _rotated(self) -> None:
        os.close(self._file)
        self._closed[self._seq] = self._size
        self._seq += 1
        self._size = _HEAD.size
        self._file = _opened(self.directory, self._seq)
        self.dirty.clear()
        assert self._rotation is not None
        self._rotation.set_result(None)
        self._rotation = None
        self._next()

    def _next(self) -> None:
        """What is to do after the thread has done one thing."""
        self._busy = False
        if self._rotation is not None:
            self._rotate()
        if not self._busy and (self._rows or self._waiters):
            self._write()
        if not self._busy:
            self._idle.set()

    def _submit(self, work: Future[None], then: Callable[[], None], waiters: list[tuple[Waiter, bytes]]) -> None:
        loop = asyncio.get_running_loop()

        def finished() -> None:
            error = work.exception()
            if error is None and self.failure is None:
                then()
                return
            for waiter, _ in waiters:
                waiter.abandon()
            self.fail(error or JournalFailed("the journal has failed before"))

        work.add_done_callback(lambda _: loop.call_soon_threadsafe(finished))


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Keeps every other process out of the directory; raises `JournalInUse`."""
    lock = _locked(directory)
    try:
        yield
    finally:
        os.close(lock)


def is_empty(directory: Path, seq: int) -> bool:
    """Whether the file has its head and nothing else."""
    return _path(directory, seq).read_bytes() == _HEAD.pack(_MAGIC, seq)


def remove(directory: Path, seq: int) -> None:
    """Deletes a file whose records are safe elsewhere."""
    _path(directory, seq).unlink()


def write_whole(directory: Path, seq: int, rows: bytes) -> None:
    """A durable file with these rows, in the place of an unfinished one if there is one."""
    _path(directory, seq).unlink(missing_ok=True)
    _created(directory, seq)
    handle = _opened(directory, seq)
    try:
        _written(handle, framed(seq, rows))
    finally:
        os.close(handle)


def framed(seq: int, rows: bytes) -> bytes:
    """One group of rows as it lies in the file."""
    return _FRAME.pack(len(rows), _checksum(seq, rows)) + rows


def frames(seq: int, data: bytes) -> Iterator[tuple[bytes, int]]:
    """The groups of a file and where each ends; stops before the first that is not whole."""
    if len(data) < _HEAD.size or _HEAD.unpack_from(data) != (_MAGIC, seq):
        return
    position = _HEAD.size
    while position + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, position)
        start, position = position + _FRAME.size, position + _FRAME.size + length
        rows = data[start:position]
        if not 0 < length <= MAX_FRAME_BYTES or len(rows) != length or checksum != _checksum(seq, rows):
            return
        yield rows, position


def read_rows(directory: Path, seq: int) -> bytes:
    """All rows of a closed file; raises `JournalDamaged`, OSError."""
    data = _path(directory, seq).read_bytes()
    groups = list(frames(seq, data))
    if not groups or groups[-1][1] != len(data):
        raise JournalDamaged(f"{_path(directory, seq).name} is not whole")
    return b"".join(rows for rows, _ in groups)


def recover(directory: Path, first_seq: int) -> tuple[dict[int, int], int, int]:
    """Closed files and their sizes, the number of the file to go on with and its size; raises `JournalDamaged`.

    Only the last file can have a torn tail: it was being written, and nothing after its last sync was acknowledged.
    """
    found = sorted(int(match[1]) for name in os.listdir(directory) if (match := _NAME.fullmatch(name)))
    if not found:
        _created(directory, first_seq)
        return {}, first_seq, _HEAD.size
    if found != list(range(found[0], found[-1] + 1)):
        raise JournalDamaged(f"a journal file between {found[0]} and {found[-1]} is missing")
    *closed, last = found
    for seq in closed:
        read_rows(directory, seq)
    size = _cut(directory, last)
    return {seq: _path(directory, seq).stat().st_size for seq in closed}, last, size


def _cut(directory: Path, seq: int) -> int:
    """Cuts the file after its last whole group; returns its size."""
    path = _path(directory, seq)
    data = path.read_bytes()
    end = _HEAD.size
    for _, end in frames(seq, data):  # noqa: B007
        pass
    if len(data) < _HEAD.size or _HEAD.unpack_from(data) != (_MAGIC, seq):
        if any(data[_HEAD.size :]):
            raise JournalDamaged(f"{path.name} has records behind an unreadable head")
        path.unlink()
        _created(directory, seq)
        return _HEAD.size
    if end < len(data):
        os.truncate(path, end)
        _sync(path, os.O_RDWR)
    return end


def _locked(directory: Path) -> int:
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise JournalInUse(f"{directory} is in use by another process") from None
    return lock


def _created(directory: Path, seq: int) -> None:
    """A new file with its head, durable together with its name."""
    handle = os.open(_path(directory, seq), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _written(handle, _HEAD.pack(_MAGIC, seq))
    finally:
        os.close(handle)
    _sync(directory, os.O_RDONLY | os.O_DIRECTORY)


def _opened(directory: Path, seq: int) -> int:
    return os.open(_path(directory, seq), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)


def _written(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
    os.fdatasync(handle)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _path(directory: Path, seq: int) -> Path:
    return directory / f"{seq:016d}.journal"


def _checksum(seq: int, rows: bytes) -> int:
    return zlib.crc32(rows, zlib.crc32(struct.pack(">QI", seq, len(rows))))


def _deliver(waiters: list[tuple[Waiter, bytes]]) -> None:
    for waiter, reply in waiters:
        waiter.deliver(reply)
