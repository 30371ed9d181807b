"""A history brought at once is a history like any other: versions, positions, commands, ciphertext, read models."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from runtime import bulk_import
from runtime.bulk_import import Imported, ImportedCommand, import_commands
from runtime.facts import FactLog
from runtime.platform import Platform
from runtime.rebuild import verify
from runtime.recorder import StreamConflict
from runtime.store import NOBODY, ActorMissing, AlreadyDone, VersionConflict, new_id, unbound_metadata
from tests.given import ACTOR, projected, rows_of
from tests.runtime.notes import Note
from tests.runtime.test_recorder import tail

pytestmark = pytest.mark.engine

LINES = 4


def made_up(count: int, actor_id: UUID = ACTOR) -> list[ImportedCommand]:
    """Notes, each opened by one command and filled by a second one."""
    commands = []
    for _ in range(count):
        note = Note.open(new_id(), "Ada Lovelace")
        commands.append(ImportedCommand(unbound_metadata(actor_id, "import"), note.collect_events()))
        for number in range(LINES):
            note.add_line(number)
        commands.append(ImportedCommand(unbound_metadata(actor_id, "import"), note.collect_events()))
    return commands


def test_what_is_imported_is_what_appends_would_have_made(notes: Platform) -> None:
    commands = made_up(30)
    done = import_commands(notes, commands, events_at_once=37)
    assert (done.commands, done.events, done.known) == (60, 150, 0)
    facts = list(FactLog(notes.history).stream(commands[0].events[0].originator_id))
    assert [fact.event for fact in facts] == [*commands[0].events, *commands[1].events]
    assert {(fact.origin, fact.actor_id) for fact in facts} == {("import", ACTOR)}
    log = rows_of(notes, "SELECT position, stream_id, version, part, command_id FROM es.event ORDER BY position")
    wanted = [
        (event.originator_id, event.originator_version, command.metadata.command_id)
        for command in commands
        for event in command.events
    ]
    assert [(stream_id, version, command_id) for _, stream_id, version, _, command_id in log] == wanted
    assert [row[0] for row in log] == list(range(1, 151))
    assert done.last_position == 150
    computed = "SELECT count(*) FROM es.event WHERE part <> hashtextextended(stream_id::text, 0) & 63"
    assert rows_of(notes, computed) == [(0,)]


def test_commands_have_their_rows_and_no_other(notes: Platform) -> None:
    commands = made_up(3)
    import_commands(notes, commands)
    kept = rows_of(notes, "SELECT command_id, first_position, last_position FROM es.command ORDER BY 2")
    assert kept == [
        (c.metadata.command_id, first, first + len(c.events) - 1)
        for c, first in zip(commands, [1, 2, 6, 7, 11, 12], strict=True)
    ]
    with pytest.raises(AlreadyDone):
        notes.store(ACTOR, metadata=commands[0].metadata).save(Note.open(new_id()))


def test_streams_go_on_by_ordinary_commands_and_by_further_imports(notes: Platform) -> None:
    first, second = made_up(1)
    import_commands(notes, [first])
    note = notes.store(ACTOR).get(Note, first.events[0].originator_id)
    import_commands(notes, [second])
    note.add_line(1)
    with pytest.raises(VersionConflict):
        notes.store(ACTOR).save(note)
    again = notes.store(ACTOR).get(Note, note.id)
    assert again.version == 1 + LINES
    again.close()
    notes.store(ACTOR).save(again)
    assert notes.store(ACTOR).get(Note, note.id).closed


def test_read_models_of_an_import_verify(notes: Platform) -> None:
    import_commands(notes, made_up(20))
    projection = notes.followers[0]
    projected(notes, projection)
    assert rows_of(notes, "SELECT count(*), min(author) FROM read.note") == [(20, "Ada Lovelace")]
    assert rows_of(notes, "SELECT count(*) FROM es.event WHERE data::text LIKE '%%Lovelace%%'") == [(0,)]
    assert all(table.differences == 0 for table in verify(notes, projection))  # type: ignore[arg-type]


def test_a_repeated_import_adds_only_what_is_missing(notes: Platform) -> None:
    commands = made_up(10)
    import_commands(notes, commands[:13])
    done = import_commands(notes, commands, events_at_once=7)
    assert (done.commands, done.known) == (7, 13)
    assert rows_of(notes, "SELECT count(*), count(DISTINCT (stream_id, version)) FROM es.event") == [(50, 50)]


@pytest.mark.parametrize("wrong", ["missing", "twice", "taken"])
def test_a_version_that_does_not_follow_is_refused_and_nothing_of_its_batch_comes_in(
    notes: Platform, wrong: str
) -> None:
    good, (opening, filling) = made_up(5), made_up(1)
    bad = [filling] if wrong == "missing" else [opening, ImportedCommand(good[0].metadata, opening.events)]
    if wrong == "taken":
        import_commands(notes, [opening])
        bad = [ImportedCommand(unbound_metadata(ACTOR, "import"), opening.events)]
    before = rows_of(notes, "SELECT count(*) FROM es.event")
    with pytest.raises(StreamConflict):
        import_commands(notes, [*good[2:], *bad])
    assert rows_of(notes, "SELECT count(*) FROM es.event") == before


def test_nobody_is_no_actor(notes: Platform) -> None:
    with pytest.raises(ActorMissing):
        import_commands(notes, made_up(1, NOBODY))
    assert rows_of(notes, "SELECT count(*) FROM es.event") == [(0,)]


def test_batches_of_a_broken_run_stay_and_progress_tells_them(notes: Platform) -> None:
    told = list[Imported]()

    def breaking() -> Iterator[ImportedCommand]:
        yield from made_up(4)
        raise OSError("the other tracker's dump ends here")

    with pytest.raises(OSError, match="dump"):
        import_commands(notes, breaking(), events_at_once=10, progress=told.append)
    assert [done.events for done in told] == [10, 20]
    assert rows_of(notes, "SELECT count(*) FROM es.event") == [(20,)]


def test_no_reader_passes_an_import_that_has_not_committed(notes: Platform) -> None:
    """Two imports and two ordinary writers at once, and a follower that reads all the while."""
    stop = threading.Event()

    def save(count: int) -> None:
        for _ in range(count):
            notes.store(ACTOR).save(Note.open(new_id()))

    with ThreadPoolExecutor(5) as threads:
        tailing = threads.submit(tail, notes, stop)
        importing = [threads.submit(import_commands, notes, made_up(300), events_at_once=200) for _ in range(2)]
        saving = [threads.submit(save, 150) for _ in range(2)]
        for imported in importing:
            imported.result(60)
        for saved in saving:
            saved.result(60)
        stop.set()
        seen = tailing.result(30)
    positions = [row[0] for row in rows_of(notes, "SELECT position FROM es.event ORDER BY position")]
    assert len(positions) == 2 * 300 * (1 + LINES) + 2 * 150
    assert seen == positions


def test_the_default_batch_is_bounded() -> None:
    batches = list(bulk_import._batches((command for command in made_up(50)), 100))
    assert [sum(len(c.events) for c in batch) for batch in batches] == [100, 100, 50]
