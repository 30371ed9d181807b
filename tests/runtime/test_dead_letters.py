"""Facts that cannot be handled: put aside by stream or alone, listed, and handled after all, in order and once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from typer.testing import CliRunner

from runtime import dead_letters as module
from runtime.cli.dead_letters import dead_letters_commands
from runtime.db import Writer
from runtime.dead_letters import Replayed, dead_letters, replay
from runtime.facts import Fact
from runtime.follow import Step
from runtime.follower_settings import NoSuchFollower, set_on_error
from runtime.freshness import has_reached
from runtime.health import followers
from runtime.platform import Platform
from runtime.projection import OnError, Policy, Projection
from runtime.store import Store, new_id
from runtime.telemetry import DEAD_LETTERS
from runtime.worker_loop import WorkerLoop
from tests.conftest import MakePlatform
from tests.given import ACTOR, rows_of
from tests.runtime.notes import KINDS, Note, create_tables, make_projection


class Fragile:
    """The notes' projection, which fails at the lines in `bug`; `tried` are the lines that it was given."""

    def __init__(self, on_error: OnError) -> None:
        made = make_projection("fragile")
        self.bug: set[int] = set()
        self.tried: list[int] = []
        self.projection = Projection("fragile", *made.tables, on_error=on_error)
        self.projection.on(Note.Opened)(made.handlers[Note.Opened])
        handle = made.handlers[Note.LineAdded]

        @self.projection.on(Note.LineAdded)
        def line_added(fact: Fact[Note.LineAdded], db: Writer) -> None:
            self.tried.append(fact.event.number)
            handle(fact, db)
            if fact.event.number in self.bug:
                raise ZeroDivisionError(f"line {fact.event.number}")


@pytest.fixture
def parking() -> Fragile:
    return Fragile(OnError.PARK)


@pytest.fixture
def site(make_platform: MakePlatform, owner: psycopg.Connection[Any], parking: Fragile) -> Platform:
    create_tables(owner)
    return make_platform(KINDS, (parking.projection,))


def write(platform: Platform, *numbers: int, note: Note | None = None) -> Note:
    note = note or Note.open(new_id())
    for number in numbers:
        note.add_line(number)
    platform.store(ACTOR).save(note)
    return note


def lines(platform: Platform) -> list[int]:
    return [number for (number,) in rows_of(platform, "SELECT number FROM read.note_line ORDER BY position")]


def listed(platform: Platform) -> list[tuple[UUID, str | None, bool]]:
    return [(one.stream_id, one.topic, one.error is not None) for one in dead_letters(platform)]


def drain(platform: Platform, fragile: Fragile) -> Step:
    return platform.engine().drain(fragile.projection)


def test_a_stream_is_parked_in_order_and_the_others_go_on(site: Platform, parking: Fragile) -> None:
    parking.bug = {13}
    poison = write(site, 1, 13, 2)
    other = write(site, 3)
    write(site, 4, note=poison)
    assert drain(site, parking) is Step.IDLE
    write(site, 5, note=poison)
    write(site, 6, note=other)
    assert drain(site, parking) is Step.IDLE
    assert lines(site) == [1, 3, 6]
    added = "note.line_added"
    assert listed(site) == [(poison.id, added, True), *[(poison.id, added, False)] * 3]
    assert parking.tried.count(13) >= 3, "once in its batch or more, and three times alone"
    assert not {2, 4, 5} & set(parking.tried[parking.tried.index(3) :])


def test_replayed_letters_are_handled_in_order_and_what_follows_is_read_as_ever(
    site: Platform, parking: Fragile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    parking.bug = {13}
    poison, other = write(site, 1, 13, 2, 3, 4, 5), write(site, 7)
    drain(site, parking)
    parking.bug.clear()
    parking.tried.clear()
    assert replay(site, "fragile") == Replayed(handled=5, left=0)
    assert parking.tried == [13, 2, 3, 4, 5]
    write(site, 6, note=poison)
    write(site, 8, note=other)
    drain(site, parking)
    assert (lines(site), listed(site)) == ([1, 13, 2, 3, 4, 5, 7, 6, 8], [])
    assert replay(site, "fragile") == Replayed(0, 0)


def test_a_replay_that_fails_again_keeps_what_it_handled_and_the_order_of_the_rest(
    site: Platform, parking: Fragile
) -> None:
    parking.bug = {13, 14}
    first, second = write(site, 13, 2, 14, 3), write(site, 14, 4)
    drain(site, parking)
    parking.bug = {14}
    assert replay(site, "fragile") == Replayed(handled=2, left=4)
    assert lines(site) == [13, 2]
    found = dead_letters(site)
    assert [one.stream_id for one in found] == [first.id] * 2 + [second.id] * 2
    assert [one.attempts for one in found] == [1, 0, 4, 0]
    assert [(one.error or "").strip().splitlines()[-1:] for one in found] == [["ZeroDivisionError: line 14"], []] * 2
    write(site, 5, note=first)
    drain(site, parking)
    assert lines(site) == [13, 2], "its stream is parked still"
    parking.bug.clear()
    assert replay(site, "fragile", second.id) == Replayed(2, 0)
    assert replay(site, "fragile") == Replayed(3, 0)
    assert lines(site) == [13, 2, 14, 3, 14, 4, 5]


def test_two_replays_at_once_and_a_runner_beside_them_handle_each_letter_once(
    site: Platform, parking: Fragile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 3)
    parking.bug = {13}
    notes = [write(site, 13, *range(20, 30)) for _ in range(5)]
    drain(site, parking)
    parking.bug.clear()
    for note in notes:
        write(site, 40, note=note)
    with ThreadPoolExecutor(5) as threads:
        replays = [threads.submit(replay, site, "fragile") for _ in range(3)]
        for _ in range(20):
            threads.submit(drain, site, parking)
        handled = sum(one.result().handled for one in replays)
    while dead_letters(site):
        handled += replay(site, "fragile").handled
    drain(site, parking)
    assert 55 <= handled <= 60
    per_note = rows_of(site, "SELECT array_agg(number ORDER BY position) FROM read.note_line GROUP BY note_id")
    assert per_note == [([13, *range(20, 30), 40],)] * 5
    assert rows_of(site, "SELECT DISTINCT lines FROM read.note") == [(13 + sum(range(20, 30)) + 40,)]


def test_a_skipped_fact_is_kept_alone_and_its_stream_goes_on(
    make_platform: MakePlatform, owner: psycopg.Connection[Any]
) -> None:
    skipping = Fragile(OnError.SKIP)
    skipping.bug = {13}
    create_tables(owner)
    site = make_platform(KINDS, (skipping.projection,))
    poison = write(site, 1, 13, 2)
    assert drain(site, skipping) is Step.IDLE
    assert lines(site) == [1, 2]
    assert [(one.stream_id, one.parked) for one in dead_letters(site)] == [(poison.id, False)]
    skipping.bug.clear()
    assert replay(site, "fragile") == Replayed(1, 0)
    assert lines(site) == [1, 13, 2]


def test_bytes_that_are_no_event_are_a_dead_letter_like_any(
    site: Platform, parking: Fragile, owner: psycopg.Connection[Any]
) -> None:
    note, other = write(site, 1), Note.open(new_id())
    for version, data in ((3, b"\xff\x00 not json"), (4, b'{"number":"x"}'), (5, b"x" * 5_000_000)):
        owner.execute(
            "SELECT es.append(gen_random_uuid(), '', '', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),"
            " 'api', NULL, NULL, ARRAY[%s], ARRAY[%s::int], ARRAY[t.id], ARRAY[1::smallint], ARRAY[%s::bytea])"
            " FROM es.event_type t WHERE name = 'note.line_added'",
            (note.id, version, data),
        )
    write(site, 2, note=other)
    assert drain(site, parking) is Step.IDLE
    assert lines(site) == [1, 2]
    assert listed(site) == [(note.id, "note.line_added", error) for error in (True, False, False)]
    assert "MapperDeserialisationError" in (dead_letters(site)[0].error or "")
    assert replay(site, "fragile") == Replayed(0, 3)


def test_an_operator_turns_a_halted_follower_into_a_parking_one(
    make_platform: MakePlatform, owner: psycopg.Connection[Any]
) -> None:
    halting = Fragile(OnError.HALT)
    halting.bug = {13}
    create_tables(owner)
    site = make_platform(KINDS, (halting.projection,))
    write(site, 13)
    write(site, 1)
    assert drain(site, halting) is Step.HALTED
    set_on_error(site, "fragile", OnError.PARK)
    assert site.engine().drain(halting.projection, retry_halted=True) is Step.IDLE
    assert (lines(site), len(dead_letters(site))) == ([1], 1)
    set_on_error(site, "fragile", None)
    halting.bug = {14}
    write(site, 14)
    assert drain(site, halting) is Step.HALTED, "as it is declared"


def test_a_policy_that_is_replayed_repeats_no_command(
    make_platform: MakePlatform, owner: psycopg.Connection[Any]
) -> None:
    policy, bug = Policy("comment", OnError.PARK), {13}

    @policy.on(Note.LineAdded)
    def comment(fact: Fact[Note.LineAdded], store: Store) -> None:
        if fact.event.number in bug:
            raise ZeroDivisionError
        store.save(Note.open(new_id(), "a policy"))

    site = make_platform(KINDS, (policy,))
    poison = write(site, 1, 13, 2)
    assert site.engine().drain(policy) is Step.IDLE
    letters = dead_letters(site, "comment")
    assert [one.topic for one in letters] == ["note.line_added"] * 2
    bug.clear()
    for _ in range(2):  # the second time as if the first had ended before its letters were dropped
        assert replay(site, "comment") == Replayed(2, 0)
        assert rows_of(site, "SELECT count(*) FROM es.event WHERE origin = 'policy'") == [(3,)]
        for letter in letters:
            row = ("comment", letter.position, poison.id, True, 0)
            owner.execute(
                "INSERT INTO es.dead_letter (follower, position, stream_id, parked, attempts)"
                " VALUES (%s, %s, %s, %s, %s)",
                row,
            )


def test_passing_trouble_parks_nothing(site: Platform, parking: Fragile, owner: psycopg.Connection[Any]) -> None:
    write(site, 1)
    owner.execute("ALTER TABLE read.note_line ADD CHECK (number <> 1)")
    owner.execute("CREATE FUNCTION read.deadlock() RETURNS trigger LANGUAGE plpgsql AS"
                  " $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'deadlock_detected'; END $$")  # fmt: skip
    owner.execute("CREATE TRIGGER d BEFORE INSERT ON read.note_line FOR EACH ROW EXECUTE FUNCTION read.deadlock()")
    with pytest.raises(psycopg.errors.DeadlockDetected):
        drain(site, parking)
    assert dead_letters(site) == []


def test_whoever_waits_for_a_fact_that_was_put_aside_is_not_shown_the_state_before(
    site: Platform, parking: Fragile
) -> None:
    parking.bug = {13}
    note = Note.open(new_id())
    note.add_line(13)
    aside = site.store(ACTOR).save(note).position
    other = site.store(ACTOR).save(Note.open(new_id())).position
    drain(site, parking)
    assert not has_reached(site, ("fragile",), aside)
    assert has_reached(site, ("fragile",), other)
    parking.bug.clear()
    replay(site, "fragile")
    assert has_reached(site, ("fragile",), aside)


@pytest.mark.engine
def test_the_number_of_dead_letters_is_a_metric(
    site: Platform, parking: Fragile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.worker_loop.RETRY_HALTED_S", 0.1)
    told = DEAD_LETTERS.labels("fragile")._value
    parking.bug = {13}
    write(site, 13, 2, 3)
    loop = WorkerLoop(site, site.followers)
    loop.start()
    try:
        deadline = time.monotonic() + 10
        while told.get() != 3 and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        loop.stop()
    assert told.get() == 3
    with site.pool.connection() as connection:
        (stand,) = followers(connection)
    assert (stand["state"], stand["dead_letters"]) == ("running", 3)


def test_who_is_not_there_has_no_letters_to_replay(site: Platform) -> None:
    with pytest.raises(NoSuchFollower):
        replay(site, "nobody")
    assert dead_letters(site, "nobody") == []


def test_the_command_line_lists_shows_and_replays(site: Platform, parking: Fragile) -> None:
    @contextmanager
    def open_site() -> Iterator[Platform]:
        yield site

    def run(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(dead_letters_commands(open_site), list(words), env={"COLUMNS": "200"})
        return result.exit_code, result.output

    parking.bug = {13}
    write(site, 13, 2)
    drain(site, parking)
    first, second = (one.position for one in dead_letters(site))
    code, shown = run("list")
    assert (code, "ZeroDivisionError: line 13" in shown, "waits behind" in shown) == (0, True, True)
    assert "Traceback" in run("show", "fragile", str(first))[1]
    assert run("show", "fragile", str(second + 1)) == (1, f"fragile has no dead letter at position {second + 1}\n")
    assert run("replay", "fragile") == (1, "0 handled, 2 left\n")
    parking.bug.clear()
    assert run("replay", "fragile") == (0, "2 handled, 0 left\n")
    assert run("on-error", "fragile", "skip") == (0, "fragile: skip\n")
    assert run("on-error", "fragile") == (0, "fragile: as the code declares it\n")
    assert run("on-error", "fragile", "explode")[0] == 2
