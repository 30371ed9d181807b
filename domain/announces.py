"""What an announce says once it is accepted: the record that the edges journal and that credit is computed from.

Two codecs, both pure: fixed rows for the edge's journal file, and columns for the segments that are shipped and kept
(columns of like values are what a compressor shortens; compression and checksums belong to the files and tables).
What `announce_addresses` makes of the columns is what the store gets.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from domain.announce_addresses import ENCRYPTED, HEAD, PLAIN, ReadKeys, decrypted, no_keys
from domain.errors import Malformed


class DamagedRecords(Malformed):
    """Bytes that `encode` or `pack` never wrote."""


class Event(IntEnum):
    """What made the client (or the edge) announce; the first four have BEP 15's numbers, the fifth libtorrent's."""

    REGULAR = 0
    COMPLETED = 1
    STARTED = 2
    STOPPED = 3
    PAUSED = 4  # BEP 21: a partial seed, sent with every announce
    EXPIRED = 5  # written by the edge when a peer fell silent; carries no counters


class Announce(NamedTuple):
    """One accepted announce. Times are UTC microseconds; counters are bytes, at most 2^63-1."""

    received_at_us: int
    user_id: bytes  # 16 bytes of the UUID
    torrent_id: bytes  # 16 bytes of the UUID
    peer_id: bytes  # 20 bytes, BEP 20
    event: int  # a value of `Event`
    uploaded: int
    downloaded: int
    left: int
    address: bytes  # 4 or 16 bytes, network order; none, with port 0, when nobody can read it any more
    port: int
    key: int  # BEP 7's `key`, 32 bits; 0 when the client sends none


#: received_at_us, uploaded, downloaded, left, key, port, event, address length, user, torrent, peer_id, address
_ROW = struct.Struct(">qqqqIHBB16s16s20s16s")
ROW_BYTES = _ROW.size
_ROW_TIME = struct.Struct(f">q{ROW_BYTES - 8}x")
_ROW_KEY, _ROW_PORT, _ROW_EVENT, _ROW_SIZE, _ROW_USER, _ROW_TORRENT, _ROW_PEER, _ROW_ADDRESS = (
    32, 36, 38, 39, 40, 56, 72, 92,
)  # fmt: skip

pack_row = _ROW.pack
"""The fields of a row in the order of the line above: what the edge's hot path calls."""


def pack(record: Announce) -> bytes:
    """The record as one row of `ROW_BYTES`."""
    at, user, torrent, peer, event, uploaded, downloaded, left, address, port, key = record
    return pack_row(at, uploaded, downloaded, left, key, port, event, len(address), user, torrent, peer, address)


def unpack(rows: bytes | memoryview) -> Iterator[Announce]:
    """The records of consecutive rows; raises `DamagedRecords` on anything that is not a whole number of rows."""
    if len(rows) % ROW_BYTES:
        raise DamagedRecords(f"{len(rows)} bytes are no whole number of {ROW_BYTES}-byte rows")
    for at, uploaded, downloaded, left, key, port, event, size, user, torrent, peer, address in _ROW.iter_unpack(rows):
        if size not in (4, 16):
            raise DamagedRecords(f"an address of {size} bytes")
        yield Announce(at, user, torrent, peer, event, uploaded, downloaded, left, address[:size], port, key)


def span(rows: bytes) -> tuple[int, int]:
    """When the first and the last of the rows were received, UTC microseconds."""
    times = [one for (one,) in _ROW_TIME.iter_unpack(rows)]
    return min(times), max(times)


def encode(records: Sequence[Announce]) -> bytes:
    """The records as columns, in the given order; equal records give equal bytes."""
    if not records:
        return HEAD.pack(PLAIN, 0, 0, 0)
    at, user, torrent, peer, event, uploaded, downloaded, left, address, port, key = zip(*records, strict=True)
    users, user_rows = _dictionary(user)
    torrents, torrent_rows = _dictionary(torrent)
    return b"".join(
        (
            HEAD.pack(PLAIN, len(records), len(users), len(torrents)),
            *users,
            *torrents,
            _integers("I", user_rows),
            _integers("I", torrent_rows),
            _integers("q", [at[0], *(b - a for a, b in zip(at, at[1:], strict=False))]),
            bytes(event),
            _integers("q", uploaded),
            _integers("q", downloaded),
            _integers("q", left),
            _integers("H", port),
            _integers("I", key),
            *peer,
            bytes(map(len, address)),
            *address,
        )
    )


def encode_rows(rows: bytes) -> bytes:
    """What `encode` makes of the records of these rows, without making records: the planes of a column of numbers are
    every `ROW_BYTES`-th byte of the rows. Raises `DamagedRecords` on anything that is not a whole number of rows.
    """
    size = len(rows)
    if size % ROW_BYTES:
        raise DamagedRecords(f"{size} bytes are no whole number of {ROW_BYTES}-byte rows")
    if not size:
        return encode(())

    def blocks(offset: int, width: int) -> list[bytes]:
        return [rows[start : start + width] for start in range(offset, size, ROW_BYTES)]

    def planes(offset: int, width: int) -> bytes:
        return b"".join([rows[offset + weight :: ROW_BYTES] for weight in reversed(range(width))])

    at = [one for (one,) in _ROW_TIME.iter_unpack(rows)]
    users, user_rows = _dictionary(blocks(_ROW_USER, 16))
    torrents, torrent_rows = _dictionary(blocks(_ROW_TORRENT, 16))
    sizes = rows[_ROW_SIZE::ROW_BYTES]
    starts = range(_ROW_ADDRESS, size, ROW_BYTES)
    return b"".join(
        (
            HEAD.pack(PLAIN, len(at), len(users), len(torrents)),
            *users,
            *torrents,
            _integers("I", user_rows),
            _integers("I", torrent_rows),
            _integers("q", [at[0], *(b - a for a, b in zip(at, at[1:], strict=False))]),
            rows[_ROW_EVENT::ROW_BYTES],
            planes(8, 8),  # uploaded
            planes(16, 8),  # downloaded
            planes(24, 8),  # left
            planes(_ROW_PORT, 2),
            planes(_ROW_KEY, 4),
            *blocks(_ROW_PEER, 20),
            sizes,
            *[rows[start : start + width] for start, width in zip(starts, sizes, strict=True)],
        )
    )


def decode(data: bytes, keys: ReadKeys = no_keys) -> list[Announce]:
    """The records that `encode` was given; without addresses where these are encrypted and `keys` has no key.

    Raises `DamagedRecords` when the bytes are cut, longer or not columns.
    """
    try:
        return _decode(data, keys)
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise DamagedRecords(f"no columns of announces: {error}") from None


def same_records(some: bytes, others: bytes) -> bool:
    """Whether two payloads have the same announces, apart from the addresses, which may be gone in one of them."""
    return [(*one[:8], one.key) for one in decode(some)] == [(*one[:8], one.key) for one in decode(others)]


def _decode(data: bytes, keys: ReadKeys) -> list[Announce]:
    version, count, user_count, torrent_count = HEAD.unpack_from(data)
    if version not in (PLAIN, ENCRYPTED):
        raise DamagedRecords(f"columns of version {version}")
    data, unknown = decrypted(data, keys) if version == ENCRYPTED else (data, frozenset[int]())
    column = _Columns(data, HEAD.size)
    users = column.blocks(16, user_count)
    torrents = column.blocks(16, torrent_count)
    user_rows = column.integers("I", count)
    torrent_rows = column.integers("I", count)
    gaps = column.integers("q", count)
    events = column.take(count)
    uploaded, downloaded, left = (column.integers("q", count) for _ in range(3))
    ports = column.integers("H", count)
    bep7_keys = column.integers("I", count)
    peers = column.blocks(20, count)
    sizes = column.take(count)
    if sizes.translate(None, b"\x04\x10"):
        raise DamagedRecords("an address that is neither of 4 nor of 16 bytes")
    addresses = [column.take(size) for size in sizes]
    column.must_end()
    if unknown:
        addresses = [b"" if row in unknown else one for row, one in zip(user_rows, addresses, strict=True)]
        ports = array("H", [0 if row in unknown else one for row, one in zip(user_rows, ports, strict=True)])
    times = _running_sum(gaps)
    user = [users[row] for row in user_rows]
    torrent = [torrents[row] for row in torrent_rows]
    columns = (times, user, torrent, peers, events, uploaded, downloaded, left, addresses, ports, bep7_keys)
    return list(map(Announce._make, zip(*columns, strict=True)))


def _dictionary(values: Iterable[bytes]) -> tuple[list[bytes], list[int]]:
    """Each distinct value once, and for each row the index of its value."""
    index: dict[bytes, int] = {}
    rows = [index.setdefault(value, len(index)) for value in values]
    return list(index), rows


def _integers(typecode: str, values: Iterable[int]) -> bytes:
    """Little-endian, with the bytes of equal weight beside each other: the high ones are nearly all zero."""
    numbers = array(typecode, values)
    if sys.byteorder == "big":
        numbers.byteswap()
    raw = numbers.tobytes()
    return b"".join(raw[weight :: numbers.itemsize] for weight in range(numbers.itemsize))


def _running_sum(gaps: Iterable[int]) -> list[int]:
    total = 0
    return [total := total + gap for gap in gaps]


class _Columns:
    """Reads columns one after the other, and never past the end."""

    def __init__(self, data: bytes, offset: int) -> None:
        self._data = data
        self._offset = offset

    def take(self, size: int) -> bytes:
        start, self._offset = self._offset, self._offset + size
        if self._offset > len(self._data):
            raise DamagedRecords("columns cut short")
        return self._data[start : self._offset]

    def blocks(self, size: int, count: int) -> list[bytes]:
        raw = self.take(size * count)
        return [raw[start : start + size] for start in range(0, len(raw), size)]

    def integers(self, typecode: str, count: int) -> array[int]:
        numbers = array(typecode)
        shuffled = self.take(numbers.itemsize * count)
        raw = bytearray(len(shuffled))
        for weight in range(numbers.itemsize):
            raw[weight :: numbers.itemsize] = shuffled[weight * count : (weight + 1) * count]
        numbers.frombytes(bytes(raw))
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers

    def must_end(self) -> None:
        if self._offset != len(self._data):
            raise DamagedRecords("bytes after the last column")
