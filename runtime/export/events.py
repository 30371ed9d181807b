"""Facts of the log as rows for analysts."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from psycopg import Connection

from runtime.export.files import Column, Export, FileFormat, Manifest, Row, as_json, microseconds
from runtime.export.selection import SelectedFacts, Selection, StoredFact

#: `happened_at` is when it was decided, `recorded_at` when the store took it; `payload` has the fact's own fields. From
#: the last columns and the ids anybody can work out the event's hash in the chain of the log (docs/audit-chain.md).
COLUMNS = (
    Column("position", "int"),
    Column("stream_id", "uuid"),
    Column("version", "int"),
    Column("topic", "text"),
    Column("happened_at", "time"),
    Column("recorded_at", "time"),
    Column("actor_id", "uuid"),
    Column("command_id", "uuid"),
    Column("correlation_id", "uuid"),
    Column("causation_id", "uuid"),
    Column("origin", "text"),
    Column("payload", "json"),
    Column("event_id", "uuid"),
    Column("part", "int"),
    Column("schema_version", "int"),
    Column("data_sha256", "text"),
)
#: What is stored of the event, byte for byte; personal text in it is ciphertext.
DATA = Column("data", "text")


def row(fact: StoredFact, fields: dict[str, Any]) -> Row:
    """One row of `COLUMNS`; `fields` are what `SelectedFacts.fields` gave."""
    return (
        fact.position,
        fact.stream_id.bytes,
        fact.version,
        fact.topic,
        microseconds(fact.at),
        microseconds(fact.recorded_at),
        fact.actor_id.bytes,
        fact.command_id.bytes,
        fact.correlation_id.bytes,
        fact.causation_id.bytes,
        fact.origin,
        msgspec.json.encode(fields),
        fact.event_id.bytes,
        fact.part,
        fact.schema_version,
        sha256(fact.data).hexdigest(),
    )


def line(fact: StoredFact, fields: dict[str, Any]) -> bytes:
    """The same as one JSON object."""
    return as_json(COLUMNS, row(fact, fields))


def export_events(
    facts: SelectedFacts,
    connection: Connection[Any],
    selection: Selection,
    upto: int,
    directory: Path,
    file_format: FileFormat,
    per_file: int,
    progress: Callable[[int, int], None],
    *,
    with_personal: bool,
    with_data: bool = False,
) -> Manifest:
    """What is selected up to that position, into files of at most `per_file` rows; `progress` hears positions.

    The log only grows, so the same selection up to the same position gives the same files.
    """
    columns = (*COLUMNS, DATA) if with_data else COLUMNS
    with Export(directory, "events", columns, file_format, key=1, per_file=per_file) as export:
        for page in facts.pages(connection, selection, upto):
            rows = [row(fact, facts.fields(fact)) for fact in page]
            export.add(
                [(*row, fact.data.decode()) for row, fact in zip(rows, page, strict=True)] if with_data else rows
            )
            progress(page[-1].position, upto)
        return export.finish({**selection.described(), "upto": upto, "personal": with_personal})
