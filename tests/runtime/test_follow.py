"""The follower engine: each fact once and in order, whatever happens to messages, handlers and runners."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from runtime import follow
from runtime.db import MissingRow, Writer
from runtime.facts import Fact
from runtime.follow import Step
from runtime.platform import Platform
from runtime.projection import OnError, Policy, Projection
from runtime.store import Store, new_id
from tests.given import ACTOR, projected, rows_of
from tests.runtime.notes import Note, make_projection


def write(platform: Platform, *numbers: int) -> Note:
    note = Note.open(new_id())
    for number in numbers:
        note.add_line(number)
    platform.store(ACTOR).save(note)
    return note


def followers(platform: Platform) -> list[tuple[Any, ...]]:
    return rows_of(platform, "SELECT name, position, state, failed_position FROM es.follower ORDER BY name")


def test_a_projection_handles_facts_in_order_and_remembers_where_it_stands(notes: Platform) -> None:
    write(notes, 1, 2, 3)
    note = write(notes, 4)
    projected(notes, notes.followers[0])
    head = rows_of(notes, "SELECT max(position) FROM es.event")[0][0]
    assert followers(notes) == [("notes", head, "running", None)]
    assert rows_of(notes, "SELECT number FROM read.note_line ORDER BY position") == [(1,), (2,), (3,), (4,)]
    assert rows_of(notes, "SELECT author, lines FROM read.note WHERE note_id = %s", [note.id]) == [("Ada", 4)]


def test_facts_of_other_topics_move_the_position_too(notes: Platform) -> None:
    note = write(notes)
    note.close()
    position = notes.store(ACTOR).save(note).position
    projected(notes, notes.followers[0])
    assert followers(notes)[0][1] == position


def test_duplicated_wake_ups_in_parallel_change_nothing(notes: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "BATCH", 7)
    monkeypatch.setattr(follow, "BATCH_MAX", 7)
    for _ in range(40):
        write(notes, 1, 2)
    engines = [notes.engine() for _ in range(4)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: engines[n % 4].drain(notes.followers[0]), range(64)))
    projected(notes, notes.followers[0])
    assert rows_of(notes, "SELECT count(*), count(DISTINCT note_id) FROM read.note_line") == [(80, 40)]
    assert rows_of(notes, "SELECT DISTINCT lines FROM read.note") == [(3,)]


def test_a_lost_wake_up_delays_and_loses_nothing(notes: Platform) -> None:
    for _ in range(5):
        write(notes, 1)
    projected(notes, notes.followers[0])
    projected(notes, notes.followers[0])
    assert rows_of(notes, "SELECT count(*) FROM read.note") == [(5,)]


def broken(condition: Callable[[int], bool]) -> Projection:
    """The notes' projection with a bug that strikes when a line's number fulfils the condition."""
    projection = make_projection("fragile")
    handle = projection.handlers[Note.LineAdded]

    def line_added(fact: Fact[Note.LineAdded], db: Writer) -> None:
        if condition(fact.event.number):
            raise ZeroDivisionError(f"line {fact.event.number}")
        handle(fact, db)

    projection.handlers[Note.LineAdded] = line_added
    return projection


def test_a_fact_that_cannot_be_handled_halts_its_follower_and_no_other(notes: Platform) -> None:
    bug = {13}
    projection = broken(lambda number: number in bug)
    write(notes, 1)
    poison = write(notes, 2, 13, 3)
    write(notes, 4)
    assert notes.engine().drain(projection) is Step.HALTED
    failed = rows_of(notes, "SELECT position FROM es.event WHERE stream_id = %s AND version = 3", [poison.id])[0][0]
    name, position, state, failed_position = followers(notes)[0]
    assert (name, state, failed_position) == ("fragile", "halted", failed)
    assert failed > position
    assert rows_of(notes, "SELECT number FROM read.note_line ORDER BY position") == [(1,), (2,)]
    assert "ZeroDivisionError: line 13" in rows_of(notes, "SELECT error FROM es.follower")[0][0]
    assert notes.engine().drain(projection) is Step.HALTED

    other = Policy("other")
    assert notes.engine().drain(other) is Step.IDLE

    bug.clear()
    assert notes.engine().drain(projection, retry_halted=True) is Step.IDLE
    assert rows_of(notes, "SELECT number FROM read.note_line ORDER BY position") == [(1,), (2,), (13,), (3,), (4,)]
    assert rows_of(notes, "SELECT state, error, failed_position FROM es.follower WHERE name = 'fragile'") == [
        ("running", None, None)
    ]


def in_batches(bug: set[int], at_once: int = 10) -> tuple[Projection, list[list[int]]]:
    """The notes' projection with lines handled in batches of so large a sum, and the batches that it was given."""
    made, projection = make_projection("batched"), Projection("batched", "note", "note_line")
    projection.on(Note.Opened)(made.handlers[Note.Opened])
    handle, batches = made.handlers[Note.LineAdded], list[list[int]]()

    @projection.on_batch(Note.LineAdded, at_once=at_once, size=lambda event: event.number)
    def lines_added(facts: Sequence[Fact[Note.LineAdded]], db: Writer) -> None:
        batches.append([fact.event.number for fact in facts])
        for fact in facts:
            handle(fact, db)
            if fact.event.number in bug:
                raise ZeroDivisionError(f"line {fact.event.number}")

    return projection, batches


def test_events_that_follow_one_another_are_handed_over_together(notes: Platform) -> None:
    for numbers in ((1, 2, 3), (1,), (4, 5)):
        write(notes, *numbers)
    projection, batches = in_batches(set(), at_once=100)
    projected(notes, projection)
    assert batches == [[1, 2, 3], [1], [4, 5]], "an event of another type ends a batch"
    assert rows_of(notes, "SELECT lines FROM read.note ORDER BY lines") == [(1,), (6,), (9,)]


def test_events_of_several_kinds_with_one_handler_are_handed_over_together(notes: Platform) -> None:
    for numbers in ((1, 2), (3,)):
        write(notes, *numbers)
    projection, batches = Projection("batched", "note"), list[list[str]]()

    @projection.on_batch(Note.Opened, Note.LineAdded, at_once=100, size=lambda event: 1)
    def written(facts: Sequence[Fact[Any]], db: Writer) -> None:
        batches.append([fact.topic for fact in facts])

    projected(notes, projection)
    assert batches == [["note.opened", "note.line_added", "note.line_added", "note.opened", "note.line_added"]]


def test_a_transaction_takes_events_until_their_sizes_suffice(notes: Platform) -> None:
    write(notes, 4, 4, 4, 50, 1, 1)
    projection, batches = in_batches(set())
    projected(notes, projection)
    assert batches == [[4, 4, 4], [50], [1, 1]]
    assert rows_of(notes, "SELECT array_agg(number ORDER BY position) FROM read.note_line") == [([4, 4, 4, 50, 1, 1],)]


def test_the_one_event_that_fails_is_found_in_its_batch(notes: Platform) -> None:
    bug = {13}
    poison = write(notes, 1, 2, 13, 3)
    projection, batches = in_batches(bug, at_once=100)
    assert notes.engine().drain(projection) is Step.HALTED
    failed = rows_of(notes, "SELECT position FROM es.event WHERE stream_id = %s AND version = 4", [poison.id])[0][0]
    assert followers(notes)[0][2:] == ("halted", failed)
    assert (batches[0], batches[-1]) == ([1, 2, 13, 3], [13])
    assert rows_of(notes, "SELECT number FROM read.note_line ORDER BY position") == [(1,), (2,)], "each once"
    bug.clear()
    assert notes.engine().drain(projection, retry_halted=True) is Step.IDLE
    assert rows_of(notes, "SELECT number FROM read.note_line ORDER BY position") == [(1,), (2,), (13,), (3,)]


def test_an_update_that_touches_no_row_halts(notes: Platform, owner: psycopg.Connection[Any]) -> None:
    note = write(notes)
    projected(notes, notes.followers[0])
    owner.execute("DELETE FROM read.note")
    note.add_line(1)
    notes.store(ACTOR).save(note)
    assert notes.engine().drain(notes.followers[0]) is Step.HALTED
    assert MissingRow.__name__ in rows_of(notes, "SELECT error FROM es.follower")[0][0]


def test_trouble_of_the_database_is_passed_on_and_halts_nobody(notes: Platform, owner: psycopg.Connection[Any]) -> None:
    write(notes, 1)
    struck = threading.Event()

    def cut_off_once(number: int) -> bool:
        if not struck.is_set():
            struck.set()
            owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tracker_projector'")
        return False

    projection = broken(cut_off_once)
    with pytest.raises(psycopg.OperationalError):
        notes.engine().drain(projection)
    projected(notes, projection)
    assert rows_of(notes, "SELECT count(*) FROM read.note_line") == [(1,)]
    assert followers(notes)[0][2] == "running"


@pytest.mark.parametrize("on_error", OnError)
def test_a_fact_that_takes_longer_than_a_statement_may_is_shown_and_never_passed_over(
    notes: Platform, on_error: OnError
) -> None:
    """The server is slow, perhaps, and not the fact wrong: it is tried again, and whoever looks sees where it hangs."""
    write(notes, 1, 2, 3)
    projection = Projection("notes", "note", "note_line", on_error=on_error)
    slow, plain = [True], make_projection()
    projection.on(Note.Opened)(plain.handlers[Note.Opened])

    @projection.on(Note.LineAdded)
    def line_added(fact: Fact[Note.LineAdded], db: Writer) -> None:
        if fact.event.number == 2 and slow[0]:
            db.execute("SET LOCAL statement_timeout = 20")
            db.execute("SELECT pg_sleep(60)")
        plain.handlers[Note.LineAdded](fact, db)

    engine = notes.engine()
    assert engine.drain(projection) is Step.HALTED
    assert rows_of(notes, "SELECT number FROM read.note_line") == [(1,)]
    [(state, error)] = rows_of(notes, "SELECT state, error FROM es.follower WHERE name = 'notes'")
    assert (state, "canceling statement due to statement timeout" in error) == ("halted", True)
    slow[0] = False
    assert engine.drain(projection, retry_halted=True) is Step.IDLE
    assert rows_of(notes, "SELECT number FROM read.note_line ORDER BY position") == [(1,), (2,), (3,)]


def test_a_policy_answers_each_fact_once_and_names_its_cause(notes: Platform) -> None:
    full, open_ = write(notes, 4, 6), write(notes, 9)
    policy = notes.followers[1]
    projected(notes, policy)
    assert notes.history.aggregate(Note, full.id).closed
    assert not notes.history.aggregate(Note, open_.id).closed
    query = (
        "SELECT c.origin, c.causation_id = p.event_id, c.correlation_id = p.correlation_id FROM es.event c"
        " JOIN es.event p ON p.stream_id = c.stream_id AND p.version = 2 WHERE c.stream_id = %s AND c.version = 4"
    )
    assert rows_of(notes, query, [full.id]) == [("policy", True, True)]


def test_a_policy_that_is_run_again_repeats_nothing(notes: Platform, owner: psycopg.Connection[Any]) -> None:
    def comment(fact: Fact[Note.Opened], store: Store) -> None:
        store.save(Note.open(new_id(), "a policy"))

    policy = Policy("comment")
    policy.on(Note.Opened)(lambda fact, store: comment(fact, store) if fact.origin != "policy" else None)
    write(notes)
    projected(notes, policy)
    owner.execute("UPDATE es.follower SET position = 0")
    projected(notes, policy)
    assert rows_of(notes, "SELECT count(*) FROM es.event WHERE origin = 'policy'") == [(1,)]


def test_a_stopped_engine_finishes_its_transaction_and_no_more(
    notes: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "BATCH", 1)
    monkeypatch.setattr(follow, "BATCH_MAX", 1)
    engine = notes.engine()

    def stop_at_two(number: int) -> bool:
        if number == 2:
            engine.stop()
        return False

    projection = broken(stop_at_two)
    write(notes, 1, 2, 3)
    assert engine.drain(projection) is Step.MOVED
    assert rows_of(notes, "SELECT number FROM read.note_line ORDER BY position") == [(1,), (2,)]
    projected(notes, projection)
    assert rows_of(notes, "SELECT count(*) FROM read.note_line") == [(3,)]
