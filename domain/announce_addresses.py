"""Where announces come from, in segments that are kept: encrypted under a key of each user.

Whoever has no key of a user reads that user's announces without address and port, and everything else as it was. So the
end of a key ends the addresses wherever the segment lies, and no segment is ever changed (docs/decisions/0105).

The keystream is keyed BLAKE2b (RFC 7693) of the hash of everything that is not encrypted and of the record's number:
the same announces give the same bytes, and other announces another stream.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from hashlib import blake2b, sha256

#: The keys, of 32 bytes, of these users (16 bytes each).
WriteKeys = Callable[[Sequence[bytes]], Sequence[bytes]]
#: The same for who reads: None of a user who has none, or whose key is destroyed.
ReadKeys = Callable[[Sequence[bytes]], Sequence[bytes | None]]

#: Version, records, distinct users, distinct torrents.
HEAD = struct.Struct("<BIII")
#: Versions of the columns that `announces.encode` makes: the second is the first with two of them encrypted in place.
PLAIN, ENCRYPTED = 1, 2

#: Bytes of a record in the columns before its port, and from its port to its address.
_BEFORE_PORT, _TO_ADDRESS, _PORT = 41, 27, 2
_ID = 16
#: A record's piece of the keystream: for an address of up to so many bytes, and for the port.
_LONGEST = 16
_BLOCK = _LONGEST + _PORT
_NO_BLOCK = bytes(_BLOCK)


def no_keys(users: Sequence[bytes]) -> Sequence[None]:
    """For readers who want no addresses."""
    return [None] * len(users)


def encrypted(columns: bytes, keys: WriteKeys) -> bytes:
    """Columns of version 1 as columns of version 2; those of version 2, or of nothing, are that already."""
    version, records, *_ = HEAD.unpack_from(columns)
    if version != PLAIN or not records:
        return columns
    turned, _ = _turned(columns, keys)
    return bytes([ENCRYPTED]) + turned[1:]


def decrypted(columns: bytes, keys: ReadKeys) -> tuple[bytes, AbstractSet[int]]:
    """Columns of version 2 with addresses to be read, except those of the users, by their number, that it gives beside.

    Raises ValueError, IndexError, struct.error on what is no such columns.
    """
    return _turned(columns, keys)


def _turned(columns: bytes, keys: ReadKeys) -> tuple[bytes, AbstractSet[int]]:
    """What is in clear encrypted, and the other way round."""
    _, records, user_count, torrent_count = HEAD.unpack_from(columns)
    rows_at = HEAD.size + _ID * (user_count + torrent_count)
    ports_at = rows_at + _BEFORE_PORT * records
    addresses_at = ports_at + _TO_ADDRESS * records
    ports_end, sizes = ports_at + _PORT * records, columns[addresses_at - records : addresses_at]
    if len(columns) != addresses_at + sum(sizes):
        raise ValueError("columns cut short")
    ids = columns[HEAD.size : HEAD.size + _ID * user_count]
    found = keys([ids[start : start + _ID] for start in range(0, len(ids), _ID)])
    unknown = {number for number, key in enumerate(found) if key is None}
    if len(unknown) == user_count:
        return columns, unknown
    nonce = sha256(columns[1:ports_at])
    nonce.update(columns[ports_end:addresses_at])
    stream = _keystream(found, nonce.digest(), _rows(columns[rows_at : rows_at + 4 * records]), sizes)
    turned = _xor(columns[ports_at:ports_end] + columns[addresses_at:], stream)
    size = ports_end - ports_at
    return columns[:ports_at] + turned[:size] + columns[ports_end:addresses_at] + turned[size:], unknown


def _keystream(keys: Sequence[bytes | None], nonce: bytes, rows: Sequence[int], sizes: bytes) -> bytes:
    """For the two planes of the column of ports, and for the addresses; zeros, which change nothing, without a key."""
    counters = [nonce + number.to_bytes(4, "little") for number in range(len(rows))]
    blocks = [
        _NO_BLOCK if (key := keys[row]) is None else blake2b(counter, digest_size=_BLOCK, key=key).digest()
        for row, counter in zip(rows, counters, strict=True)
    ]
    joined = b"".join(blocks)
    ports = joined[_LONGEST::_BLOCK], joined[_LONGEST + 1 :: _BLOCK]
    return b"".join((*ports, *[block[:size] for block, size in zip(blocks, sizes, strict=True)]))


def _rows(planes: bytes) -> Sequence[int]:
    """A column of 32-bit numbers whose bytes of equal weight lie beside each other."""
    raw = bytearray(len(planes))
    count = len(planes) // 4
    for weight in range(4):
        raw[weight::4] = planes[weight * count : (weight + 1) * count]
    rows = array("I")
    rows.frombytes(bytes(raw))
    if sys.byteorder == "big":
        rows.byteswap()
    return rows


def _xor(some: bytes, others: bytes) -> bytes:
    return (int.from_bytes(some, "little") ^ int.from_bytes(others, "little")).to_bytes(len(some), "little")
