"""Followers that an operator lets stand still: at once, over restarts, and told to whoever waits for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from runtime.db import Writer
from runtime.facts import Fact
from runtime.follow import Step
from runtime.follower_settings import NoSuchFollower, pause, resume
from runtime.health import followers, report
from runtime.platform import Platform
from runtime.store import new_id
from runtime.telemetry import DEAD_LETTERS, PROJECTION_LAG_EVENTS, PROJECTION_STATE
from runtime.worker_loop import WorkerLoop
from tests.given import ACTOR, projected, rows_of
from tests.in_process import TestClient
from tests.runtime.notes import Note, make_projection

NOTES = "/api/v1/notes"


def write(platform: Platform, *numbers: int) -> int:
    note = Note.open(new_id())
    for number in numbers:
        note.add_line(number)
    return platform.store(ACTOR).save(note).position


def count(platform: Platform) -> int:
    return int(rows_of(platform, "SELECT count(*) FROM read.note")[0][0])


def stands_at(platform: Platform, name: str, position: int) -> bool:
    rows = rows_of(platform, "SELECT position >= %s FROM es.follower WHERE name = %s", [position, name])
    return rows == [(True,)]


def wait_until(condition: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.01)


def test_a_paused_follower_stands_still_and_the_others_go_on(notes: Platform) -> None:
    write(notes, 10)
    assert pause(notes, "notes")
    for retry_halted in (False, True):
        assert notes.engine().drain(notes.followers[0], retry_halted=retry_halted) is Step.PAUSED
    assert notes.engine().drain(notes.followers[1]) is Step.IDLE
    assert count(notes) == 0
    assert resume(notes, "notes")
    projected(notes, notes.followers[0])
    assert count(notes) == 1
    assert not resume(notes, "notes")


def test_nothing_is_handled_after_a_pause_is_answered(notes: Platform) -> None:
    """The batch at hand ends first; then no other begins."""
    entered, leave = threading.Event(), threading.Event()
    projection = make_projection()
    handle = projection.handlers[Note.Opened]

    def slow(fact: Fact[Note.Opened], db: Writer) -> None:
        entered.set()
        leave.wait(5)
        handle(fact, db)

    projection.handlers[Note.Opened] = slow
    write(notes)
    runner = threading.Thread(target=notes.engine().drain, args=(projection,))
    runner.start()
    entered.wait(5)
    assert not pause(notes, "notes"), "it is told that a batch goes on"
    leave.set()
    runner.join()
    assert count(notes) == 1
    write(notes)
    assert notes.engine().drain(projection) is Step.PAUSED
    assert pause(notes, "notes"), "once more changes nothing"
    assert count(notes) == 1


@pytest.mark.engine
def test_a_pause_outlives_workers_and_a_resumed_follower_catches_up(notes: Platform) -> None:
    state = PROJECTION_STATE.labels("notes", "paused")._value
    for _ in range(2):
        loop = WorkerLoop(notes, notes.followers)
        loop.start()
        try:
            if not count(notes):
                write(notes)
                wait_until(lambda: count(notes) == 1, 5)
                pause(notes, "notes")
            position = write(notes)
            wait_until(lambda: state.get() == 1, 5)
            wait_until(partial(stands_at, notes, "close_full_notes", position), 5)
            assert count(notes) == 1
        finally:
            loop.stop()
    loop = WorkerLoop(notes, notes.followers)
    loop.start()
    try:
        resume(notes, "notes")
        wait_until(lambda: count(notes) == 3 and state.get() == 0, 5)
        wait_until(lambda: PROJECTION_LAG_EVENTS.labels("notes")._value.get() == 0, 5)
        assert PROJECTION_STATE.labels("notes", "running")._value.get() == 1
        assert DEAD_LETTERS.labels("notes")._value.get() == 0
    finally:
        loop.stop()


def test_the_state_shows_it_and_the_site_is_well(notes: Platform) -> None:
    write(notes)
    projected(notes, *notes.followers)
    pause(notes, "notes")
    with notes.pool.connection() as connection:
        assert [(one["name"], one["state"]) for one in followers(connection)] == [
            ("close_full_notes", "running"),
            ("notes", "paused"),
        ]
    assert report(notes)["components"]["projections"] == "ok"


def test_who_waits_for_a_paused_projection_is_told_why(client: TestClient, notes: Platform) -> None:
    projected(notes, notes.followers[0])
    pause(notes, "notes")
    position = client.post(NOTES, json={"author": "a"}).json()["position"]
    answer = client.get(NOTES, headers={"X-Min-Position": str(position)})
    assert (answer.status_code, answer.json()["code"]) == (503, "projection_paused")
    assert answer.headers["retry-after"] == "30"
    assert client.get(NOTES).status_code == 200
    resume(notes, "notes")
    projected(notes, notes.followers[0])
    assert client.get(NOTES, headers={"X-Min-Position": str(position)}).status_code == 200


def test_what_is_not_there_cannot_be_paused(notes: Platform) -> None:
    for change in (pause, resume):
        with pytest.raises(NoSuchFollower):
            change(notes, "nobody")
