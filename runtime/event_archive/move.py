"""How a partition of the log goes into files, and how it comes back: never in neither place, and never unverified."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

from psycopg import Connection, sql
from psycopg.errors import InsufficientPrivilege, LockNotAvailable

from runtime.audit.block import records as split_records
from runtime.audit.redactions import redactions
from runtime.audit.stored import copied_rows
from runtime.event_archive.archive import ENTRY_BYTES, Piece, pieces
from runtime.event_archive.files import ArchiveBroken, FrameReader, FrameWriter, fingerprint
from runtime.event_archive.rows import COPY_ROWS, leaf_of, position_of, read, split

#: Events of a frame, and entries of one of the index.
EVENTS_PER_FRAME = 1000
ENTRIES_PER_FRAME = 4096

_STREAMS = """
COPY (SELECT uuid_send(stream_id) || int8send(position) FROM es.event WHERE position > %s AND position <= %s
  ORDER BY stream_id, position) TO STDOUT (FORMAT binary)
"""
#: Of a row of that: the count of its fields and the length of the only one.
_STREAM_HEAD_BYTES = 6
_RESTORED = (
    "position, recorded_at, stream_id, version, part, type, schema_version, event_id, command_id, correlation_id,"
    " causation_id, actor_id, origin, data"
)


#: Whoever appends or reads waits behind a partition that wants to go for so long at most, and it tries so often.
LOCK_WAIT_MS, LOCK_PAUSE_S = 200, 1.0
LOCK_ATTEMPTS = 30
#: First half of the advisory lock that lets one move events at a time: two would write the same files.
LOCK_CLASS = 7949


class ArchiveRefused(Exception):
    """Nothing was moved; `str(error)` is one line that says why."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of the table; the positions and the time are of its events, None when it has none."""

    begins: int
    ends: int
    first_position: int | None
    last_position: int | None
    events: int
    last_recorded_at: datetime | None


@contextmanager
def alone(connection: Connection[Any]) -> Iterator[None]:
    """Raises `ArchiveRefused` when somebody else moves events; the same connection may be within one more."""
    if connection.execute("SELECT pg_try_advisory_lock(%s, 0)", (LOCK_CLASS,)).fetchone() != (True,):
        raise ArchiveRefused("somebody else moves events")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s, 0)", (LOCK_CLASS,))


def closed(connection: Connection[Any]) -> Iterator[Partition]:
    """The partitions that nobody writes to any more, oldest first; each is looked at when its turn comes."""
    rows = connection.execute(
        "SELECT begins, ends FROM es.event_partition WHERE ends <= es.safe_position() ORDER BY begins"
    ).fetchall()
    return (_partition(connection, begins, ends) for begins, ends in rows)


def archive(connection: Connection[Any], root: Path, part: Partition) -> Piece | None:
    """Moves the oldest partition into files, which are compared with the chain before the table lets go of it.

    None for a partition without events, which only goes. Raises `ArchiveRefused`, `ArchiveBroken`.
    """
    with alone(connection):
        piece = None if part.last_position is None else _write(connection, root, part)
        if piece:
            verify(connection, root, piece)
        _drop(connection, part, piece)
    return piece


def _drop(connection: Connection[Any], part: Partition, piece: Piece | None) -> None:
    """Lets the table go of a partition as soon as nobody reads the log for a moment. Raises `ArchiveRefused`."""
    said = {} if piece is None else {name: getattr(piece, name) for name in Piece.__slots__}
    plain = {name: value.hex() if isinstance(value, bytes) else value for name, value in said.items()}
    for left in reversed(range(LOCK_ATTEMPTS)):
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = {LOCK_WAIT_MS}")
                connection.execute("SELECT es.drop_events(%s, %s)", (part.begins, json.dumps(plain, default=str)))
            return
        except InsufficientPrivilege as error:
            raise ArchiveRefused(f"positions up to {part.ends - 1}: {error.diag.message_primary}") from None
        except LockNotAvailable:
            if left:
                time.sleep(LOCK_PAUSE_S)
    raise ArchiveRefused(f"positions up to {part.ends - 1}: somebody reads the log for long, try again later")


def restore(connection: Connection[Any], root: Path, piece: Piece) -> int:
    """Puts the newest archived partition back; returns its events. Raises `ArchiveRefused`, `ArchiveBroken`."""
    with alone(connection):
        if piece not in pieces(connection)[-1:]:
            raise ArchiveRefused("restore newer events first")
        verify(connection, root, piece)
        _load(connection, root, piece)
    return piece.events


def _load(connection: Connection[Any], root: Path, piece: Piece) -> None:
    types = dict(connection.execute("SELECT name, id FROM es.event_type").fetchall())
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        row = cursor.execute("SELECT es.begin_event_restore(%s)", (piece.first_position,)).fetchone()
        assert row is not None
        target = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier("es", row[0]), sql.SQL(_RESTORED))
        with cursor.copy(target) as copy:
            for one in map(read, _rows(root, piece)):
                copy.write_row((*one[:5], types[one.topic], *one[5:11], one.origin, one.data))
        cursor.execute("SELECT es.finish_event_restore(%s)", (piece.first_position,))


def verify(connection: Connection[Any], root: Path, piece: Piece) -> None:
    """The files are those that were written, and hold what the chain has sealed. Raises `ArchiveBroken`."""
    for path, sha256 in ((piece.path(root), piece.events_sha256), (piece.index(root), piece.streams_sha256)):
        if fingerprint(path) != sha256:
            raise ArchiveBroken(f"{path} was changed")
    redacted = {one.position: (one.original_sha256, one.data_sha256) for one in redactions(connection)}
    found = ((position_of(row), leaf_of(row, redacted.get(position_of(row)))) for row in _rows(root, piece))
    count = 0
    for one, sealed in zip_longest(found, _sealed(connection, piece)):
        if one != sealed:
            raise ArchiveBroken(f"{piece.path(root)}: position {(one or sealed)[0]} is not what was sealed")
        count += 1
    if (count, _entries(root, piece)) != (piece.events, piece.events):
        raise ArchiveBroken(f"{piece.path(root)} has not all of its events")


def _partition(connection: Connection[Any], begins: int, ends: int) -> Partition:
    row = connection.execute(
        "SELECT min(position), max(position), count(*), max(recorded_at) FROM es.event"
        " WHERE position >= %s AND position < %s",
        (begins, ends),
    ).fetchone()
    assert row is not None
    return Partition(begins, ends, *row)


def _write(connection: Connection[Any], root: Path, part: Partition) -> Piece:
    assert part.first_position is not None
    assert part.last_position is not None
    assert part.last_recorded_at is not None
    bounds = part.first_position - 1, part.last_position
    hashless = Piece(
        part.begins,
        part.ends,
        part.first_position,
        part.last_position,
        part.events,
        part.last_recorded_at,
        b"",
        b"",
    )
    with FrameWriter(hashless.path(root)) as events:
        for rows in _batches(copied_rows(connection, COPY_ROWS, bounds), EVENTS_PER_FRAME):
            events.add(position_of(rows[0]).to_bytes(8, "big"), b"".join(rows))
    entries = (row[_STREAM_HEAD_BYTES:] for row in copied_rows(connection, _STREAMS, bounds))
    with FrameWriter(hashless.index(root)) as index:
        for batch in _batches(entries, ENTRIES_PER_FRAME):
            index.add(batch[0][:16], b"".join(batch))
    events_sha256, streams_sha256 = fingerprint(hashless.path(root)), fingerprint(hashless.index(root))
    return replace(hashless, events_sha256=events_sha256, streams_sha256=streams_sha256)


def _rows(root: Path, piece: Piece) -> Iterator[bytes]:
    for frame in FrameReader(piece.path(root)).frames(b""):
        yield from split(frame)


def _entries(root: Path, piece: Piece) -> int:
    return sum(len(frame) // ENTRY_BYTES for frame in FrameReader(piece.index(root)).frames(b""))


def _sealed(connection: Connection[Any], piece: Piece) -> Iterator[tuple[int, bytes]]:
    """Position and leaf of the piece's events, as the blocks have them."""
    after = piece.first_position - 1
    while after < piece.last_position:
        row = connection.execute(
            "SELECT last_position, leaves FROM es.block WHERE last_position > %s ORDER BY last_position LIMIT 1",
            (after,),
        ).fetchone()
        if row is None:
            raise ArchiveRefused(f"the events from position {after + 1} on are not sealed yet")
        for position, leaf in split_records(row[1]):
            if after < position <= piece.last_position:
                yield position, leaf
        after = row[0]


def _batches(rows: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    batch = list[bytes]()
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
