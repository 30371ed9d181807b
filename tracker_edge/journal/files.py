"""The files of an edge's journal: their form, what is read of them, and what a crash leaves.

A file is a head and groups of rows, each with its length and checksum; only the last file can have a torn tail.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MAGIC = b"announces 1\n"
HEAD = struct.Struct(">12sQ")  # magic, sequence number
_FRAME = struct.Struct(">II")  # bytes of rows, CRC-32 of sequence number, length and rows
_NAME = re.compile(r"(\d{16})\.journal")
#: Where a directory says up to which number its files are to go.
_GOING = "going"
MAX_FRAME_BYTES = 64 * 2**20
#: What a write is refused with while there is no room: on the disk, in a quota, under a limit of the process.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NoRoom(OSError):
    """The disk is full. What was to be written is not there, not even in part: it can be tried again."""


class JournalInUse(Exception):
    """Another process writes to this directory."""


class JournalDamaged(Exception):
    """A file that was complete when it was closed is not any more: somebody has to look at it."""


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Keeps every other process out of the directory; raises `JournalInUse`."""
    lock = locked(directory)
    try:
        yield
    finally:
        os.close(lock)


def is_empty(directory: Path, seq: int) -> bool:
    """Whether the file has its head and nothing else."""
    return path_of(directory, seq).read_bytes() == HEAD.pack(_MAGIC, seq)


def remove(directory: Path, seq: int) -> None:
    """Deletes a file whose records are safe elsewhere."""
    path_of(directory, seq).unlink()


def remove_upto(directory: Path, seq: int) -> None:
    """Deletes every file up to this one. Should the process die meanwhile, who recovers the journal does the rest."""
    draft = directory / f".{_GOING}"
    draft.write_text(str(seq))
    _sync(draft, os.O_RDONLY)
    os.replace(draft, directory / _GOING)
    _sync(directory, os.O_RDONLY | os.O_DIRECTORY)
    _remove_going(directory)


def write_whole(directory: Path, seq: int, rows: bytes) -> None:
    """A durable file with these rows, in the place of an unfinished one if there is one."""
    path_of(directory, seq).unlink(missing_ok=True)
    created(directory, seq)
    handle = opened(directory, seq)
    try:
        written(handle, framed(seq, rows))
    finally:
        os.close(handle)


def framed(seq: int, rows: bytes) -> bytes:
    """One group of rows as it lies in the file."""
    return _FRAME.pack(len(rows), _checksum(seq, rows)) + rows


def frames(seq: int, data: bytes) -> Iterator[tuple[bytes, int]]:
    """The groups of a file and where each ends; stops before the first that is not whole."""
    if len(data) < HEAD.size or HEAD.unpack_from(data) != (_MAGIC, seq):
        return
    position = HEAD.size
    while position + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, position)
        start, position = position + _FRAME.size, position + _FRAME.size + length
        rows = data[start:position]
        if not 0 < length <= MAX_FRAME_BYTES or len(rows) != length or checksum != _checksum(seq, rows):
            return
        yield rows, position


def read_rows(directory: Path, seq: int) -> bytes:
    """All rows of a closed file; raises `JournalDamaged`, OSError."""
    data = path_of(directory, seq).read_bytes()
    groups = list(frames(seq, data))
    if not groups or groups[-1][1] != len(data):
        raise JournalDamaged(f"{path_of(directory, seq).name} is not whole")
    return b"".join(rows for rows, _ in groups)


def recover(directory: Path, first_seq: int) -> tuple[dict[int, int], int, int]:
    """Closed files and their sizes, the number of the file to go on with and its size, which is 0 for one that has yet
    to be made, since the disk is full; raises `JournalDamaged`.

    Only the last file can have a torn tail: it was being written, and nothing after its last sync was acknowledged.
    """
    _remove_going(directory)
    found = _numbers(directory)
    if not found:
        return {}, first_seq, _begun(directory, first_seq)
    if found != list(range(found[0], found[-1] + 1)):
        raise JournalDamaged(f"a journal file between {found[0]} and {found[-1]} is missing")
    *closed, last = found
    for seq in closed:
        read_rows(directory, seq)
    size = _cut(directory, last)
    return {seq: path_of(directory, seq).stat().st_size for seq in closed}, last, size


def _numbers(directory: Path) -> list[int]:
    return sorted(int(match[1]) for name in os.listdir(directory) if (match := _NAME.fullmatch(name)))


def _remove_going(directory: Path) -> None:
    note = directory / _GOING
    if not note.exists():
        return
    upto = int(note.read_text())
    for seq in _numbers(directory):
        if seq <= upto:
            remove(directory, seq)
    _sync(directory, os.O_RDONLY | os.O_DIRECTORY)
    note.unlink()


def _cut(directory: Path, seq: int) -> int:
    """Cuts the file after its last whole group; returns its size."""
    path = path_of(directory, seq)
    data = path.read_bytes()
    end = HEAD.size
    for _, end in frames(seq, data):  # noqa: B007
        pass
    if len(data) < HEAD.size or HEAD.unpack_from(data) != (_MAGIC, seq):
        if any(data[HEAD.size :]):
            raise JournalDamaged(f"{path.name} has records behind an unreadable head")
        path.unlink()  # the file before it was not closed yet: nothing of that was shipped
        return _begun(directory, seq)
    if end < len(data):
        os.truncate(path, end)
        _sync(path, os.O_RDWR)
    return end


def _begun(directory: Path, seq: int) -> int:
    """Makes the file if there is room; returns its size."""
    try:
        created(directory, seq)
    except NoRoom:
        return 0
    return HEAD.size


def made(directory: Path) -> None:
    """Makes the directory if it is not there; raises `NoRoom`, OSError."""
    with _no_room():
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)  # it names who was where


def locked(directory: Path) -> int:
    with _no_room():
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise JournalInUse(f"{directory} is in use by another process") from None
    return lock


def created(directory: Path, seq: int) -> None:
    """A new file with its head, durable together with its name; raises `NoRoom`, OSError."""
    path = path_of(directory, seq)
    with _no_room():
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        written(handle, HEAD.pack(_MAGIC, seq))
    except NoRoom:
        path.unlink()
        raise
    finally:
        os.close(handle)
    _sync(directory, os.O_RDONLY | os.O_DIRECTORY)


def opened(directory: Path, seq: int) -> int:
    return os.open(path_of(directory, seq), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)


def written(handle: int, data: bytes, size: int = 0) -> None:
    """Adds `data` to a file of `size` bytes, durably. Raises `NoRoom`, and OSError when nobody knows what is there:
    after a failed sync, above all."""
    view = memoryview(data)
    try:
        while view:
            with _no_room():
                view = view[os.write(handle, view) :]
    except NoRoom:
        os.ftruncate(handle, size)
        raise
    os.fdatasync(handle)


@contextmanager
def _no_room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise NoRoom(*error.args) from error
        raise


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def path_of(directory: Path, seq: int) -> Path:
    return directory / f"{seq:016d}.journal"


def _checksum(seq: int, rows: bytes) -> int:
    return zlib.crc32(rows, zlib.crc32(struct.pack(">QI", seq, len(rows))))
