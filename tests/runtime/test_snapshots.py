"""Snapshots: a long stream is read from its last one on, and never from one that might say something else."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
import pytest

import domain
from domain.base import Aggregate
from runtime import snapshots
from runtime.platform import Platform
from runtime.snapshots import Snapshot, SnapshotMapper, Snapshots
from runtime.store import History, NoSuchThing, new_id
from tests.conftest import MakePlatform
from tests.given import ACTOR, rows_of
from tests.history import write_history
from tests.runtime.notes import KINDS, Note
from tests.runtime.tallies import TALLY_EVENTS, Log, Tally

pytestmark = pytest.mark.engine


@pytest.fixture
def tallies(make_platform: MakePlatform) -> Platform:
    return make_platform((*TALLY_EVENTS, *KINDS))


def long_tally(platform: Platform, events: int) -> Tally:
    tally = Tally.begin(new_id())
    for number in range(events - 1):
        tally.add(number)
    platform.store(ACTOR).save(tally)
    return tally


def another_process(platform: Platform) -> History:
    """With empty caches."""
    return History(platform.pool, (*TALLY_EVENTS, *KINDS), platform.keyring)


def loaded(history: History, stream_id: UUID) -> Aggregate | None:
    try:
        return history.aggregate(Aggregate, stream_id)
    except NoSuchThing:  # a log
        return None


def spoil_events(owner: psycopg.Connection[Any]) -> None:
    """Whoever reads events up to the snapshot fails."""
    owner.execute("ALTER TABLE es.event DISABLE TRIGGER USER")
    owner.execute("UPDATE es.event SET data = 'spoilt' WHERE version <= 400")


def test_only_what_follows_the_snapshot_is_read(tallies: Platform, owner: psycopg.Connection[Any]) -> None:
    tally = long_tally(tallies, 400)
    assert tallies.history.take_snapshots() == 1
    tally.add(7)
    tallies.store(ACTOR).save(tally)
    spoil_events(owner)
    found = another_process(tallies).aggregate(Tally, tally.id)
    assert found == tally
    assert found.version == 401


def test_the_aggregate_goes_on_from_its_snapshot(tallies: Platform) -> None:
    tally = long_tally(tallies, 250)
    tallies.history.take_snapshots()
    store = tallies.store(ACTOR)
    found = another_process(tallies).aggregate(Tally, tally.id)
    found.add(3)
    store.save(found)
    assert another_process(tallies).aggregate(Tally, tally.id).total == tally.total + 3


def test_an_older_version_than_the_snapshots_is_read_from_events(tallies: Platform) -> None:
    tally = long_tally(tallies, 250)
    tallies.history.take_snapshots()
    assert another_process(tallies).aggregate(Tally, tally.id, version=3).total == 0 + 1


def test_short_streams_and_what_has_a_fresh_snapshot_are_left_alone(tallies: Platform) -> None:
    long_tally(tallies, 199)
    tally = long_tally(tallies, 200)
    assert tallies.history.take_snapshots() == 1
    assert tallies.history.take_snapshots() == 0
    for number in range(200):
        tally.add(number)
    tallies.store(ACTOR).save(tally)
    assert tallies.history.take_snapshots() == 1
    assert rows_of(tallies, "SELECT stream_id, version FROM es.snapshot") == [(tally.id, 400)]


def test_a_log_has_none_and_is_not_read_for_one(tallies: Platform, owner: psycopg.Connection[Any]) -> None:
    """An edge's log has millions of events and nothing to load."""
    stream_id = new_id()
    for _ in range(200):
        tallies.store(ACTOR).record(Log.Written, stream_id)
    assert list(tallies.history.codec.aggregates_without_personal_text) == [Tally]
    spoil_events(owner)
    assert tallies.history.take_snapshots() == 0


def test_an_aggregate_with_personal_text_has_none(tallies: Platform) -> None:
    note = Note.open(new_id(), "Ada Lovelace")
    for number in range(250):
        note.add_line(number)
    tallies.store(ACTOR).save(note)
    assert tallies.history.take_snapshots() == 0
    assert rows_of(tallies, "SELECT count(*) FROM es.snapshot") == [(0,)]


def test_state_of_other_code_is_not_read_and_taken_anew(tallies: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    tally = long_tally(tallies, 200)
    with monkeypatch.context() as old_code:
        old_code.setattr(snapshots, "snapshot_topic", lambda kind: f"{kind.TOPIC}@old")
        old = another_process(tallies)
    assert old.take_snapshots() == 1
    with tallies.pool.connection() as connection:
        connection.execute("CREATE TEMP TABLE spoilt AS SELECT * FROM es.snapshot")
        connection.execute("DELETE FROM es.snapshot")
        connection.execute("INSERT INTO es.snapshot SELECT stream_id, version, topic, '{}' FROM spoilt")
    now = another_process(tallies)
    assert now.aggregate(Tally, tally.id) == tally
    assert now.take_snapshots() == 1
    assert another_process(tallies).aggregate(Tally, tally.id) == tally


def test_another_process_learns_of_a_snapshot_in_time(tallies: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    tally, other = long_tally(tallies, 200), another_process(tallies)
    store = other.snapshots
    assert isinstance(store, Snapshots)
    assert list(store.get(tally.id)) == []
    tallies.history.take_snapshots()
    assert list(store.get(tally.id)) == []
    later = store._known_until + 1
    monkeypatch.setattr("runtime.snapshots.time.monotonic", lambda: later)
    assert [one.originator_version for one in store.get(tally.id)] == [200]


def test_the_log_itself_is_untouched(tallies: Platform) -> None:
    long_tally(tallies, 200)
    before = rows_of(tallies, "SELECT e::text FROM es.event e ORDER BY position")
    tallies.history.take_snapshots()
    assert rows_of(tallies, "SELECT e::text FROM es.event e ORDER BY position") == before


def test_the_state_of_every_aggregate_of_the_site_comes_back_equal(platform: Platform) -> None:
    write_history(platform)
    history = platform.history
    mapper = SnapshotMapper(history.codec.aggregates_without_personal_text)
    seen = set[type[Aggregate]]()
    for (stream_id,) in rows_of(platform, "SELECT DISTINCT stream_id FROM es.event"):
        aggregate = loaded(history, stream_id)
        if aggregate is None or not mapper.covers(type(aggregate)):
            continue
        stored = mapper.to_stored_event(Snapshot.take(aggregate))
        back = mapper.to_domain_event(stored).mutate(None)  # type: ignore[attr-defined]
        assert back == aggregate
        assert {n: type(v) for n, v in vars(back).items()} == {n: type(v) for n, v in vars(aggregate).items()}
        seen.add(type(aggregate))
    covered = {kind for kind in domain.AGGREGATES if mapper.covers(kind)}
    assert covered - seen == set(), "every kind that may have one, by a whole history"
    assert len(seen) >= 10
    assert domain.users.User not in covered, "who has personal text"
