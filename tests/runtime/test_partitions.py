"""The log in partitions: one order, one history of each stream, whichever partitions they lie in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import UUID

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent
from psycopg.errors import CheckViolation

from runtime.facts import FactLog
from runtime.migrate import migrate, rollback
from runtime.platform import Platform
from runtime.rebuild import rebuild, verify
from runtime.recorder import StreamConflict
from runtime.store import new_id, unbound_metadata
from runtime.worker_loop import WorkerLoop
from tests.conftest import MakePlatform
from tests.given import ACTOR, Given, everything, projected, rows_of
from tests.runtime.notes import KINDS, Note, create_tables, make_projection

pytestmark = pytest.mark.engine

Owner = psycopg.Connection[tuple[Any, ...]]
#: Positions of a partition here.
SIZE = 8


@pytest.fixture
def small(owner: Owner) -> None:
    """The log of this database is in partitions of eight positions, and nothing is in the first one."""
    owner.execute("SELECT setval('es.position', 59999999)")
    owner.execute("SELECT es.cover_events(60000000, 60000000, %s)", (SIZE,))


def make_ahead(owner: Owner, ahead: int = 1) -> int:
    row = owner.execute("SELECT es.maintain_events(%s, %s)", (SIZE, ahead)).fetchone()
    assert row is not None
    return int(row[0])


def partitions(owner: Owner) -> list[tuple[int, int]]:
    rows = owner.execute("SELECT begins, ends FROM es.event_partition ORDER BY begins").fetchall()
    attached = owner.execute("SELECT count(*) FROM pg_inherits WHERE inhparent = 'es.event'::regclass").fetchone()
    assert attached == (len(rows),)
    return [(begins, ends) for begins, ends in rows]


def written(notes: Platform, owner: Owner, count: int = 6) -> list[UUID]:
    """Notes whose events lie in partitions apart, since all of them grow together."""
    given, found = Given(notes), [new_id() for _ in range(count)]
    for note_id in found:
        make_ahead(owner)
        given.aggregates(Note.open(note_id))
    for number in range(1, 5):
        for note_id in found:
            make_ahead(owner)
            note = given.store.get(Note, note_id)
            note.add_line(number)
            given.aggregates(note)
    return found


def partitions_of(owner: Owner, stream_id: UUID) -> int:
    row = owner.execute("SELECT count(DISTINCT tableoid) FROM es.event WHERE stream_id = %s", (stream_id,)).fetchone()
    assert row is not None
    return int(str(row[0]))


@pytest.mark.usefixtures("small")
def test_streams_and_the_order_of_the_log_go_on_across_partitions(notes: Platform, owner: Owner) -> None:
    found = written(notes, owner)
    assert all(partitions_of(owner, note_id) >= 4 for note_id in found)
    log = FactLog(notes.history)
    with notes.pool.connection() as connection:
        facts = log.read(connection, 0, log.safe_position(connection), None, 1000)
        pieces = [fact for limit in range(10) for fact in log.read(connection, 59999999 + 3 * limit, 2**62, None, 3)]
    assert [fact.position for fact in facts] == list(range(60000000, 60000030)) == [fact.position for fact in pieces]
    notes.history.repository.cache = None
    for note_id in found:
        assert [fact.version for fact in log.stream(note_id)] == [1, 2, 3, 4, 5]
        assert notes.history.aggregate(Note, note_id).lines == 10
        assert notes.history.aggregate(Note, note_id, 3).lines == 3


@pytest.mark.usefixtures("small")
def test_a_projection_is_the_same_live_and_rebuilt_across_partitions(make_platform: MakePlatform, owner: Owner) -> None:
    create_tables(owner)
    projection = make_projection()
    notes = make_platform(KINDS, (projection,))
    written(notes, owner)
    projected(notes, projection)
    live = everything(notes, "note"), everything(notes, "note_line")
    rebuild(notes, projection)
    assert (everything(notes, "note"), everything(notes, "note_line")) == live
    assert [table.differences for table in verify(notes, projection)] == [0, 0]
    assert len(live[1]) == 24


def test_partitions_are_made_ahead_and_once(owner: Owner) -> None:
    before = partitions(owner)
    assert before == [(-(2**63), 20000000), (20000000, 40000000), (40000000, 60000000)]
    assert make_ahead(owner) == 0, "there are some ahead, of another size"
    owner.execute("SELECT setval('es.position', 40000000)")
    assert owner.execute("SELECT es.maintain_events(20000000, 2)").fetchone() == (2,)
    assert partitions(owner)[3:] == [(60000000, 80000000), (80000000, 100000000)]
    owner.execute("SELECT setval('es.position', 205000000)")  # a restored site begins far behind the lost one
    assert owner.execute("SELECT es.maintain_events(20000000, 2)").fetchone() == (3,)
    assert partitions(owner)[5:] == [(n, n + 20000000) for n in (200000000, 220000000, 240000000)]


def test_workers_that_make_partitions_at_once_make_each_once(database: str, owner: Owner) -> None:
    owner.execute("SELECT setval('es.position', 59999999)")
    together = Barrier(4)

    def make() -> int:
        with psycopg.connect(database, autocommit=True) as connection:
            together.wait(10)
            return make_ahead(connection, 3)

    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: make(), range(4)))
    assert sum(made) == 4
    assert len(partitions(owner)) == 7


def test_the_worker_makes_them(notes: Platform, owner: Owner) -> None:
    owner.execute("SELECT setval('es.position', 50000000)")
    loop = WorkerLoop(notes, ())
    loop._maintain()
    assert partitions(owner)[-1] == (80000000, 100000000)


def test_an_append_beyond_all_partitions_is_refused_whole(notes: Platform, owner: Owner) -> None:
    owner.execute("SELECT setval('es.position', 59999999)")
    with pytest.raises(CheckViolation, match="no partition of relation"):
        Given(notes).aggregates(Note.open(new_id()))
    assert rows_of(notes, "SELECT count(*) FROM es.stream") == [(0,)]
    owner.execute("SELECT es.maintain_events(20000000, 2)")
    assert Given(notes).aggregates(Note.open(new_id())) > 60000000


def append(notes: Platform, *events: tuple[UUID, int]) -> None:
    topic = Note.Closed.TOPIC
    stored = [StoredEvent(stream_id, version, topic, b"{}") for stream_id, version in events]
    notes.history.types.insert_events(stored, metadata=unbound_metadata(ACTOR, "api"))


def test_a_stream_takes_its_next_version_and_no_other(notes: Platform) -> None:
    one, other = new_id(), new_id()
    append(notes, (one, 1), (one, 2), (other, 1))
    for wrong in (
        [(one, 2)],
        [(one, 4)],
        [(one, 1)],
        [(new_id(), 2)],
        [(one, 3), (one, 5)],
        [(one, 3), (one, 3)],
        [(one, 3), (one, 3), (one, 5)],
        [(one, 4), (one, 3)],
        [(one, 4), (other, 2), (one, 3)],
        [(one, 3), (other, 1)],
        [(one, 3), (other, 3)],
    ):
        with pytest.raises(StreamConflict):
            append(notes, *wrong)
    append(notes, (other, 2), (one, 3), (other, 3), (one, 4))
    events = "SELECT version FROM es.event WHERE stream_id = %s ORDER BY position"
    for stream_id, last in ((one, 4), (other, 3)):
        assert rows_of(notes, "SELECT version FROM es.stream WHERE stream_id = %s", [stream_id]) == [(last,)]
        assert rows_of(notes, events, [stream_id]) == [(version,) for version in range(1, last + 1)]


def test_a_command_that_is_repeated_in_another_history_records_other_events(notes: Platform) -> None:
    """What was rolled back here stands for what a restore lost: a backup tells two histories apart by an event's id."""
    note_id = new_id()
    stored = [StoredEvent(note_id, version, Note.Closed.TOPIC, b"{}") for version in (1, 2)]
    metadata, ids = unbound_metadata(ACTOR, "api"), list[Any]()
    for _ in range(2):
        with notes.pool.connection() as connection, connection.transaction(force_rollback=True):
            notes.history.types._append(connection.cursor(), stored, metadata, b"")
            ids += connection.execute("SELECT event_id FROM es.event").fetchall()
    assert len(set(ids)) == 4


def test_of_two_appends_at_once_one_is_taken(notes: Platform) -> None:
    """Both touch two streams, in opposite orders: neither waits for the other for ever."""
    one, other = new_id(), new_id()
    append(notes, (one, 1), (other, 1))
    with ThreadPoolExecutor(4) as threads:
        for version in range(2, 12):
            together = Barrier(4)

            def race(number: int, version: int = version, together: Barrier = together) -> bool:
                pair = [(one, version), (other, version)]
                together.wait(10)
                try:
                    append(notes, *(pair if number % 2 else reversed(pair)))
                except StreamConflict:
                    return False
                return True

            assert sum(threads.map(race, range(4))) == 1
    assert rows_of(notes, "SELECT DISTINCT version FROM es.stream") == [(11,)]
    assert rows_of(notes, "SELECT count(*) FROM es.event") == [(22,)]


def test_the_heads_are_what_the_events_say(notes: Platform, owner: Owner, small: None) -> None:
    written(notes, owner)
    assert (
        rows_of(
            notes,
            "SELECT * FROM (SELECT stream_id, max(version), min(position), max(position) FROM es.event GROUP BY 1) AS e"
            " FULL JOIN es.stream s USING (stream_id) WHERE (s.version, s.first_position, s.last_position)"
            " IS DISTINCT FROM (e.max, e.min, e.max_1)".replace("max(position)", "max(position) AS max_1"),
        )
        == []
    )


def test_events_from_before_the_partitions_are_moved_as_they_are(
    database: str, make_platform: MakePlatform, owner: Owner
) -> None:
    """Down to the schema without partitions and up again: the same rows, the same streams, and writing goes on."""
    create_tables(owner)
    notes = make_platform(KINDS)
    found = written(notes, owner, 3)
    before = owner.execute("SELECT * FROM es.event ORDER BY position").fetchall()
    heads = owner.execute("SELECT * FROM es.stream ORDER BY 1").fetchall()
    undone = down_to(database, "0030_audit_chain")
    assert owner.execute("SELECT relkind FROM pg_class WHERE oid = 'es.event'::regclass").fetchone() == ("r",)
    assert owner.execute("SELECT * FROM es.event ORDER BY position").fetchall() == before
    assert migrate(database) == undone
    assert owner.execute("SELECT * FROM es.event ORDER BY position").fetchall() == before
    assert owner.execute("SELECT * FROM es.stream ORDER BY 1").fetchall() == heads
    note = notes.history.aggregate(Note, found[0])
    note.close()
    assert Given(notes).aggregates(note) > before[-1][0]


def down_to(database: str, migration: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT count(*) FROM public._yoyo_migration WHERE migration_id > %s", (migration,)
        ).fetchone()
    assert row is not None
    return rollback(database, row[0])
