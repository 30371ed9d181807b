"""A fact that kills whoever handles it: it is found within three deaths, and the others are handled."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from subprocess import TimeoutExpired
from typing import Any

import psycopg
import pytest

from runtime import attempts as attempts_module
from runtime import program
from runtime.attempts import SUSPECTS, Attempts
from runtime.db import Writer
from runtime.dead_letters import dead_letters
from runtime.facts import Fact
from runtime.follow import Engine, Step
from runtime.follower_settings import resume, set_on_error
from runtime.platform import Platform
from runtime.projection import OnError, Projection
from runtime.settings import Settings
from runtime.store import new_id
from tests.given import ACTOR, rows_of
from tests.runtime.note_worker import LETHAL, running
from tests.runtime.notes import Note, make_projection

#: What a task may cost before it is parked.
DEATHS_MAX = 3


class Death(BaseException):
    """Nothing of ours is left to catch it, as after SIGKILL."""


def lethal(name: str = "notes") -> Projection:
    """The notes' projection, whose process dies of some lines."""
    projection = make_projection(name)
    handle = projection.handlers[Note.LineAdded]

    def line_added(fact: Fact[Note.LineAdded], db: Writer) -> None:
        if fact.event.number == LETHAL:
            raise Death
        handle(fact, db)

    projection.handlers[Note.LineAdded] = line_added
    return projection


def write(platform: Platform, *numbers: int) -> None:
    """A note for each of these lines."""
    for number in numbers:
        note = Note.open(new_id())
        note.add_line(number)
        platform.store(ACTOR).save(note)


def worker(platform: Platform) -> Engine:
    """The engine of a process of its own."""
    return platform.engine(Attempts(platform.projector_pool))


def lives(drain: Callable[[], Step]) -> Step | None:
    try:
        return drain()
    except Death:
        return None


def deaths(platform: Platform, projection: Projection) -> int:
    """How many workers, one after the other, it takes until one is left."""
    count = 0
    while lives(lambda: worker(platform).drain(projection)) is None:
        count += 1
        assert count <= DEATHS_MAX
    return count


def notes_left(platform: Platform) -> int:
    ((count,),) = rows_of(platform, "SELECT count(*) FROM es.attempt")
    return int(count)


@pytest.mark.parametrize("before", [0, 5, 40])
def test_a_fact_that_kills_is_parked_within_three_deaths_and_the_others_are_handled(
    notes: Platform, before: int
) -> None:
    set_on_error(notes, "notes", OnError.PARK)
    projection, healthy = lethal(), worker(notes)
    write(notes, 1)
    assert healthy.drain(projection) is Step.IDLE
    write(notes, *range(2, 2 + before), LETHAL, 100, 101)
    assert lives(lambda: healthy.drain(projection)) is None  # with no note: it has been well for a while
    assert 1 + deaths(notes, projection) <= DEATHS_MAX
    lines = rows_of(notes, "SELECT number FROM read.note_line ORDER BY position")
    assert lines == [(1,), *((number,) for number in range(2, 2 + before)), (100,), (101,)]
    (letter,) = dead_letters(notes)
    assert (letter.parked, letter.topic) == (True, "note.line_added")
    assert "KilledWorker: the process that handled this ended without a word" in str(letter.error)
    assert notes_left(notes) == 0


def test_one_that_halts_its_follower_is_not_tried_again_until_an_operator_or_other_code_says_so(
    notes: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    projection = lethal()
    write(notes, 1, LETHAL, 2)
    assert deaths(notes, projection) <= DEATHS_MAX
    assert rows_of(notes, "SELECT state FROM es.follower") == [("halted",)]
    assert rows_of(notes, "SELECT number FROM read.note_line") == [(1,)]
    for _ in range(3):
        assert worker(notes).drain(projection, retry_halted=True) is Step.HALTED
    resume(notes, "notes")
    assert lives(lambda: worker(notes).drain(projection, retry_halted=True)) is None
    assert worker(notes).drain(make_projection(), retry_halted=True) is Step.IDLE  # other facts killed nobody
    assert rows_of(notes, "SELECT number FROM read.note_line ORDER BY position") == [(1,), (LETHAL,), (2,)]


def test_other_code_is_given_a_try(notes: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    write(notes, LETHAL)
    assert deaths(notes, lethal()) <= DEATHS_MAX
    assert worker(notes).drain(make_projection(), retry_halted=True) is Step.HALTED
    monkeypatch.setattr(attempts_module, "code_of", lambda follower: "mended")
    assert worker(notes).drain(make_projection(), retry_halted=True) is Step.IDLE


def leave_note(owner: psycopg.Connection[Any], upto: int, server: str = "pg_postmaster_start_time()") -> None:
    """What a process leaves that dies with a batch in hand."""
    owner.execute(
        f"INSERT INTO es.attempt SELECT 'notes', 0, %s, false, gen_random_uuid(), {server}, %s",
        (upto, program.code_of(make_projection())),
    )


def test_who_was_at_work_when_another_fact_killed_the_process_is_cleared_of_it(
    notes: Platform, owner: psycopg.Connection[Any]
) -> None:
    write(notes, 1, 2, 3)
    leave_note(owner, 6)
    assert worker(notes).drain(make_projection()) is Step.IDLE
    assert rows_of(notes, "SELECT count(*) FROM read.note_line") == [(3,)]
    assert dead_letters(notes) == []
    assert notes_left(notes) == 0


def test_under_suspicion_a_follower_works_alone_and_others_begin_after_it(
    notes: Platform, owner: psycopg.Connection[Any]
) -> None:
    write(notes, 1, 2)
    leave_note(owner, 4)
    with psycopg.connect(owner.info.dsn) as other:
        other.execute("SELECT pg_advisory_xact_lock_shared(%s)", (SUSPECTS,))  # another one's first batch
        assert worker(notes).drain(make_projection()) is Step.TAKEN
        other.rollback()
        owner.execute("DELETE FROM es.attempt")
        other.execute("SELECT pg_advisory_xact_lock(%s)", (SUSPECTS,))  # another one under suspicion
        assert worker(notes).drain(make_projection()) is Step.TAKEN
        other.rollback()
    assert worker(notes).drain(make_projection()) is Step.IDLE


def test_what_ended_with_the_server_was_not_ended_by_a_fact(notes: Platform, owner: psycopg.Connection[Any]) -> None:
    write(notes, 1)
    leave_note(owner, 2, server="pg_postmaster_start_time() - interval '1 second'")
    with psycopg.connect(owner.info.dsn) as other:
        other.execute("SELECT pg_advisory_xact_lock_shared(%s)", (SUSPECTS,))
        assert worker(notes).drain(make_projection()) is Step.IDLE


def test_an_error_leaves_no_note_and_who_has_proven_well_writes_none(notes: Platform) -> None:
    def broken(fact: Fact[Note.LineAdded], db: Writer) -> None:
        raise ZeroDivisionError

    projection = make_projection()
    handle = projection.handlers[Note.LineAdded]
    projection.handlers[Note.LineAdded] = broken
    write(notes, 1)
    engine = worker(notes)
    assert engine.drain(projection) is Step.HALTED
    assert notes_left(notes) == 0
    projection.handlers[Note.LineAdded] = handle
    assert engine.drain(projection, retry_halted=True) is Step.IDLE
    assert engine._attempts is not None
    engine._attempts._pool = None  # type: ignore[assignment]
    write(notes, 2)
    assert engine.drain(projection) is Step.IDLE


def test_workers_that_are_killed_by_a_fact_come_back_and_park_it(notes: Platform, settings: Settings) -> None:
    set_on_error(notes, "notes", OnError.PARK)
    set_on_error(notes, "close_full_notes", OnError.SKIP)
    write(notes, 1, LETHAL, 2)
    count = 0
    while not dead_letters(notes):
        with running(settings) as process:
            while not dead_letters(notes):
                with suppress(TimeoutExpired):
                    process.process.wait(0.1)
                    break
            count += process.process.poll() is not None
        assert count <= DEATHS_MAX
    assert count >= 1
    assert worker(notes).drain(make_projection()) in (Step.IDLE, Step.MOVED)
    assert rows_of(notes, "SELECT number FROM read.note_line ORDER BY position") == [(1,), (2,)]
