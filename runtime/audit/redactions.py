"""Data that had to go: blanked in its event, with a signed declaration, so that the chain holds without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from eventsourcing.persistence import MapperDeserialisationError
from psycopg import Connection
from psycopg.rows import class_row

from runtime.append_only import changeable
from runtime.audit.block import BadSignature, check

#: What stands where a text stood.
REDACTED = "redacted"
#: As `EventMapper.event` reads: topic, stream, version, data, schema version. Raises `MapperDeserialisationError`.
Read = Callable[[str, UUID, int, bytes, int], object]
_COLUMNS = "position, original_sha256, data_sha256, fields, reason, redacted_at, signature"


class RedactionRefused(Exception):
    """Nothing was changed; `str(error)` is one line that says why."""


class Undeclared(Exception):
    """A redaction was not declared by this site."""

    def __init__(self, position: int) -> None:
        super().__init__(f"the redaction of position {position} was not signed by this site")
        self.position = position


@dataclass(frozen=True)
class Redaction:
    """Which event lost which of its texts, when, and why."""

    position: int
    original_sha256: bytes
    data_sha256: bytes
    fields: list[str]
    reason: str
    redacted_at: datetime
    signature: bytes = b""

    @property
    def statement(self) -> bytes:
        """What is signed."""
        said = [
            "tracker redaction 1",
            self.position,
            self.original_sha256.hex(),
            self.data_sha256.hex(),
            self.fields,
            self.reason,
            self.redacted_at.astimezone(UTC).isoformat(timespec="microseconds"),
        ]
        return msgspec.json.encode(said)


def redact(
    connection: Connection[Any],
    key: Ed25519PrivateKey,
    read: Read,
    position: int,
    fields: Sequence[str],
    reason: str,
) -> Redaction:
    """Blanks texts of one event, as the database's owner; everything else of the event stays, and so it can be read.

    Raises `RedactionRefused`. Read tables, snapshots and processes that remember the text are the caller's affair.
    """
    with connection.transaction(), changeable(connection, "es.event"):
        topic, stream_id, version, original, schema_version = _event(connection, position)
        data = _blanked(original, fields)
        try:
            read(topic, stream_id, version, data, schema_version)
        except MapperDeserialisationError as error:  # what was there is gone for good, and no follower would pass it
            raise RedactionRefused(f"the event could not be read any more: {error}") from None
        at = datetime.now(UTC)
        hashes = sha256(original).digest(), sha256(data).digest()
        unsigned = Redaction(position, *hashes, list(fields), reason, at)
        redaction = replace(unsigned, signature=key.sign(unsigned.statement))
        _declare(connection, redaction)
        connection.execute("UPDATE es.event SET data = %s WHERE position = %s", (data, position))
        connection.execute("DELETE FROM es.snapshot WHERE stream_id = %s", (stream_id,))
    return redaction


def reapply(connection: Connection[Any]) -> int:
    """Blanks again what an older backup brought back; returns how many events that were."""
    if connection.execute("SELECT to_regclass('es.redaction')").fetchone() == (None,):
        return 0
    count = 0
    with changeable(connection, "es.event"):
        for one in redactions(connection):
            row = connection.execute("SELECT data FROM es.event WHERE position = %s", (one.position,)).fetchone()
            if row and sha256(row[0]).digest() == one.original_sha256:
                data = _blanked(bytes(row[0]), one.fields)
                connection.execute("UPDATE es.event SET data = %s WHERE position = %s", (data, one.position))
                count += 1
    return count


def redactions(connection: Connection[Any]) -> list[Redaction]:
    with connection.cursor(row_factory=class_row(Redaction)) as cursor:
        return cursor.execute(f"SELECT {_COLUMNS} FROM es.redaction ORDER BY position").fetchall()


def check_all(connection: Connection[Any], key: Ed25519PublicKey) -> int:
    """How many redactions are declared. Raises `Undeclared`."""
    found = redactions(connection)
    for one in found:
        try:
            check(key, one.signature, one.statement)
        except BadSignature:
            raise Undeclared(one.position) from None
    return len(found)


def _event(connection: Connection[Any], position: int) -> tuple[str, UUID, int, bytes, int]:
    """Topic, stream, version, data, schema version. Raises `RedactionRefused`."""
    row = connection.execute(
        "SELECT t.name, e.stream_id, e.version, e.data, e.schema_version"
        " FROM es.event e JOIN es.event_type t ON t.id = e.type WHERE e.position = %s",
        (position,),
    ).fetchone()
    if row is not None:
        return row[0], row[1], row[2], bytes(row[3]), row[4]
    archived = connection.execute(
        "SELECT FROM es.archived_events WHERE %s BETWEEN first_position AND last_position", (position,)
    ).fetchone()
    if archived is not None:
        raise RedactionRefused(f"position {position} lies in a file: tracker events restore-archive brings it back")
    raise RedactionRefused(f"there is no event at position {position}")


def _blanked(original: bytes, fields: Sequence[str]) -> bytes:
    said = msgspec.json.decode(original)
    for name in fields:
        if not isinstance(said.get(name), str) or name == "timestamp":
            raise RedactionRefused(f"the event has no text called {name!r}")
    return msgspec.json.encode({**said, **dict.fromkeys(fields, REDACTED)})


def _declare(connection: Connection[Any], one: Redaction) -> None:
    declared = connection.execute(
        f"INSERT INTO es.redaction ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (one.position, one.original_sha256, one.data_sha256, one.fields, one.reason, one.redacted_at, one.signature),
    ).rowcount
    if not declared:
        raise RedactionRefused(f"position {one.position} was redacted before; its declaration cannot be changed")
