"""The chain in the database: its blocks, the nodes of its tree, and what the events say that it was made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import class_row

from runtime.audit.block import Block
from runtime.audit.merkle import leaf_hash
from runtime.audit.redactions import redactions
from runtime.event_archive.archive import EventArchive, pieces
from runtime.event_archive.rows import leaf_of, position_of

#: Columns of `Block`.
BLOCK: LiteralString = "no, first_position, last_position, events, total, root, previous, tree, sealed_at, signature"
#: Before every position.
BEGINNING = -(2**63)

#: What `leaf.Header.hashed` puts together elsewhere. An event that was redacted counts as what it was, as long as it is
#: what the redaction left of it.
_HASHED: LiteralString = """
COPY (SELECT e.position, e.recorded_at, e.stream_id, e.version, e.part, e.schema_version, e.event_id, e.command_id,
    e.correlation_id, e.causation_id, e.actor_id,
    CASE WHEN r.position IS NOT NULL AND r.data_sha256 = sha256(e.data) THEN r.original_sha256 ELSE sha256(e.data) END,
    t.name, e.origin
  FROM es.event e JOIN es.event_type t ON t.id = e.type LEFT JOIN es.redaction r ON r.position = e.position
  WHERE e.position > %s AND e.position <= %s ORDER BY e.position LIMIT %s) TO STDOUT (FORMAT binary)
"""
#: PostgreSQL manual, COPY, "Binary Format": 11 bytes of signature, 4 of flags, 4 of extension; an int16 of -1 ends it.
_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HEAD_BYTES = 19
_TAIL = b"\xff\xff"
_POSITION = slice(6, 14)


def last_block(connection: Connection[Any]) -> Block | None:
    with connection.cursor(row_factory=class_row(Block)) as cursor:
        return cursor.execute(f"SELECT {BLOCK} FROM es.block ORDER BY no DESC LIMIT 1").fetchone()


def block(connection: Connection[Any], no: int) -> Block | None:
    with connection.cursor(row_factory=class_row(Block)) as cursor:
        return cursor.execute(f"SELECT {BLOCK} FROM es.block WHERE no = %s", (no,)).fetchone()


def blocks(connection: Connection[Any], page: int = 1000) -> Iterator[Block]:
    """Every block in order."""
    after = 0
    while True:
        with connection.cursor(row_factory=class_row(Block)) as cursor:
            found = cursor.execute(
                f"SELECT {BLOCK} FROM es.block WHERE no > %s ORDER BY no LIMIT %s", (after, page)
            ).fetchall()
        yield from found
        if len(found) < page:
            return
        after = found[-1].no


def records(
    connection: Connection[Any], after: int, upto: int, limit: int | None = None, archive: EventArchive | None = None
) -> bytes:
    """A `RECORD` of every event with after < position ≤ upto; of those in `archive` too."""
    if archive is None:
        return b"".join(_stored(connection, after, upto, limit))
    with connection.transaction():
        connection.execute("LOCK TABLE es.event IN ACCESS SHARE MODE")  # no event moves between the two
        return b"".join((*_archived(connection, archive, after, upto), *_stored(connection, after, upto, limit)))


def _archived(connection: Connection[Any], archive: EventArchive, after: int, upto: int) -> Iterator[bytes]:
    if held := pieces(connection):
        gone = {one.position: (one.original_sha256, one.data_sha256) for one in redactions(connection)}
        for row in archive.rows(connection, after, min(upto, held[-1].last_position)):
            yield row[_POSITION]
            yield leaf_of(row, gone.get(position_of(row)))


def _stored(connection: Connection[Any], after: int, upto: int, limit: int | None) -> Iterator[bytes]:
    for row in copied_rows(connection, _HASHED, (after, upto, limit)):
        yield row[_POSITION]
        yield leaf_hash(row)


def copied_rows(connection: Connection[Any], query: LiteralString, params: Sequence[object]) -> Iterator[bytes]:
    """The rows of a `COPY … TO STDOUT (FORMAT binary)`, as they are sent: one in a message."""
    with connection.cursor() as cursor, cursor.copy(query, params) as copy:
        for message in copy:
            row = bytes(message)
            if row.startswith(_SIGNATURE):  # it comes with the first row
                row = row[_HEAD_BYTES:]
            if row and row != _TAIL:
                yield row


class Nodes:
    """The perfect subtrees of the tree of blocks, each kept with the block that completed it."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection

    def __call__(self, level: int, index: int) -> bytes:
        row = self._connection.execute(
            "SELECT substring(nodes FROM %s FOR 32) FROM es.block WHERE no = %s",
            (32 * level + 1, (index + 1) << level),
            prepare=True,
        ).fetchone()
        assert row is not None
        return bytes(row[0])
