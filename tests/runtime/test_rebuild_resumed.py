"""Rebuilds whose process is killed are gone on with by whoever comes next, and make what an unbroken one makes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runtime.db import Writer
from runtime.facts import Fact
from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild import NoRun, RebuildRunning, cancel, rebuild, runs, shadow, verify
from runtime.rebuild import carriers as carriers_module
from runtime.rebuild.carriers import Carriers
from runtime.rebuild.orders import BEGUN_MAX, Order, carry_out, place, waiting
from runtime.settings import Settings
from runtime.store import new_id
from tests.campaigns import rebuilds
from tests.given import ACTOR, projected, rows_of
from tests.runtime.note_rebuild import command, rebuilding
from tests.runtime.notes import Note, make_projection

NOTES = "SELECT (SELECT array_agg(n::text ORDER BY n) FROM read.note n), (SELECT array_agg(l::text ORDER BY position) FROM read.note_line l)"  # noqa: E501
BATCH = 50
#: The number of a line in the fifth batch, and how many facts there are before that batch.
MARKED, BEFORE = 77, 200


@pytest.fixture
def projection(notes: Platform, monkeypatch: pytest.MonkeyPatch) -> Projection:
    """The notes' projection, caught up with 300 facts."""
    monkeypatch.setattr(shadow, "BATCH", BATCH)
    for number in range(75):
        note = Note.open(new_id())
        for line in (1, 2, MARKED if number == 55 else 3):
            note.add_line(line)
        notes.store(ACTOR).save(note)
    projection = make_projection()
    projected(notes, projection)
    return projection


def state(platform: Platform) -> runs.RunState:
    with platform.pool.connection() as connection:
        return runs.states(connection, "notes")[0]


def made(platform: Platform) -> int:
    ((position,),) = rows_of(platform, "SELECT made FROM es.rebuild WHERE name = 'notes'")
    return int(position)


def await_interruption(platform: Platform) -> None:
    """The server has noticed that the process is gone."""
    while state(platform).state != "interrupted":
        pass


def counting(projection: Projection) -> list[int]:
    """The positions of the lines that are handled from now on; the code of the handlers stays where it was."""
    seen, handle = list[int](), projection.handlers[Note.LineAdded]

    def line_added(fact: Fact[Note.LineAdded], db: Writer) -> None:
        seen.append(fact.position)
        handle(fact, db)

    line_added.__module__ = handle.__module__
    projection.handlers[Note.LineAdded] = line_added
    return seen


def test_a_killed_rebuild_goes_on_from_its_last_batch(
    notes: Platform, settings: Settings, projection: Projection
) -> None:
    before, seen = rows_of(notes, NOTES), counting(projection)
    with rebuilding(settings, BATCH, MARKED) as process:
        process.expect("in hand")  # in the middle of its fifth batch
        os.kill(process.pid, signal.SIGKILL)
    await_interruption(notes)
    assert made(notes) == BEFORE
    done = rebuild(notes, projection)
    assert (done.facts, done.before, done.rows) == (300, BEFORE, 300)
    assert min(seen) > BEFORE
    assert rows_of(notes, NOTES) == before
    assert (state(notes).state, state(notes).resumed, state(notes).facts) == ("done", 1, 300)
    assert rebuild(notes, projection).before == 0


def interrupt(platform: Platform, owner: psycopg.Connection[Any], begin: Callable[[], object]) -> None:
    """Take its session from a run that has four batches."""
    ending = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2"
    tell = runs.Run.moved

    def moved(run: runs.Run, position: int, target: int, facts: int) -> None:
        if position == BEFORE:
            owner.execute(ending)
        tell(run, position, target, facts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs.Run, "moved", moved)
        patch.setattr(runs, "TELL_S", 0)
        with pytest.raises(psycopg.OperationalError):
            begin()
    assert (state(platform).state, made(platform)) == ("interrupted", BEFORE)


@pytest.fixture
def interrupted(notes: Platform, projection: Projection, owner: psycopg.Connection[Any]) -> Projection:
    """One whose rebuild has lost its session with four batches made."""
    interrupt(notes, owner, lambda: rebuild(notes, projection))
    return projection


def test_a_verification_goes_on_with_the_copies_of_a_rebuild(notes: Platform, interrupted: Projection) -> None:
    seen = counting(interrupted)
    assert [check.differences for check in verify(notes, interrupted)] == [0, 0]
    assert min(seen) > BEFORE


def test_what_happened_meanwhile_is_in_the_tables(notes: Platform, interrupted: Projection) -> None:
    note = Note.open(new_id())
    note.add_line(5)
    notes.store(ACTOR).save(note)
    assert rebuild(notes, interrupted).facts == 302
    assert [check.differences for check in verify(notes, interrupted)] == [0, 0]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE es.rebuild SET program = 'the code of yesterday'",
        "ALTER TABLE read.note ADD COLUMN stars int",
        "CREATE INDEX ON read.note_line (number)",
        "DROP SCHEMA rebuild_notes CASCADE",
    ],
)
def test_other_code_and_tables_of_another_shape_begin_anew(
    notes: Platform, interrupted: Projection, owner: psycopg.Connection[Any], change: Any
) -> None:
    owner.execute(change)
    assert rebuild(notes, interrupted).before == 0
    assert [check.differences for check in verify(notes, interrupted)] == [0, 0]


def test_whoever_does_not_want_to_go_on_cancels(
    notes: Platform, interrupted: Projection, owner: psycopg.Connection[Any]
) -> None:
    before = rows_of(notes, NOTES)
    cancel(notes, interrupted)
    assert state(notes).state == "cancelled"
    assert owner.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'rebuild_notes'").fetchone() == (0,)
    assert rows_of(notes, NOTES) == before
    with pytest.raises(NoRun):
        cancel(notes, interrupted)
    assert rebuild(notes, interrupted).before == 0


def order(platform: Platform, kind: Any = "rebuild", **fields: Any) -> None:
    with platform.pool.connection() as connection, connection.cursor() as cursor:
        place(cursor, ["notes"], Order(kind, **fields))


def steer(platform: Platform, wanted: runs.Wish) -> None:
    with platform.pool.connection() as connection:
        runs.wish(connection, "notes", wanted)


def awaited(platform: Platform) -> list[str]:
    with platform.projector_pool.connection() as connection:
        return waiting(connection)


def test_an_order_waits_for_a_worker_and_is_placed_once(notes: Platform, projection: Projection) -> None:
    with pytest.raises(NoRun):
        carry_out(notes, projection)
    order(notes)
    assert (state(notes).state, awaited(notes)) == ("queued", ["notes"])
    with pytest.raises(RebuildRunning):
        order(notes)
    carry_out(notes, projection)
    assert (state(notes).state, awaited(notes)) == ("done", [])
    order(notes, "verify")
    carry_out(notes, projection)
    assert (state(notes).kind, state(notes).differences) == ("verify", 0)


def test_an_order_that_was_interrupted_waits_for_the_next_worker_unless_it_is_paused(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    order(notes)
    interrupt(notes, owner, lambda: carry_out(notes, projection))
    assert awaited(notes) == ["notes"]
    with pytest.raises(RebuildRunning):
        order(notes)
    steer(notes, "pause")
    assert (state(notes).state, awaited(notes)) == ("paused", [])
    steer(notes, "run")
    assert (state(notes).state, awaited(notes)) == ("interrupted", ["notes"])
    seen = counting(projection)
    carry_out(notes, projection)
    assert min(seen) > BEFORE
    assert state(notes).state == "done"


def test_one_that_nobody_ordered_is_handed_to_the_workers_when_it_is_resumed(
    notes: Platform, interrupted: Projection
) -> None:
    assert awaited(notes) == []
    with pytest.raises(NoRun):
        steer(notes, "pause")
    steer(notes, "run")
    assert awaited(notes) == ["notes"]


def test_an_order_that_ends_every_process_is_given_up(
    notes: Platform, projection: Projection, owner: psycopg.Connection[Any]
) -> None:
    order(notes)
    owner.execute("UPDATE es.rebuild SET state = 'running', begun = %s", (BEGUN_MAX,))
    assert awaited(notes) == []
    assert (state(notes).state, state(notes).error) == ("failed", "its process ended 3 times beyond position 0")


def test_a_worker_carries_orders_out_in_processes_that_end_with_it(
    notes: Platform, settings: Settings, projection: Projection
) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    carriers, now = Carriers(notes, lambda words: command(settings, BATCH, MARKED), env), datetime.now(UTC)
    order(notes)
    while made(notes) < BEFORE:  # nobody lets it pass the marked line
        carriers.look(now)
    carriers.close()
    await_interruption(notes)
    seen = counting(projection)
    carry_out(notes, projection)
    assert min(seen) > BEFORE


def test_a_worker_begins_what_waits_and_the_checks_of_the_night_once(
    notes: Platform, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carriers_module, "FIRST_CHECK_S", 0)
    begun = list[Sequence[str]]()

    def argv(words: Sequence[str]) -> Sequence[str]:
        begun.append(words)
        return ["sleep", "60"]

    carriers, now = Carriers(notes, argv, os.environ), datetime.now(UTC)
    try:
        carriers.look(now)
        assert begun == [("check", "--due")]
        order(notes)
        for _ in range(3):
            carriers.look(now)
        assert begun == [("check", "--due"), ("carry-out", "notes")]
    finally:
        carriers.close()


def test_kills_of_the_process_and_of_the_server_lose_nothing_and_begin_nothing_anew(tmp_path: Path) -> None:
    figures = rebuilds.campaign(tmp_path, ["kill_process", "kill_server"], seed=1, notes=100)
    assert figures.gone_on_with == 2
