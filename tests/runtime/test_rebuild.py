"""Rebuilding: what comes out equals what grew, while the site goes on."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from runtime import rebuild as rebuilding
from runtime.db import Writer
from runtime.facts import Fact
from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild import RebuildFailed, RebuildRunning, TableCheck, rebuild, verify
from runtime.store import new_id
from tests.given import ACTOR, projected, rows_of
from tests.runtime.notes import Note, make_projection

EVERYTHING = "SELECT (SELECT array_agg(n::text ORDER BY n) FROM read.note n), (SELECT array_agg(l::text) FROM (SELECT * FROM read.note_line ORDER BY position) l)"  # noqa: E501


@pytest.fixture
def projection(notes: Platform, monkeypatch: pytest.MonkeyPatch) -> Projection:
    """The notes' projection, caught up with 200 notes of three lines."""
    monkeypatch.setattr(rebuilding, "BATCH", 150)
    for _ in range(200):
        write_note(notes)
    found = notes.followers[0]
    assert isinstance(found, Projection)
    projected(notes, found)
    return found


def write_note(platform: Platform) -> None:
    note = Note.open(new_id())
    for number in (1, 2, 3):
        note.add_line(number)
    platform.store(ACTOR).save(note)


def test_a_rebuilt_table_equals_the_live_one(notes: Platform, projection: Projection) -> None:
    before = rows_of(notes, EVERYTHING)
    seen: list[tuple[int, int]] = []
    done = rebuild(notes, projection, lambda position, head: seen.append((position, head)))
    assert (done.tables, done.rows, done.facts) == (2, 800, 800)
    assert rows_of(notes, EVERYTHING) == before
    assert seen[-1][0] == seen[-1][1]
    assert len(seen) >= 6


def test_a_rebuild_hands_over_batches_too_and_says_between_which_positions_one_failed(
    notes: Platform, projection: Projection
) -> None:
    fresh, batches, bug = Projection("notes", "note", "note_line"), list[int](), set[int]()
    handle = projection.handlers[Note.LineAdded]
    fresh.on(Note.Opened)(projection.handlers[Note.Opened])

    @fresh.on_batch(Note.LineAdded, at_once=1000, size=lambda event: event.number)
    def lines_added(facts: Sequence[Fact[Note.LineAdded]], db: Writer) -> None:
        batches.append(len(facts))
        for fact in facts:
            handle(fact, db)
            if fact.event.number in bug:
                raise ZeroDivisionError

    assert [check.differences for check in verify(notes, fresh)] == [0, 0]
    assert max(batches) == 3
    bug.add(2)
    with pytest.raises(RebuildFailed, match=r"note.line_added between positions \d+ and \d+: ZeroDivisionError"):
        rebuild(notes, fresh)


def test_verify_counts_nothing_when_live_and_rebuilt_are_equal(notes: Platform, projection: Projection) -> None:
    assert verify(notes, projection) == [TableCheck("note", 200, 0), TableCheck("note_line", 600, 0)]


def test_verify_counts_changed_missing_and_surplus_rows(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("UPDATE read.note SET lines = 0 WHERE note_id = (SELECT min(note_id::text)::uuid FROM read.note)")
    owner.execute("DELETE FROM read.note_line WHERE position = (SELECT min(position) FROM read.note_line)")
    assert [check.differences for check in verify(notes, projection)] == [2, 1]
    rebuild(notes, projection)
    assert [check.differences for check in verify(notes, projection)] == [0, 0]


def test_verify_compares_at_the_position_of_a_projection_that_lags(notes: Platform, projection: Projection) -> None:
    write_note(notes)
    assert verify(notes, projection) == [TableCheck("note", 200, 0), TableCheck("note_line", 600, 0)]


def test_tables_keep_their_indexes_and_their_readers(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    indexes = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'read' ORDER BY 1"
    grants = (
        "SELECT table_name, grantee, privilege_type FROM information_schema.role_table_grants"
        " WHERE table_schema = 'read' AND table_name LIKE 'note%' ORDER BY 1, 2, 3"
    )
    storage = "SELECT relname, reloptions FROM pg_class WHERE relnamespace = 'read'::regnamespace AND relname ~ '^note'"
    owner.execute("ALTER TABLE read.note SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.1)")
    before = [owner.execute(query).fetchall() for query in (indexes, grants, f"{storage} ORDER BY 1")]
    rebuild(notes, projection)
    assert [owner.execute(query).fetchall() for query in (indexes, grants, f"{storage} ORDER BY 1")] == before
    assert ("note", ["fillfactor=70", "autovacuum_vacuum_scale_factor=0.1"]) in before[2]
    assert owner.execute("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^(rebuild|retired)_'").fetchone() == (0,)


def test_events_that_arrive_during_a_rebuild_are_in_the_new_tables(notes: Platform, projection: Projection) -> None:
    stop = threading.Event()

    def live() -> int:
        written = 0
        while not stop.is_set():
            write_note(notes)
            written += 1
            projected(notes, projection)
        return written

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(live)
        for _ in range(3):
            rebuild(notes, projection)
        stop.set()
        written = writing.result(20)
    projected(notes, projection)
    assert written > 0
    assert verify(notes, projection) == [
        TableCheck("note", 200 + written, 0),
        TableCheck("note_line", 600 + 3 * written, 0),
    ]


def test_a_reader_with_a_long_query_delays_the_swap_and_is_not_disturbed(
    notes: Platform, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "LOCK_TIMEOUT", "100ms")
    monkeypatch.setattr(rebuilding, "LOCK_PAUSE_S", 0.01)
    with ThreadPoolExecutor(1) as threads, notes.pool.connection() as reader:
        with reader.transaction():
            reader.execute("SELECT count(*) FROM read.note")
            running = threads.submit(rebuild, notes, projection)
            with pytest.raises(TimeoutError):
                running.result(0.3)
            assert reader.execute("SELECT count(*) FROM read.note").fetchone() == (200,)
        assert running.result(10).rows == 800


def test_two_rebuilds_of_one_projection_do_not_run_at_once(notes: Platform, projection: Projection) -> None:
    def again(position: int, head: int) -> None:
        with pytest.raises(RebuildRunning):
            verify(notes, projection)

    assert rebuild(notes, projection, again).rows == 800


def test_a_fact_that_cannot_be_handled_is_named_and_the_live_tables_stay(
    notes: Platform, projection: Projection
) -> None:
    broken = make_projection()

    @broken.on(Note.Closed)
    def closed(fact: Fact[Note.Closed], db: Writer) -> None:
        raise ZeroDivisionError("a bug")

    note = Note.open(new_id())
    note.close()
    position = notes.store(ACTOR).save(note).position
    projected(notes, projection)
    before = rows_of(notes, EVERYTHING)
    with pytest.raises(RebuildFailed, match=f"note.closed at position {position}: ZeroDivisionError"):
        rebuild(notes, broken)
    assert rows_of(notes, EVERYTHING) == before
    assert rebuild(notes, projection).rows == 801


def test_a_rebuild_heals_a_halted_projection(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("DELETE FROM read.note")
    owner.execute("UPDATE es.follower SET state = 'halted', error = 'x', failed_position = 1 WHERE name = 'notes'")
    rebuild(notes, projection)
    assert owner.execute("SELECT state, error, failed_position FROM es.follower").fetchall() == [
        ("running", None, None)
    ]
    assert rows_of(notes, "SELECT count(*) FROM read.note") == [(200,)]
