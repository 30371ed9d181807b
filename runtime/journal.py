"""The stored announce journal: what a segment is, how segments chain, and how they get into `journal.segment` and out.

A segment's content is opaque here (columns of announces, see domain/announces.py); this module compresses, seals,
stores and verifies it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from operator import eq
from typing import Any, LiteralString

import zstandard
from psycopg import Connection, Cursor
from psycopg.errors import IntegrityConstraintViolation
from psycopg.rows import class_row

from domain.errors import Conflict

#: `previous` of an edge's first segment.
GENESIS = bytes(32)
#: No segment is larger once decompressed: bounds what a damaged or forged one can make a reader allocate.
MAX_PAYLOAD_BYTES = 256 * 2**20
#: What a `Segment` is read from, in its order.
COLUMNS: LiteralString = "edge_id, seq, announces, first_at, last_at, sha256, previous, data, encrypted_sha256"
_LEVEL = 3
_PAGE = 64


class Fenced(Conflict):
    """Another process with the same edge id has continued the chain: this one must not write any more."""


class AlreadyRecorded(Conflict):
    """The announces of this segment are in the store: an earlier shipment whose answer was lost did arrive."""

    def __init__(self, message: str, sha256: bytes) -> None:
        super().__init__(message)
        self.sha256 = sha256  # of the stored segment: what the next one follows


class BrokenChain(Exception):
    """Stored segments do not follow one from another, or one is not what was sealed."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One sealed piece of an edge's journal; times are aware UTC, `data` is zstd.

    `sha256` is of what was sealed, and what the next segment follows. Where addresses in `data` were encrypted later,
    `encrypted_sha256` is of what lies there since, and None everywhere else.
    """

    edge_id: str
    seq: int  # 1, 2, 3 … without a hole
    announces: int
    first_at: datetime
    last_at: datetime
    sha256: bytes
    previous: bytes
    data: bytes
    encrypted_sha256: bytes | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the bytes are those that the hash names."""
        return _chain_hash(self) == (self.encrypted_sha256 or self.sha256)

    @property
    def payload(self) -> bytes:
        """The columns that were sealed; raises `BrokenChain` when the bytes are not those that the hash names."""
        if not self.is_whole:
            raise BrokenChain(f"segment {self.seq} of {self.edge_id} is not what was sealed")
        if zstandard.frame_content_size(self.data) > MAX_PAYLOAD_BYTES:  # the decompressor would believe it
            raise BrokenChain(f"segment {self.seq} of {self.edge_id} is larger than any that was sealed")
        return zstandard.ZstdDecompressor().decompress(self.data, max_output_size=MAX_PAYLOAD_BYTES)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of an edge's stored chain."""

    edge_id: str
    seq: int
    sha256: bytes


def seal(
    edge_id: str, seq: int, announces: int, first_at: datetime, last_at: datetime, previous: bytes, payload: bytes
) -> Segment:
    """The segment that follows the one whose hash is `previous`."""
    data = zstandard.ZstdCompressor(level=_LEVEL).compress(payload)
    unsealed = Segment(edge_id, seq, announces, first_at, last_at, b"", previous, data)
    return Segment(edge_id, seq, announces, first_at, last_at, _chain_hash(unsealed), previous, data)


def replaced(segment: Segment, payload: bytes) -> Segment:
    """The segment in its place of the chain, with these columns instead of those that were sealed."""
    other = replace(segment, data=zstandard.ZstdCompressor(level=_LEVEL).compress(payload))
    return replace(other, encrypted_sha256=_chain_hash(other))


def hash_of_all(hashes: Iterable[bytes]) -> bytes:
    """What is declared of consecutive segments that were replaced together."""
    return sha256(b"".join(hashes)).digest()


def verify(segments: Iterable[Segment], previous: Head | None = None) -> Head | None:
    """The end of one edge's chain; raises `BrokenChain` at the first segment that is not what was sealed there."""
    head = previous
    for segment in segments:
        seq, hash_before = (head.seq + 1, head.sha256) if head else (1, GENESIS)
        if (segment.seq, segment.previous) != (seq, hash_before) or not segment.is_whole:
            raise BrokenChain(f"segment {segment.seq} of {segment.edge_id} does not follow {seq - 1}")
        head = Head(segment.edge_id, segment.seq, segment.sha256)
    return head


def insert(cursor: Cursor[Any], segment: Segment, same: Callable[[bytes, bytes], bool] = eq) -> None:
    """Adds the segment at the end of its edge's chain, in the caller's transaction.

    `same` tells whether two payloads say the same: what is encrypted in them may differ after somebody's erasure.
    Raises `AlreadyRecorded` when it is there and `Fenced` when another one has its place; after either the caller's
    transaction must be rolled back.
    """
    _refuse_known(cursor, segment, same)
    try:
        cursor.execute(
            "INSERT INTO journal.segment (edge_id, seq, day, announces, first_at, last_at, sha256, previous, data)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                segment.edge_id,
                segment.seq,
                segment.last_at.astimezone(UTC).date(),
                segment.announces,
                segment.first_at,
                segment.last_at,
                segment.sha256,
                segment.previous,
                segment.data,
            ),
        )
    except IntegrityConstraintViolation as error:
        raise Fenced(f"segment {segment.seq} is not the next of {segment.edge_id}") from error


def segments(connection: Connection[Any], edge_id: str, after_seq: int = 0) -> Iterator[Segment]:
    """The edge's segments in order, from the one after `after_seq`."""
    while True:
        with connection.cursor(row_factory=class_row(Segment)) as cursor:
            page = cursor.execute(
                f"SELECT {COLUMNS} FROM journal.segment WHERE edge_id = %s AND seq > %s ORDER BY seq LIMIT %s",
                (edge_id, after_seq, _PAGE),
            ).fetchall()
        yield from page
        if len(page) < _PAGE:
            return
        after_seq = page[-1].seq


def heads(connection: Connection[Any]) -> list[Head]:
    """The end of every edge's chain."""
    with connection.cursor(row_factory=class_row(Head)) as cursor:
        return cursor.execute("SELECT edge_id, seq, sha256 FROM journal.head ORDER BY edge_id").fetchall()


def _refuse_known(cursor: Cursor[Any], segment: Segment, same: Callable[[bytes, bytes], bool]) -> None:
    with cursor.connection.cursor(row_factory=class_row(Segment)) as reading:
        stored = reading.execute(
            f"SELECT {COLUMNS} FROM journal.segment WHERE edge_id = %s AND seq = %s",
            (segment.edge_id, segment.seq),
        ).fetchone()
    if stored is None:
        return
    # Not compared by hash: another version of the compressor gives other bytes for the same announces.
    if same(stored.payload, segment.payload):
        raise AlreadyRecorded(f"segment {segment.seq} of {segment.edge_id} is in the store", stored.sha256)
    raise Fenced(f"segment {segment.seq} of {segment.edge_id} was written by another process")


def _chain_hash(segment: Segment) -> bytes:
    times = f"{segment.first_at.astimezone(UTC).isoformat()} {segment.last_at.astimezone(UTC).isoformat()}"
    digest = sha256(segment.previous)
    digest.update(f"{segment.edge_id} {segment.seq} {segment.announces} {times}\n".encode())
    digest.update(segment.data)
    return digest.digest()
