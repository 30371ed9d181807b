"""Rebuilding: what comes out equals what grew, while the site goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild import (
    NoStandby,
    RebuildCancelled,
    RebuildFailed,
    RebuildRunning,
    TableCheck,
    drop,
    rebuild,
    roll_back,
    runs,
    shadow,
    swap,
    verify,
)
from runtime.rebuild.forgotten import drop_copies
from runtime.store import new_id
from tests.given import ACTOR, projected, rows_of
from tests.runtime.notes import Note, make_projection

EVERYTHING = "SELECT (SELECT array_agg(n::text ORDER BY n) FROM read.note n), (SELECT array_agg(l::text) FROM (SELECT * FROM read.note_line ORDER BY position) l)"  # noqa: E501


@pytest.fixture
def projection(notes: Platform, monkeypatch: pytest.MonkeyPatch) -> Projection:
    """The notes' projection, caught up with 200 notes of three lines."""
    monkeypatch.setattr(shadow, "BATCH", 150)
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


def test_a_rebuild_hands_over_batches_too_and_says_which_fact_of_one_failed(
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
    position = rows_of(notes, "SELECT min(position) FROM read.note_line WHERE number = 2")[0][0]
    with pytest.raises(RebuildFailed, match=f"note.line_added at position {position}: ZeroDivisionError"):
        rebuild(notes, fresh)


def test_a_rebuild_shows_the_last_facts_before_the_first_and_knows_what_that_wrote(
    notes: Platform, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "LAST", 8)
    foresighted, seen = make_projection(), list[tuple[str, int]]()
    handle, opened = foresighted.handlers[Note.Opened], list[Any]()

    @foresighted.foresee
    def last(facts: Sequence[AnyFact], db: Writer) -> None:
        seen.extend((fact.topic, fact.version) for fact in facts)
        for fact in facts:
            if isinstance(fact.event, Note.Opened):
                opened.append(fact.stream_id)
                handle(fact, db)

    def open_once(fact: Fact[Note.Opened], db: Writer) -> None:
        if fact.stream_id not in opened:
            handle(fact, db)

    foresighted.handlers[Note.Opened] = open_once
    assert [check.differences for check in verify(notes, foresighted)] == [0, 0]
    lines = [("note.line_added", 2), ("note.line_added", 3), ("note.line_added", 4)]
    assert seen == [("note.opened", 1), *lines] * 2


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


def test_a_key_that_is_made_last_is_there_in_the_end_and_finds_what_is_there_twice(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    fresh = Projection("notes", "note", "note_line", keyed_last=("note_line",))
    fresh.handlers |= projection.handlers
    keys = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'read.note_line'::regclass"
    before = owner.execute(keys).fetchall()
    assert [check.differences for check in verify(notes, fresh)] == [0, 0]
    rebuild(notes, fresh)
    assert owner.execute(keys).fetchall() == before
    last = rows_of(notes, "SELECT max(position) FROM read.note_line")[0][0]
    handle = projection.handlers[Note.LineAdded]

    def twice(fact: Fact[Note.LineAdded], db: Writer) -> None:
        handle(fact, db)
        if fact.position == last:
            handle(fact, db)

    fresh.handlers[Note.LineAdded] = twice
    with pytest.raises(RebuildFailed, match=rf"notes makes a row of note_line twice: Key .*\({last}\) is"):
        rebuild(notes, fresh)
    assert owner.execute(keys).fetchall() == before


def test_indexes_that_were_made_for_a_batch_that_failed_are_made_again(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Handlers that look around get their indexes early, in the transaction of the batch, which is repeated."""
    monkeypatch.setattr(shadow, "BATCH", 400)
    indexes = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'read' ORDER BY 1"
    fresh, failures, early = Projection("notes", "note", "note_line"), iter([ZeroDivisionError()]), set[str]()
    fresh.on(Note.Opened)(projection.handlers[Note.Opened])

    @fresh.on(Note.LineAdded)
    def line_added(fact: Fact[Note.LineAdded], db: Writer) -> None:
        db.execute("UPDATE note SET author = author WHERE author = 'nobody' AND lines > %s", (fact.event.number,))
        for failure in failures:
            raise failure
        early.update(name for (name,) in db.rows("SELECT indexname FROM pg_indexes WHERE schemaname = 'rebuild_notes'"))
        projection.handlers[Note.LineAdded](fact, db)

    before = owner.execute(indexes).fetchall()
    assert rebuild(notes, fresh).rows == 800
    assert next(failures, None) is None
    assert "note_author_and_lines" in early, "long before the end, which makes all of them"
    assert owner.execute(indexes).fetchall() == before


@pytest.mark.parametrize("again", [rebuild, roll_back])
def test_tables_reach_the_standby_and_indexes_get_their_names_by_the_next_swap_at_the_latest(
    notes: Platform,
    projection: Projection,
    owner: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
    again: Callable[[Platform, Projection], object],
) -> None:
    names = "SELECT indexname FROM pg_indexes WHERE schemaname IN ('read', 'standby_notes') AND tablename ~ '^note'"
    before = sorted(owner.execute(names).fetchall())

    swapped_and_killed(notes, projection, monkeypatch)
    assert {("note_pkey~",), ("note_author_and_lines~",)} <= set(owner.execute(names).fetchall())
    assert tables_in(owner, "standby_notes") == []
    assert state_is(notes) == "done"  # the tables are the new ones, whatever their indexes are called
    again(notes, projection)
    assert sorted(owner.execute(names).fetchall()) == sorted(2 * before)
    assert tables_in(owner, "standby_notes") == tables_in(owner, "read") == ["note", "note_line"]


def swapped_and_killed(platform: Platform, projection: Projection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rebuild whose process ends when the tables have changed places."""
    settled, before = swap.settle, iter([True])  # it is called at the beginning, too

    def settle(connection: psycopg.Connection[Any], projection: Projection) -> None:
        if not next(before, False):
            raise KeyboardInterrupt
        settled(connection, projection)

    with monkeypatch.context() as patch:
        patch.setattr(swap, "settle", settle)
        with pytest.raises(KeyboardInterrupt):
            rebuild(platform, projection)


def tables_in(owner: psycopg.Connection[Any], schema: str) -> list[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename ~ '^note' ORDER BY 1"
    return [str(name) for (name,) in owner.execute(query, (schema,)).fetchall()]


def test_an_erasure_removes_old_tables_that_a_killed_process_left_on_their_way(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    swapped_and_killed(notes, projection, monkeypatch)
    assert tables_in(owner, "read") == ["note", "note-notes", "note_line", "note_line-notes"]
    with notes.projector_pool.connection() as connection:
        assert drop_copies(connection) == 2  # with the schema in which the new ones were made
    assert tables_in(owner, "read") == ["note", "note_line"]
    assert verify(notes, projection) == [TableCheck("note", 200, 0), TableCheck("note_line", 600, 0)]


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
    monkeypatch.setattr(swap, "LOCK_ATTEMPTS", 2)
    monkeypatch.setattr(swap, "HOLD_PAUSE_S", 0.05)
    with ThreadPoolExecutor(1) as threads, notes.pool.connection() as reader:
        with reader.transaction():
            reader.execute("SELECT count(*) FROM read.note")
            running = threads.submit(rebuild, notes, projection)
            write_note(notes)  # read by an attempt that comes to nothing, and by the one that succeeds
            with pytest.raises(TimeoutError):
                running.result(1)
            assert reader.execute("SELECT count(*) FROM read.note").fetchone() == (200,)
        assert running.result(10).rows == 804
    assert verify(notes, projection) == [TableCheck("note", 201, 0), TableCheck("note_line", 603, 0)]


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


def test_a_rollback_puts_the_tables_of_before_back_and_a_second_one_undoes_it(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("DELETE FROM read.note_line")
    rebuild(notes, projection)
    write_note(notes)
    projected(notes, projection)
    lines = "SELECT count(*) FROM read.note_line"
    assert rows_of(notes, lines) == [(603,)]
    before = roll_back(notes, projection)
    assert rows_of(notes, lines) == [(0,)]
    assert rows_of(notes, "SELECT position FROM es.follower WHERE name = 'notes'") == [(before,)]
    projected(notes, projection)
    assert rows_of(notes, lines) == [(3,)]  # what came after the standby was left is brought up to date
    roll_back(notes, projection)
    assert rows_of(notes, lines) == [(603,)]
    assert [check.differences for check in verify(notes, projection)] == [0, 0]


def test_there_is_no_rollback_without_a_standby_or_to_tables_of_another_shape(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    with pytest.raises(NoStandby):
        roll_back(notes, projection)
    rebuild(notes, projection)
    owner.execute("ALTER TABLE read.note ADD COLUMN stars int")
    with pytest.raises(NoStandby):
        roll_back(notes, projection)
    assert drop(notes, projection)
    assert not drop(notes, projection)
    assert owner.execute("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^standby_'").fetchone() == (0,)


def test_dead_letters_go_and_come_back_with_the_tables_that_are_without_them(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    owner.execute(
        "INSERT INTO es.dead_letter (follower, position, stream_id, parked, error, attempts)"
        " SELECT f, 7, gen_random_uuid(), true, 'é', 3 FROM unnest(ARRAY['notes', 'others']) AS f"
    )
    letters = "SELECT follower, position, parked, error, attempts, at FROM es.dead_letter ORDER BY 1"
    before = rows_of(notes, letters)
    rebuild(notes, projection)
    assert rows_of(notes, letters) == before[1:]
    roll_back(notes, projection)
    assert rows_of(notes, letters) == before
    roll_back(notes, projection)
    assert rows_of(notes, letters) == before[1:]


def test_verify_names_rows_that_differ_with_their_columns(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    ((first, second),) = rows_of(notes, "SELECT min(position), max(position) FROM read.note_line")
    owner.execute("UPDATE read.note_line SET number = 77 WHERE position = %s", (first,))
    owner.execute("DELETE FROM read.note_line WHERE position = %s", (second,))
    owner.execute("INSERT INTO read.note_line SELECT 1000000, note_id, 5 FROM read.note LIMIT 1")
    note, line = verify(notes, projection, examples=10)
    assert (note.differences, note.examples) == (0, ())
    assert line.differences == 4
    found = {example.key["position"]: (example.live, example.rebuilt) for example in line.examples}
    assert found.keys() == {first, second, 1000000}
    assert found[first] == ({"number": 77}, {"number": 1})
    assert found[second][0] is None
    assert found[1000000][1] is None
    assert len(verify(notes, projection, examples=1)[1].examples) == 1


def test_a_rebuild_says_how_far_it_is_and_stops_while_a_pause_is_wanted(
    notes: Platform, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "TELL_S", 0)
    seen = list[runs.RunState]()

    def state() -> runs.RunState:
        with notes.projector_pool.connection() as connection:
            return runs.states(connection, "notes")[0]

    def ask(wanted: runs.Wish) -> None:
        with notes.projector_pool.connection() as connection:
            runs.wish(connection, "notes", wanted)

    def pause_once(position: int, head: int) -> None:
        seen.append(state())
        if len(seen) == 2:
            ask("pause")

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(rebuild, notes, projection, pause_once)
        while state_is(notes) != "paused":
            assert not running.done()
        paused = state()
        assert paused.position == 300
        with pytest.raises(TimeoutError):
            running.result(0.5)
        assert state() == paused
        ask("run")
        assert running.result(20).rows == 800
    assert [(one.state, one.position) for one in seen[:3]] == [("running", 0), ("running", 150), ("running", 300)]
    assert seen[2].target == 800
    assert seen[2].rate > 0
    assert seen[2].eta_s is not None
    assert (state().state, state().facts, state().eta_s) == ("done", 800, None)


def state_is(platform: Platform) -> str | None:
    with platform.projector_pool.connection() as connection:
        return next((one.state for one in runs.states(connection, "notes")), None)


def test_a_cancelled_rebuild_leaves_the_live_tables_and_nothing_else(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "TELL_S", 0)
    before = rows_of(notes, EVERYTHING)

    def cancel(position: int, head: int) -> None:
        with notes.projector_pool.connection() as connection:
            runs.wish(connection, "notes", "cancel")

    with pytest.raises(RebuildCancelled):
        rebuild(notes, projection, cancel)
    assert state_is(notes) == "cancelled"
    assert rows_of(notes, EVERYTHING) == before
    assert owner.execute("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^(rebuild|standby)_'").fetchone() == (0,)
    with pytest.raises(RebuildFailed), notes.projector_pool.connection() as connection:
        runs.wish(connection, "notes", "pause")


def test_a_rebuild_whose_process_was_killed_is_interrupted_and_begins_again(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    def kill(position: int, head: int) -> None:
        owner.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2")

    with pytest.raises(psycopg.OperationalError):
        rebuild(notes, projection, kill)
    assert state_is(notes) == "interrupted"
    assert owner.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'rebuild_notes'").fetchone() == (1,)
    assert rebuild(notes, projection).rows == 800
    assert state_is(notes) == "done"


def test_a_rebuild_lets_live_projections_that_fall_behind_go_first(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "TELL_S", 0)
    monkeypatch.setattr(runs, "LAG_S", 0)
    seen = set[bool]()

    def look(position: int, head: int) -> None:
        with notes.projector_pool.connection() as connection:
            seen.add(runs.states(connection, "notes")[0].throttled)

    rebuild(notes, projection, look)
    assert seen == {False}  # a follower that does not move has nothing of a pause
    owner.execute("INSERT INTO es.follower (name, position, moved_at) VALUES ('other', 1, now() + interval '1 hour')")
    rebuild(notes, projection, look)
    assert seen == {False, True}
