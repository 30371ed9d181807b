"""Waking followers: quick when the queue is there, and nothing lost when it is not."""

from __future__ import annotations

import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dramatiq
import pytest
from redis import Redis

from runtime.embedded import Valkey
from runtime.platform import Platform
from runtime.queue import ACTOR, QUEUE, WAKE_KEY, Waker, open_broker, wake_message
from runtime.store import new_id
from runtime.telemetry import WAKEUPS
from runtime.worker_loop import WorkerLoop, run_worker
from tests.given import ACTOR as ADA
from tests.given import rows_of
from tests.runtime.notes import Note

pytestmark = pytest.mark.engine


@contextmanager
def working(platform: Platform) -> Iterator[WorkerLoop]:
    loop = WorkerLoop(platform, platform.followers)
    loop.start()
    try:
        yield loop
    finally:
        loop.stop()


@pytest.fixture
def worker(notes: Platform) -> Iterator[WorkerLoop]:
    with working(notes) as loop:
        yield loop


@pytest.fixture
def queue(valkey: Valkey) -> Iterator[Redis]:
    with Redis.from_url(valkey.url()) as client:
        yield client


def write(platform: Platform) -> Note:
    note = Note.open(new_id())
    platform.store(ADA).save(note)
    return note


def count(platform: Platform) -> int:
    return int(rows_of(platform, "SELECT count(*) FROM read.note")[0][0])


def wait_until(condition: Callable[[], bool], within_s: float) -> float:
    """Seconds until the condition holds; fails when it does not within that time."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, f"not within {within_s} s"
        time.sleep(0.002)
    return time.monotonic() - began


def test_from_commit_to_row_takes_less_than_150_ms(notes: Platform, worker: WorkerLoop) -> None:
    write(notes)
    wait_until(lambda: count(notes) == 1, 5)
    lags = []
    for number in range(2, 32):
        time.sleep(0.02)
        write(notes)
        lags.append(wait_until(lambda number=number: count(notes) == number, 5))  # type: ignore[misc]
    assert statistics.median(lags) < 0.15


def test_without_the_queue_the_worker_looks_by_itself(notes: Platform, worker: WorkerLoop) -> None:
    unheard = notes.history
    note = Note.open(new_id())
    unheard.events.put(list(note.collect_events()), metadata=notes.store(ADA).metadata)
    assert wait_until(lambda: count(notes) == 1, 3) < 2


def test_flushing_the_queue_under_load_loses_nothing(notes: Platform, worker: WorkerLoop, queue: Redis) -> None:
    for number in range(100):
        write(notes)
        if number % 10 == 0:
            queue.flushall()
    wait_until(lambda: count(notes) == 100, 10)
    assert rows_of(notes, "SELECT count(*) FROM es.follower WHERE state <> 'running'") == [(0,)]


def test_duplicated_and_delayed_messages_change_nothing(notes: Platform, worker: WorkerLoop) -> None:
    broker = notes.broker
    for _ in range(20):
        write(notes)
        for copies in range(5):
            broker.enqueue(wake_message("notes"), delay=copies * 40 or None)
    wait_until(lambda: count(notes) == 20, 10)
    time.sleep(0.4)
    assert count(notes) == 20


def test_what_is_no_message_of_ours_is_rejected_and_the_worker_goes_on(
    notes: Platform, worker: WorkerLoop, queue: Redis
) -> None:
    broker, rejected = notes.broker, WAKEUPS.labels("rejected")
    before = rejected._value.get()
    for name in ("no such follower", "", 7, None, {"$ne": 1}, "notes'; DROP TABLE es.event"):
        broker.enqueue(wake_message(name))  # type: ignore[arg-type]
    for args in ((), ("notes", "notes")):
        broker.enqueue(dramatiq.Message(queue_name=QUEUE, actor_name=ACTOR, args=args, kwargs={}, options={}))
    broker.enqueue(dramatiq.Message(queue_name=QUEUE, actor_name="no_such_actor", args=(), kwargs={}, options={}))
    for number, garbage in enumerate((b"\xff\xfe", b"not json", b"[]", b"{}", b"null", b"7", b'{"actor_name": 1}')):
        queue.hset(f"dramatiq:{QUEUE}.msgs", f"garbage{number}", garbage)
        queue.rpush(f"dramatiq:{QUEUE}", f"garbage{number}")
    wait_until(lambda: rejected._value.get() == before + 7, 5)
    write(notes)
    assert wait_until(lambda: count(notes) == 1, 5) < 2
    wait_until(lambda: queue.llen(f"dramatiq:{QUEUE}") == 0, 5)


def test_a_burst_of_commands_is_a_message_for_each_follower_not_for_each_command(notes: Platform, queue: Redis) -> None:
    for _ in range(50):
        notes.wake(["note.opened", "note.line_added"])
    wait_until(lambda: queue.llen(f"dramatiq:{QUEUE}") == 2, 3)
    time.sleep(0.1)
    assert queue.llen(f"dramatiq:{QUEUE}") == 2
    assert 0 < queue.pttl(WAKE_KEY.format("notes")) <= 2000


def test_only_followers_of_the_topic_are_woken(notes: Platform, queue: Redis) -> None:
    notes.wake(["note.opened"])
    wait_until(lambda: queue.exists(WAKE_KEY.format("notes")) == 1, 3)
    notes.wake(["note.closed"])
    notes.wake([])
    time.sleep(0.1)
    assert queue.keys("wake:*") == [b"wake:notes"]


def test_an_absent_queue_neither_blocks_nor_fails_a_command() -> None:
    dropped = WAKEUPS.labels("dropped")
    before = dropped._value.get()
    broker = open_broker("unix:///nonexistent/valkey.sock")
    waker = Waker(broker, {"notes": None})
    began = time.monotonic()
    for _ in range(1000):
        waker.wake(["note.opened"])
    assert time.monotonic() - began < 0.5
    wait_until(lambda: dropped._value.get() > before, 3)
    waker.close()
    broker.close()


def test_a_halted_follower_is_tried_again_after_some_seconds(notes: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.worker_loop.RETRY_HALTED_S", 0.3)
    write(notes)
    with notes.projector_pool.connection() as connection:
        connection.execute("INSERT INTO es.follower (name, state, error) VALUES ('notes', 'halted', 'a bug')")
    with working(notes):
        wait_until(lambda: count(notes) == 1, 5)
    assert rows_of(notes, "SELECT state, error FROM es.follower WHERE name = 'notes'") == [("running", None)]


def test_upkeep_runs_and_its_failure_stops_nothing(notes: Platform) -> None:
    ran = threading.Event()

    def fail() -> None:
        raise ZeroDivisionError

    loop = WorkerLoop(notes, notes.followers, [fail, ran.set])
    loop.start()
    assert ran.wait(5)
    write(notes)
    wait_until(lambda: count(notes) == 1, 5)
    loop.stop()
    months = "SELECT count(*) FROM pg_class WHERE relname ~ '^command_context_[0-9]{6}$'"
    assert rows_of(notes, months) == [(2,)]


def test_a_signal_ends_the_worker_within_five_seconds(notes: Platform) -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    asked: list[float] = []

    def ask() -> None:
        asked.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGTERM)

    try:
        assert run_worker(notes, notes.followers, started=lambda: threading.Timer(0.3, ask).start()) == 0
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert time.monotonic() - asked[0] < 5


def test_unused_parts_of_a_message_are_ignored(notes: Platform, worker: WorkerLoop) -> None:
    extra: dict[str, Any] = {"unknown_option": "x"}
    write(notes)
    notes.broker.enqueue(wake_message("notes").copy(options=extra))
    wait_until(lambda: count(notes) == 1, 3)
