"""Runners that hang, die or lose their server: somebody else goes on, and each fact counts once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from runtime import follow
from runtime.follow import Step
from runtime.platform import Platform
from runtime.settings import Settings
from runtime.store import new_id
from tests.campaigns.followers import FAULTS, campaign
from tests.conftest import as_user
from tests.given import ACTOR, rows_of
from tests.runtime import note_worker
from tests.runtime.notes import Note

pytestmark = pytest.mark.engine


def write(platform: Platform, *numbers: int) -> Note:
    note = Note.open(new_id())
    for number in numbers:
        note.add_line(number)
    platform.store(ACTOR).save(note)
    return note


def lines(platform: Platform) -> list[int]:
    return [number for (number,) in rows_of(platform, "SELECT number FROM read.note_line ORDER BY position")]


def wait_until(condition: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.02)


def drained(platform: Platform) -> bool:
    return platform.engine().drain(platform.followers[0]) is Step.IDLE


def test_a_stopped_holder_is_replaced_and_commits_nothing_when_it_wakes(
    notes: Platform, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "HANGING_S", 1.0)
    with note_worker.running(settings, number=13) as worker:
        write(notes, 1, 13, 2)
        worker.expect("in hand")
        os.kill(worker.pid, signal.SIGSTOP)
        write(notes, 3)
        assert notes.engine().drain(notes.followers[0]) is Step.TAKEN
        wait_until(lambda: drained(notes), 10)
        assert lines(notes) == [1, 13, 2, 3]
        os.kill(worker.pid, signal.SIGCONT)
        worker.go_on()
        write(notes, 4)
        wait_until(lambda: lines(notes)[-1] == 4, 15)  # by the worker that was woken
    assert lines(notes) == [1, 13, 2, 3, 4]
    assert rows_of(notes, "SELECT lines FROM read.note ORDER BY at") == [(16,), (3,), (4,)]


def test_a_holder_that_does_not_read_what_it_asked_for_is_replaced(
    notes: Platform, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No timeout of PostgreSQL ends it: its session is neither idle nor does it run a statement."""
    monkeypatch.setattr(follow, "HANGING_S", 0.5)
    write(notes, 1)
    assert drained(notes)
    write(notes, 2)
    with psycopg.connect(as_user(database, "tracker_projector")) as hanging:
        hanging.execute("SELECT FROM es.follower WHERE name = 'notes' FOR UPDATE")
        hanging.execute("SELECT es.runner_view('notes')")
        hanging.pgconn.send_query(b"SELECT repeat('x', 100) FROM generate_series(1, 1000000)")
        hanging.pgconn.flush()
        wait_until(lambda: drained(notes), 10)
        assert lines(notes) == [1, 2]
        while hanging.pgconn.get_result():  # what was sent before the end
            continue
        with pytest.raises(psycopg.OperationalError):
            hanging.commit()


def test_a_holder_that_works_is_left_alone(notes: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "HANGING_S", 0.5)
    write(notes, 1)
    with notes.projector_pool.connection() as connection, connection.transaction():
        connection.execute("INSERT INTO es.follower (name) VALUES ('notes') ON CONFLICT DO NOTHING")
    with notes.projector_pool.connection() as holder, holder.transaction():
        holder.execute("SELECT FROM es.follower WHERE name = 'notes' FOR UPDATE")
        holder.execute("SELECT es.runner_view('notes')")
        for _ in range(10):
            holder.execute("SELECT pg_sleep(0.1)")
            assert notes.engine().drain(notes.followers[0]) is Step.TAKEN
    assert drained(notes)
    assert lines(notes) == [1]


def test_a_worker_killed_in_the_middle_of_a_batch_loses_and_doubles_nothing(
    notes: Platform, settings: Settings
) -> None:
    with note_worker.running(settings, number=13) as worker:
        write(notes, 1, 13, 2)
        worker.expect("in hand")
        os.kill(worker.pid, signal.SIGKILL)
        worker.process.wait(5)
        assert lines(notes) == []
        with note_worker.running(settings):
            wait_until(lambda: len(lines(notes)) == 3, 10)
            write(notes, 3, 8)
            wait_until(lambda: len(lines(notes)) == 5, 10)
    assert lines(notes) == [1, 13, 2, 3, 8]
    closed = "SELECT count(*) FROM es.event e JOIN es.event_type t ON t.id = e.type WHERE t.name = 'note.closed'"
    wait_until(lambda: drained_policy(notes), 5)
    assert rows_of(notes, closed) == [(2,)]


def drained_policy(platform: Platform) -> bool:
    return platform.engine().drain(platform.followers[1]) is Step.IDLE


def test_followers_come_through_each_fault_once(tmp_path: Path) -> None:
    """A slice of the campaign: the queue emptied, a worker stopped and one killed, the server restarted and killed."""
    figures = campaign(tmp_path, list(FAULTS), seed=7, pause_s=0.3)
    assert figures.notes > 20
