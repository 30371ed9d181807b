"""A site whose log lies in small partitions, which can be moved into files."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import typer
from typer.testing import CliRunner

from runtime.cli.audit import audit_commands
from runtime.cli.events import events_commands
from runtime.cli.main import EXPECTED
from runtime.event_archive import move
from runtime.event_archive.archive import Piece
from runtime.export.selection import SelectedFacts, Selection
from runtime.facts import FactLog
from runtime.platform import Platform
from runtime.projection import Policy, Projection
from runtime.rebuild.sample import PARTS
from tests.audit_chain.sealed import sealed
from tests.conftest import MakePlatform
from tests.given import projected
from tests.runtime.notes import KINDS, Note, create_tables, make_projection
from tests.runtime.test_partitions import SIZE, Owner, written

FIRST = 60_000_000
#: Reads every fact with its causes.
READER = Policy("reader")
READER.on(*KINDS)(lambda fact, store: None)


class Site:
    """Thirty events of six notes in four partitions, sealed and projected; the archive is below the data directory."""

    def __init__(self, notes: Platform, projection: Projection, owner: Owner) -> None:
        self.notes, self.projection, self.owner = notes, projection, owner
        self.root = notes.settings.data_dir / "archive"
        self.streams = written(notes, owner)
        projected(notes, projection)
        sealed(notes)

    def archive(self, before: int = 2**62) -> list[Piece]:
        with self.notes.projector_pool.connection() as connection:
            parts = [part for part in move.closed(connection) if part.ends <= before]
            return [piece for part in parts if (piece := move.archive(connection, self.root, part))]

    def seen(self) -> dict[str, Any]:
        """Everything that readers of the log get, each in its own way."""
        notes, log = self.notes, FactLog(self.notes.history)
        notes.history.repository.cache = None
        selected = SelectedFacts(notes.history, KINDS, with_personal=True)
        with notes.pool.connection() as connection:
            safe = log.safe_position(connection)
            batches, after = list[Any](), 0
            while page := log.read(connection, after, safe, None, 4):
                batches, after = batches + page, page[-1].position
            stats = selected.stats(connection, Selection(), safe)
            return {
                "batches": batches,
                "one topic": log.read(connection, 0, safe, ["note.opened"], 3),
                "by parts": [log.read(connection, 0, safe, None, 100, part) for part in range(PARTS)],
                "in the middle": log.read(connection, FIRST + 5, FIRST + 9, None, 100),
                "for a projection": log.read_for(self.projection, connection, 0, safe, 100),
                "for a policy": [log.fact(one) for one in log.entries_for(READER, connection, 0, safe, 100)],
                "at": [log.fact(one) for one in log.at(connection, [FIRST + 20, FIRST + 1, 5])],
                "of a stream": log.of_stream(connection, self.streams[0], FIRST + 20, ["note.line_added"]),
                "streams": [list(log.stream(one)) for one in self.streams],
                "beside": [log.streams_beside(connection, one, ["note.opened"]) for one in self.streams],
                "aggregates": [vars(notes.history.aggregate(Note, one)) for one in self.streams],
                "older": [notes.history.aggregate(Note, one, 2).lines for one in self.streams],
                "last": [self.recorded(one, desc=True, limit=2) for one in self.streams],
                "some": [self.recorded(one, gt=1, lte=4) for one in self.streams],
                "pages": [one for page in selected.pages(connection, Selection(first=FIRST + 3), safe) for one in page],
                "newest": selected.newest(connection, Selection(), safe, 17),
                "newest of a stream": selected.newest(connection, Selection(stream_id=self.streams[1]), safe, 4),
                "stats": (stats.total, stats.types, stats.days, stats.first, stats.last),
                "nothing": selected.newest(connection, Selection(until=datetime(2020, 1, 1, tzinfo=UTC)), safe, 5),
            }

    def recorded(self, stream_id: UUID, **how: Any) -> Any:
        return list(self.notes.history.types.select_events(stream_id, **how))

    def in_table(self) -> list[tuple[Any, ...]]:
        return self.owner.execute("SELECT * FROM es.event ORDER BY position").fetchall()


def thirty_events(make_platform: MakePlatform, owner: Owner) -> Site:
    """A new one; nothing is archived."""
    owner.execute(f"SELECT setval('es.position', {FIRST - 1})".encode())
    owner.execute(f"SELECT es.cover_events({FIRST}, {FIRST}, {SIZE})".encode())
    create_tables(owner)
    projection = make_projection()
    return Site(make_platform(KINDS, (projection,)), projection, owner)


class Shell:
    def __init__(self, platform: Platform) -> None:
        self.app = typer.Typer()
        self.app.add_typer(events_commands(lambda: nullcontext(platform), KINDS), name="events")
        self.app.add_typer(audit_commands(lambda: nullcontext(platform)), name="audit")

    def __call__(self, *words: object, code: int = 0) -> str:
        result = CliRunner().invoke(self.app, [str(word) for word in words], env={"COLUMNS": "200"})
        assert result.exit_code == code, (result.output, result.exception)
        return result.stdout

    def refused(self, *words: object) -> str:
        error = CliRunner().invoke(self.app, [str(word) for word in words]).exception
        assert isinstance(error, EXPECTED), repr(error)
        return str(error)
