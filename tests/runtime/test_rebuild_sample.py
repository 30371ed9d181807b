"""Nightly checks: a row that somebody changed behind the projector's back is found, by its night at the latest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from runtime.db import Writer
from runtime.facts import Fact
from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild import RebuildRunning
from runtime.rebuild.forgotten import drop_copies
from runtime.rebuild.sample import PARTS, Drift, check_sample, drifts, due
from runtime.rebuild.shadow import alone
from runtime.store import new_id
from runtime.telemetry import PROJECTION_CHECKED, PROJECTION_DRIFT
from runtime.worker_loop import WorkerLoop
from tests.given import ACTOR, projected, rows_of
from tests.runtime.notes import Note, make_projection

NOON = datetime(2031, 1, 1, 12, tzinfo=UTC)
NOTES = 12


def by_note() -> Projection:
    """The notes' projection, whose rows are of one note each."""
    projection = make_projection()
    projection.stream = "note_id"
    return projection


@pytest.fixture
def projection(notes: Platform) -> Projection:
    """That projection, caught up with notes of two lines."""
    for _ in range(NOTES):
        note = Note.open(new_id())
        note.add_line(1)
        note.add_line(2)
        notes.store(ACTOR).save(note)
    projection = by_note()
    projected(notes, projection)
    return projection


def part_of(platform: Platform, note_id: UUID) -> int:
    ((part,),) = rows_of(platform, "SELECT DISTINCT part FROM es.event WHERE stream_id = %s", [note_id])
    return int(part)


def a_note(platform: Platform) -> UUID:
    found: UUID = rows_of(platform, "SELECT note_id FROM read.note ORDER BY 1 LIMIT 1")[0][0]
    return found


def last_checked(owner: psycopg.Connection[Any], part: int) -> None:
    owner.execute("INSERT INTO es.drift VALUES ('notes', %s, 0, 0, NULL, %s)", (part, NOON - timedelta(days=1)))


def test_in_64_nights_every_row_is_compared_and_each_that_differs_found_once(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("UPDATE read.note SET lines = 7 WHERE note_id = %s", (a_note(notes),))
    owner.execute("DELETE FROM read.note_line WHERE position = (SELECT max(position) FROM read.note_line)")
    checks = [check_sample(notes, projection, NOON + timedelta(days=night)) for night in range(PARTS)]
    assert [check.part for check in checks] == list(range(PARTS))
    assert sum(check.rows for check in checks) == 3 * NOTES - 1
    assert sum(check.differences or 0 for check in checks) == 2 + 1
    assert check_sample(notes, projection, NOON + timedelta(days=PARTS)).part == 0
    assert rows_of(notes, "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^sample_'") == [(0,)]


@pytest.mark.parametrize(
    ("change", "differences"),
    [
        ("UPDATE read.note SET lines = 7 WHERE note_id = %s", 2),
        ("DELETE FROM read.note WHERE note_id = %s", 1),
        ("INSERT INTO read.note_line SELECT 10000, note_id, 5 FROM read.note WHERE note_id = %s", 1),
    ],
)
def test_a_row_changed_behind_the_projector_is_found_in_the_night_of_its_part(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any], change: Any, differences: int
) -> None:
    note_id = a_note(notes)
    owner.execute(change, (note_id,))
    part = part_of(notes, note_id)
    last_checked(owner, (part - 1) % PARTS)
    assert (check_sample(notes, projection, NOON).part, part_of(notes, note_id)) == (part, part)
    with notes.pool.connection() as connection:
        (drift,) = drifts(connection)
    assert (drift.differences, drift.checked_at) == (differences, NOON)


def test_a_projection_that_folds_over_streams_is_checked_whole(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    projection.stream = None
    assert check_sample(notes, projection, NOON) == Drift("notes", None, 3 * NOTES, 0, None, NOON)
    owner.execute("UPDATE read.note SET author = 'Eve' WHERE note_id = %s", (a_note(notes),))
    assert check_sample(notes, projection, NOON).differences == 2


def test_a_check_that_cannot_be_made_says_why(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    def broken(fact: Fact[Note.LineAdded], db: Writer) -> None:
        raise ZeroDivisionError

    projection.stream, projection.handlers[Note.LineAdded] = None, broken
    drift = check_sample(notes, projection, NOON)
    assert drift.differences is None
    assert drift.error is not None
    assert "note.line_added at position 2: ZeroDivisionError" in drift.error
    assert rows_of(notes, "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^sample_'") == [(0,)]


def test_what_a_killed_check_has_left_goes_with_an_erasure_and_one_that_runs_goes_on(
    notes: Platform, projection: Projection
) -> None:
    """Its copies show whoever was there when it began."""
    find = "SELECT count(*) FROM pg_tables WHERE schemaname = 'sample_notes'"
    with notes.projector_pool.connection() as connection, notes.projector_pool.connection() as other:
        connection.execute("CREATE SCHEMA sample_notes; CREATE TABLE sample_notes.note AS SELECT * FROM read.note")
        with alone(connection, "sample notes"):
            assert drop_copies(other) == 0
        assert rows_of(notes, find) == [(1,)]
        assert drop_copies(other) == 1
    assert rows_of(notes, find) == [(0,)]


def test_two_do_not_check_one_projection_at_once(notes: Platform, projection: Projection) -> None:
    with notes.projector_pool.connection() as connection, alone(connection, "sample notes"):
        with pytest.raises(RebuildRunning):
            check_sample(notes, projection, NOON)


def test_each_night_all_are_due_whose_parts_can_be_checked_and_one_of_the_others_in_turn(
    notes: Platform, owner: psycopg.Connection[Any]
) -> None:
    parted, first, second = by_note(), make_projection("first"), make_projection("second")
    checked = list[str]()
    for hours in (0, 1, 15, 17, 40, 41, 64):  # of noon: 04:00 of the next day is 16 hours later
        now = NOON + timedelta(hours=hours)
        with notes.pool.connection() as connection:
            names = [one.name for one in due(connection, [parted, first, second], now)]
        checked.append(" ".join(names))
        for name in names:
            owner.execute(
                "INSERT INTO es.drift VALUES (%s, NULL, 0, 0, NULL, %s) ON CONFLICT (name)"
                " DO UPDATE SET checked_at = excluded.checked_at",
                (name, now),
            )
    assert checked == ["notes first", "", "", "notes second", "notes first", "", "notes second"]


def test_workers_show_the_drift_as_a_metric(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    projection.stream = None
    owner.execute("DELETE FROM read.note_line")
    check_sample(notes, projection, NOON)
    WorkerLoop(notes, notes.followers)._look(retry_halted=True)
    assert PROJECTION_DRIFT.labels("notes")._value.get() == 2 * NOTES
    assert PROJECTION_CHECKED.labels("notes")._value.get() == NOON.timestamp()
