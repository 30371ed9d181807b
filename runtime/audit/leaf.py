"""What the chain hashes of one event: the bytes of everything that is stored of it, in one layout for ever."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from runtime.audit.merkle import leaf_hash

#: A row of PostgreSQL's binary COPY, where each field has its length before it: so the database has nothing to put
#: together. Position, time, stream, version, part, schema version; event, command, correlation, causation, actor;
#: SHA-256 of the data. The names of type and origin follow, of any length.
_FIXED = struct.Struct(">hiqiqi16siiihih" + 5 * "i16s" + "i32s")
_FIELDS = 14
_TEXT = struct.Struct(">i")
#: Times are microseconds since this moment, as PostgreSQL sends them.
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Header:
    """An event without its data, of which it has the SHA-256 hash."""

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
    data_sha256: bytes
    topic: str
    origin: str

    @property
    def hashed(self) -> bytes:
        """What the leaf is the hash of."""
        numbers = (8, self.position, 8, (self.recorded_at - _EPOCH) // _MICROSECOND)
        stream = (16, self.stream_id.bytes, 4, self.version, 2, self.part, 2, self.schema_version)
        ids = (self.event_id, self.command_id, self.correlation_id, self.causation_id, self.actor_id)
        of_ids = (value for one in ids for value in (16, one.bytes))
        fixed = _FIXED.pack(_FIELDS, *numbers, *stream, *of_ids, 32, self.data_sha256)
        texts = (one.encode() for one in (self.topic, self.origin))
        return fixed + b"".join(_TEXT.pack(len(text)) + text for text in texts)

    @property
    def leaf(self) -> bytes:
        return leaf_hash(self.hashed)
