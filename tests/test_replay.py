"""Every event survives storage equal, and every projection that is built again equals the live one, byte for byte."""

from __future__ import annotations

import pytest

from commands.policies import POLICIES
from domain import AGGREGATES, EVENTS
from projections import ALL
from runtime.facts import AnyCaused, FactLog
from runtime.follow import Step
from runtime.platform import Platform
from runtime.projection import Follower
from runtime.rebuild import rebuild, verify
from runtime.recorder import VersionedEvent
from tests.history import write_history


@pytest.fixture
def site(platform: Platform) -> Platform:
    write_history(platform)
    return platform


def facts(platform: Platform) -> list[AnyCaused]:
    log = FactLog(platform.history)
    with platform.pool.connection() as connection:
        return log.read(connection, 0, log.safe_position(connection), None, 100_000)


@pytest.mark.engine
def test_the_history_has_every_event_type_at_least_twice(site: Platform) -> None:
    counts = {kind: 0 for kind in EVENTS}
    for fact in facts(site):
        counts[type(fact.event)] += 1
    assert {kind.__qualname__: n for kind, n in counts.items() if n < 2} == {}


@pytest.mark.engine
def test_every_event_survives_storage_equal(site: Platform) -> None:
    """What is read back equals what was decided, in values and in types (house trap T4)."""
    for fact in facts(site):
        stored = site.history.codec.to_stored_event(fact.event)
        row = VersionedEvent(**vars(stored), schema_version=site.history.codec.schema_version(stored.topic))
        again = site.history.codec.to_domain_event(row)
        assert vars(again) == vars(fact.event)
        assert {k: type(v) for k, v in vars(again).items()} == {k: type(v) for k, v in vars(fact.event).items()}


@pytest.mark.engine
def test_every_aggregate_loads_from_what_was_stored(site: Platform) -> None:
    topics = {a.TOPIC: a for a in AGGREGATES}
    for fact in facts(site):
        aggregate = topics[fact.topic.partition(".")[0]]
        if aggregate.__name__ != "EdgeJournal":  # a log stream: nothing is decided from it
            assert site.history.aggregate(aggregate, fact.stream_id).version >= fact.version


@pytest.mark.engine
def test_every_rebuilt_projection_equals_the_live_one(site: Platform, repeated: list[str]) -> None:
    engine = site.engine()
    followers: tuple[Follower, ...] = (*POLICIES, *ALL)  # what policies do is projected too
    for follower in followers:
        assert engine.drain(follower) is Step.IDLE, follower.name
    for projection in ALL:
        before = verify(site, projection)
        assert {t.table for t in before} == set(projection.tables)
        assert {t.table: t.differences for t in before} == dict.fromkeys(projection.tables, 0)
        rebuild(site, projection)
        after = verify(site, projection)
        assert [(t.table, t.rows, t.differences) for t in after] == [(t.table, t.rows, 0) for t in before]
        assert not repeated, "\n".join(repeated)


@pytest.mark.engine
def test_every_read_table_has_rows_after_a_full_history(site: Platform) -> None:
    """An empty table would be equal to anything that is empty: the comparison above would prove nothing."""
    engine = site.engine()
    for projection in ALL:
        engine.drain(projection)
    empty = {t.table for projection in ALL for t in verify(site, projection) if t.rows == 0}
    assert empty <= {"ledger_open_entry"}, empty
