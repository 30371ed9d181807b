"""The floor lock: a reader that trusts `es.safe_position()` skips no event, whatever writers do."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

from runtime.facts import FactLog
from runtime.platform import Platform
from runtime.store import new_id, unbound_metadata
from tests.given import ACTOR, projected, rows_of
from tests.runtime.notes import Note, make_projection

WRITERS = 8
NOTES_EACH = 160


class Abandoned(Exception):
    """The writer gives up half-way."""


def write(platform: Platform, seed: int) -> int:
    """Append notes of four lines; one in ten is rolled back after its positions were drawn. Returns the events kept."""
    rng, kept = random.Random(seed), 0
    for _ in range(NOTES_EACH):
        note = Note.open(new_id())
        for number in range(1, 5):
            note.add_line(number)
        fate = rng.random()
        if fate < 0.1:
            append_slowly(platform, note, rng.random() * 0.005, give_up=fate < 0.05)
            kept += 0 if fate < 0.05 else 5
        else:
            platform.store(ACTOR).save(note)
            kept += 5
    return kept


def append_slowly(platform: Platform, note: Note, pause_s: float, *, give_up: bool) -> None:
    """Append, linger in the open transaction, then commit or roll back."""
    recorder = platform.history.types
    stored = [platform.history.codec.to_stored_event(e) for e in note.collect_events()]
    try:
        with platform.pool.connection() as connection, connection.transaction():
            recorder._append(connection.cursor(), stored, unbound_metadata(ACTOR, "api"), b"")
            time.sleep(pause_s)
            if give_up:
                raise Abandoned
    except Abandoned:
        return


def tail(platform: Platform, stop: threading.Event) -> list[int]:
    """Positions as a follower sees them, read while the writers write."""
    log, seen, after = FactLog(platform.history), list[int](), 0
    with platform.projector_pool.connection() as connection:
        while True:
            last_round = stop.is_set()
            safe = log.safe_position(connection)
            facts = log.read(connection, after, safe, None, 10_000)
            seen += [fact.position for fact in facts]
            after = max(after, safe)  # it goes back when an append is late to lock the floor that it saw
            if last_round:
                return seen


def test_no_event_is_skipped_and_none_is_read_twice_under_rollbacks_and_stalls(notes: Platform) -> None:
    projection, stop = notes.followers[0], threading.Event()
    with ThreadPoolExecutor(WRITERS + 2) as threads:
        tailing = threads.submit(tail, notes, stop)
        projecting = threads.submit(project_until, notes, projection, stop)
        kept = sum(threads.map(lambda seed: write(notes, seed), range(WRITERS)))
        stop.set()
        seen = tailing.result(30)
        projecting.result(30)
    assert kept >= 5000
    positions = [row[0] for row in rows_of(notes, "SELECT position FROM es.event ORDER BY position")]
    assert len(positions) == kept
    assert seen == positions
    assert rows_of(notes, "SELECT count(*) FROM read.note") == [(kept // 5,)]
    assert rows_of(notes, "SELECT count(*), sum(lines) FROM read.note WHERE lines = 10") == [(kept // 5, 2 * kept)]
    assert rows_of(notes, "SELECT count(DISTINCT position) FROM read.note_line") == [(kept // 5 * 4,)]


def project_until(platform: Platform, projection: Any, stop: threading.Event) -> None:
    while not stop.is_set():
        projected(platform, projection)
    projected(platform, projection)


def test_the_safe_position_stays_below_an_open_append_and_passes_a_rolled_back_one(notes: Platform) -> None:
    first = notes.store(ACTOR).save(Note.open(new_id())).position
    stored = [notes.history.codec.to_stored_event(e) for e in Note.open(new_id()).collect_events()]
    with notes.pool.connection() as slow:
        with slow.transaction(force_rollback=True):
            drawn = notes.history.types._append(slow.cursor(), stored, unbound_metadata(ACTOR, "api"), b"")[-1]
            later = notes.store(ACTOR).save(Note.open(new_id())).position
            assert first < drawn < later
            assert safe_position(notes) == first
        assert safe_position(notes) == later


def safe_position(platform: Platform) -> int:
    with platform.projector_pool.connection() as connection:
        return FactLog(platform.history).safe_position(connection)


def test_topics_are_registered_once_for_all_processes(notes: Platform, owner: psycopg.Connection[Any]) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: notes.history.types.register(["note.opened", "note.closed"]), range(16)))
    assert owner.execute("SELECT name FROM es.event_type ORDER BY name").fetchall() == [
        ("note.closed",),
        ("note.opened",),
    ]


def test_a_projection_reads_the_topics_it_declares_and_no_other() -> None:
    projection = make_projection()
    assert projection.topics == ["note.opened", "note.line_added"]
