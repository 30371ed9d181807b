"""The write-ahead journal of one edge: a reply leaves only after its announce is on the disk.

Announces gather while the last group is being synced; one write and one fdatasync in a thread make a group durable.
Files are numbered like the segments that they become; a file is closed when it is to be shipped and deleted after that.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from domain.announces import ROW_BYTES
from tracker_edge.journal.disk import Disk
from tracker_edge.journal.files import (
    HEAD,
    NoRoom,
    created,
    framed,
    frames,
    locked,
    made,
    opened,
    path_of,
    recover,
    written,
)

#: A group is written at once when it has this many bytes.
GROUP_BYTES = 64 * 1024
#: A file is closed by itself when it has so many: while the store is away nobody else does.
FILE_BYTES = 4 * 2**20
#: How long a full disk is left alone before the same is tried again.
NO_ROOM_S = 0.5


class JournalFailed(Exception):
    """The disk refused a write or a sync. What it holds is unknown, so this process acknowledges nothing more."""


class Waiter(Protocol):
    """Who waits for an announce to be durable."""

    def deliver(self, reply: bytes) -> None:
        """The announce is durable: the reply may leave."""

    def abandon(self) -> None:
        """It is unknown whether the announce is durable: no reply may leave."""


class Appender(Protocol):
    """What takes records: the journal."""

    def append(self, row: bytes, waiter: Waiter | None = None, reply: bytes = b"") -> None:
        """As `Journal.append`."""


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

        `delay_s` is how long a group gathers when the disk is idle; `hold` keeps replies back until `shipped`. On a
        full disk it begins all the same, as long as its directory is there, and waits for room like later on.
        Raises `JournalInUse`, `JournalDamaged`, `NoRoom`, OSError.
        """
        self.directory = directory
        self.failure: BaseException | None = None
        self.full = False  # the disk is: who waits goes on waiting, and `waiting_s` grows
        self._stuck: list[tuple[Waiter, bytes]] = []  # who waits until it is not
        self._again: asyncio.TimerHandle | None = None
        self.dirty = asyncio.Event()  # the open file has records
        self._delay_s = delay_s
        self._hold = hold
        self._on_failure = on_failure
        self._rows: list[bytes] = []
        self._waiters: list[tuple[Waiter, bytes]] = []
        self._waiting_since = self._writing_since = 0.0  # of those who wait for the next group and for this one
        self._held: dict[int, list[tuple[Waiter, bytes]]] = {}
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._rotation: asyncio.Future[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        made(directory)
        self._lock = locked(directory)
        try:
            self._closed, self._seq, self._size = recover(directory, first_seq)
            self._file = opened(directory, self._seq) if self._size else None
        except BaseException:
            os.close(self._lock)
            raise
        self._disk = Disk()
        if self._size > HEAD.size:
            self.dirty.set()
        left_over = [*self._closed, self._seq] if self.dirty.is_set() else list(self._closed)
        self._since = dict.fromkeys(left_over, time.monotonic())  # when each file got its first record
        self.begun = asyncio.Event()  # there is a file to write to
        if self._file is None:
            self._begin()
        else:
            self.begun.set()

    @property
    def closed(self) -> list[int]:
        """Numbers of the files that wait to be shipped, in order."""
        return sorted(self._closed)

    def oldest(self, files: int, size: int) -> list[int]:
        """The first of the closed files: at most so many, and as few as have so many bytes."""
        found, held = list[int](), 0
        for seq in self.closed[:files]:
            if held >= size:
                break
            found.append(seq)
            held += self._closed[seq]
        return found

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

    @property
    def waiting_s(self) -> float:
        """How long the oldest of those who wait for the disk has waited; for ever while there is no file."""
        if not self.begun.is_set():
            return math.inf
        since = self._writing_since if self._busy else self._waiting_since
        return time.monotonic() - since if self._busy or self._waiters else 0.0

    def open_rows(self) -> bytes:
        """The rows of the open file, before anything is appended: what the last run left."""
        if self._size <= HEAD.size:
            return b""
        return b"".join(rows for rows, _ in frames(self._seq, path_of(self.directory, self._seq).read_bytes()))

    def append(self, row: bytes, waiter: Waiter | None = None, reply: bytes = b"") -> None:
        """Adds a record (`b""` for none); `waiter` gets `reply` once it and all before it are durable."""
        if self.failure is not None:
            if waiter is not None:
                waiter.abandon()
            return
        if row:
            self._rows.append(row)
        if waiter is not None:
            if not self._waiters:
                self._waiting_since = time.monotonic()
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
        path_of(self.directory, seq).unlink()
        _deliver(self._held.pop(seq, []))

    async def close(self) -> None:
        """Waits for the disk, unless that is full, then gives the directory up."""
        if self.full:
            self.fail(NoRoom("the disk is full"))
        await self.settled()
        self._disk.end()
        if self._file is not None:
            os.close(self._file)
        os.close(self._lock)

    def fail(self, error: BaseException) -> None:
        """Acknowledges nothing more, ever; whoever waits is abandoned."""
        if self.failure is not None:
            return
        self.failure = error
        if self._again is not None:
            self._again.cancel()
        abandoned = self._stuck + self._waiters + [pair for held in self._held.values() for pair in held]
        self._stuck, self._waiters, self._rows, self._held = [], [], [], {}
        for waiter, _ in abandoned:
            waiter.abandon()
        if self._rotation is not None and not self._rotation.done():
            self._rotation.set_exception(JournalFailed(str(error)))
        self._busy = False
        self._idle.set()
        self._on_failure(error)

    def _begin(self) -> None:
        """The disk was full: the first file is made as soon as it is not."""
        self.full = self._busy = True
        self._idle.clear()

        def begun() -> None:
            self._file, self._size = opened(self.directory, self._seq), HEAD.size
            self.begun.set()
            self._next()

        self._submit(partial(created, self.directory, self._seq), begun, [])

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
        self._writing_since = self._waiting_since
        self._idle.clear()
        assert self._file is not None, "busy until there is one"
        data = framed(self._seq, b"".join(rows))
        self._submit(partial(written, self._file, data, self._size), lambda: self._synced(len(data), waiters), waiters)

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
        if self._size <= HEAD.size:
            self._rotation.set_result(None)
            self._rotation = None
            return
        self._busy = True
        self._writing_since = time.monotonic()
        self._idle.clear()
        self._submit(partial(created, self.directory, self._seq + 1), self._rotated, [])

    def _rotated(self) -> None:
        assert self._file is not None, "busy until there is one"
        os.close(self._file)
        self._closed[self._seq] = self._size
        self._seq += 1
        self._size = HEAD.size
        self._file = opened(self.directory, self._seq)
        self.dirty.clear()
        assert self._rotation is not None
        self._rotation.set_result(None)
        self._rotation = None
        self._next()

    def _next(self) -> None:
        """What is to do after the thread has done one thing."""
        self._busy = False
        if self._rotation is None and self._size >= FILE_BYTES:
            self._rotation = asyncio.get_running_loop().create_future()
            self._rotation.add_done_callback(asyncio.Future.exception)  # there may be nobody to tell
        if self._rotation is not None:
            self._rotate()
        if not self._busy and (self._rows or self._waiters):
            self._write()
        if not self._busy:
            self._idle.set()

    def _submit(self, work: Callable[[], None], then: Callable[[], None], waiters: list[tuple[Waiter, bytes]]) -> None:
        loop = asyncio.get_running_loop()

        def finished(error: BaseException | None) -> None:
            if self.failure is None:
                self.full = isinstance(error, NoRoom)
                if self.full:  # nothing of it is there, and none of those who wait was answered
                    self._stuck, self._again = waiters, loop.call_later(NO_ROOM_S, again)
                    return
                if error is None:
                    then()
                    return
            for waiter, _ in waiters:
                waiter.abandon()
            self.fail(error or JournalFailed("the journal has failed before"))

        def again() -> None:
            self._stuck, self._again = [], None
            self._disk.do(work, loop, finished)

        self._disk.do(work, loop, finished)


def _deliver(waiters: list[tuple[Waiter, bytes]]) -> None:
    for waiter, reply in waiters:
        waiter.deliver(reply)
