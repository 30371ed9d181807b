"""Facts of the log as rows for analysts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from psycopg import Connection

from runtime.export.files import Column, Export, FileFormat, Manifest, Row, as_json, microseconds
from runtime.export.selection import SelectedFacts, Selection
from runtime.facts import AnyFact

#: `happened_at` is when it was decided, `recorded_at` when the store took it; `payload` has the fact's own fields.
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
)


def row(fact: AnyFact, fields: dict[str, Any]) -> Row:
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
    )


def line(fact: AnyFact, fields: dict[str, Any]) -> bytes:
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
) -> Manifest:
    """What is selected up to that position, into files of at most `per_file` rows; `progress` hears positions.

    The log only grows, so the same selection up to the same position gives the same files.
    """
    with Export(directory, "events", COLUMNS, file_format, key=1, per_file=per_file) as export:
        for page in facts.pages(connection, selection, upto):
            export.add([row(fact, facts.fields(fact)) for fact in page])
            progress(page[-1].position, upto)
        return export.finish({**selection.described(), "upto": upto, "personal": with_personal})
