"""An archived event: a row as PostgreSQL's binary COPY sends it, so that its hash in the chain can be worked out."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import LiteralString, NamedTuple
from uuid import UUID

from runtime.audit.merkle import leaf_hash

#: Up to the actor all fields have a fixed size; topic, origin and data follow, each with its length before it.
_FIXED = struct.Struct(">hiqiqi16siiihih" + 5 * "i16s")
_SIZE = struct.Struct(">i")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_SHA_SIZE = _SIZE.pack(32)

#: Rows of the log in this form, in the order of `leaf.Header`, with the data itself at the end.
COPY_ROWS: LiteralString = """
COPY (SELECT e.position, e.recorded_at, e.stream_id, e.version, e.part, e.schema_version, e.event_id, e.command_id,
    e.correlation_id, e.causation_id, e.actor_id, t.name, e.origin, e.data
  FROM es.event e JOIN es.event_type t ON t.id = e.type
  WHERE e.position > %s AND e.position <= %s ORDER BY e.position) TO STDOUT (FORMAT binary)
"""


class ArchivedEvent(NamedTuple):
    """What `es.event` had of it, but for the number of its type."""

    position: int
    recorded_at: datetime
    stream_id: UUID
    version: int
    part: int
    schema_version: int
    event_id: UUID
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID
    actor_id: UUID
    topic: str
    origin: str
    data: bytes

    @property
    def decided_at(self) -> datetime:
        """As its own bytes say."""
        return datetime.fromisoformat(json.loads(self.data)["timestamp"])


def split(packed: bytes) -> Iterator[bytes]:
    """The rows that lie one behind the other."""
    begin = 0
    while begin < len(packed):
        end = begin + _FIXED.size
        for _ in range(3):
            end += _SIZE.size + _SIZE.unpack_from(packed, end)[0]
        yield packed[begin:end]
        begin = end


def position_of(row: bytes) -> int:
    return int.from_bytes(row[6:14], "big", signed=True)


def read(row: bytes) -> ArchivedEvent:
    _, _, position, _, at, _, stream, _, version, _, part, _, schema_version, *ids = _FIXED.unpack_from(row)
    event, command, correlation, causation, actor = (UUID(bytes=one) for one in ids[1::2])
    topic, origin, data = _texts(row)
    return ArchivedEvent(
        position,
        _EPOCH + timedelta(microseconds=at),
        UUID(bytes=stream),
        version,
        part,
        schema_version,
        event,
        command,
        correlation,
        causation,
        actor,
        topic.decode(),
        origin.decode(),
        data,
    )


def leaf_of(row: bytes, redacted: tuple[bytes, bytes] | None) -> bytes:
    """Its leaf in the chain; `redacted` are the hashes of its data before and after a declared redaction."""
    topic, origin, data = _texts(row)
    data_sha256 = sha256(data).digest()
    if redacted and redacted[1] == data_sha256:
        data_sha256 = redacted[0]
    texts = b"".join(_SIZE.pack(len(one)) + one for one in (topic, origin))
    return leaf_hash(row[: _FIXED.size] + _SHA_SIZE + data_sha256 + texts)


def _texts(row: bytes) -> tuple[bytes, bytes, bytes]:
    found, begin = [], _FIXED.size
    for _ in range(3):
        (size,) = _SIZE.unpack_from(row, begin)
        begin += _SIZE.size
        found.append(row[begin : begin + size])
        begin += size
    return found[0], found[1], found[2]
