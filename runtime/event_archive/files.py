"""A file of sorted records in compressed frames, with a directory of where each frame begins.

`magic, frame, frame, …, directory, its size in 8 bytes`. The directory is JSON of `[first key, offset, bytes]`.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import zstandard

_MAGIC = b"events 1\n"
_SIZE = struct.Struct(">Q")
_LEVEL = 9


class ArchiveBroken(Exception):
    """A file of the archive is missing or is not what was written; `str(error)` is one line."""


class FrameWriter:
    """Writes a durable file; left by an error it leaves none."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path, self._part = path, path.with_name(path.name + ".part")
        self._file = os.fdopen(os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        self._file.write(_MAGIC)
        self._directory: list[tuple[str, int, int]] = []
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)

    def add(self, key: bytes, frame: bytes) -> None:
        """A frame whose first record has this key; keys of one file have one length and rise."""
        packed = self._compressor.compress(frame)
        self._directory.append((key.hex(), self._file.tell(), len(packed)))
        self._file.write(packed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                directory = self._compressor.compress(json.dumps(self._directory).encode())
                self._file.write(directory + _SIZE.pack(len(directory)))
                self._file.flush()
                os.fsync(self._file.fileno())
        if kind is not None:
            self._part.unlink()
            return
        os.replace(self._part, self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


class FrameReader:
    """Finds frames by key; a frame's bytes are read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as file:
                if file.read(len(_MAGIC)) != _MAGIC:
                    raise ArchiveBroken(f"{path} is no file of the archive")
                end = file.seek(-_SIZE.size, os.SEEK_END)
                (size,) = _SIZE.unpack(file.read())
                file.seek(end - size)
                directory = json.loads(zstandard.decompress(file.read(size)))
        except OSError as error:
            raise ArchiveBroken(f"{path}: {error.strerror}") from None
        except (ValueError, zstandard.ZstdError, struct.error):
            raise ArchiveBroken(f"{path} was changed") from None
        self._keys = [bytes.fromhex(key) for key, _, _ in directory]
        self._places = [(offset, size) for _, offset, size in directory]

    def frames(self, first: bytes) -> Iterator[bytes]:
        """Every frame from the one on that may have the first record with this key or a higher one."""
        begin = max(0, bisect_right(self._keys, first) - 1)
        while begin and self._keys[begin] == first:  # records of one key may begin in the frame before
            begin -= 1
        with self._path.open("rb") as file:
            for place in range(begin, len(self._places)):
                yield self._frame(file, place)

    def holding(self, keys: Iterable[bytes]) -> Iterator[bytes]:
        """Each frame that may have the record with one of these keys, once; the keys rise, and are of one record."""
        last = -1
        with self._path.open("rb") as file:
            for key in keys:
                place = max(0, bisect_right(self._keys, key) - 1)
                if place != last:
                    yield self._frame(file, place)
                last = place

    def _frame(self, file: BinaryIO, place: int) -> bytes:
        offset, size = self._places[place]
        file.seek(offset)
        try:
            return zstandard.decompress(file.read(size))
        except zstandard.ZstdError:
            raise ArchiveBroken(f"{self._path} was changed") from None


def file_of(path: Path) -> tuple[int, int, int]:
    """Tells the file at this path from those that were there before it. Raises `ArchiveBroken`."""
    try:
        found = path.stat()
    except OSError as error:
        raise ArchiveBroken(f"{path}: {error.strerror}") from None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def fingerprint(path: Path) -> bytes:
    """SHA-256 of the whole file. Raises `ArchiveBroken`."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise ArchiveBroken(f"{path}: {error.strerror}") from None
