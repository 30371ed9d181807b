"""Events that the running code does not know yet, or not any more: followers wait for the code that does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from domain.base import Aggregate
from runtime.db import Writer
from runtime.facts import Fact, FactLog
from runtime.follow import Step
from runtime.follower_settings import NoSuchType, ignore_type
from runtime.health import followers
from runtime.platform import Platform
from runtime.projection import Projection
from runtime.store import new_id
from tests.conftest import MakePlatform
from tests.given import ACTOR, projected, rows_of
from tests.runtime.notes import KINDS, Note, make_projection

APPEND = (
    "WITH kind AS (INSERT INTO es.event_type (name) VALUES (%s) ON CONFLICT (name) DO UPDATE SET name = excluded.name"
    " RETURNING id) SELECT es.append(gen_random_uuid(), '', '', gen_random_uuid(), gen_random_uuid(),"
    " gen_random_uuid(), 'api', NULL, NULL, ARRAY[%s::uuid], ARRAY[%s::int], ARRAY[id], ARRAY[%s::smallint],"
    " ARRAY[%s::bytea]) FROM kind"
)
FUTURE = "note.from_the_future"

AppendRaw = Callable[..., int]


class Tagged(Aggregate.Event):
    """What newer code knows."""

    TOPIC = FUTURE
    tag: str


@pytest.fixture
def append(owner: psycopg.Connection[Any]) -> AppendRaw:
    """Appends an event that this code could not write; returns its position."""

    def append(topic: str = FUTURE, stream: UUID | None = None, version: int = 1, schema: int = 1) -> int:
        data = b'{"timestamp":"2031-01-01T12:00:00Z","tag":"x","number":1}'
        row = owner.execute(APPEND, (topic, stream or new_id(), version, schema, data)).fetchone()
        assert row is not None
        return int(row[0][0])

    return append


def write(platform: Platform) -> Note:
    note = Note.open(new_id())
    platform.store(ACTOR).save(note)
    return note


def count(platform: Platform) -> int:
    return int(rows_of(platform, "SELECT count(*) FROM read.note")[0][0])


def state(platform: Platform, name: str = "notes") -> tuple[Any, ...]:
    (row,) = rows_of(platform, "SELECT state, failed_position, error FROM es.follower WHERE name = %s", [name])
    return row


def test_a_follower_waits_before_an_event_of_a_type_that_its_code_does_not_know(
    notes: Platform, append: AppendRaw
) -> None:
    """Also one that does not read such events: newer code's follower of the same name may."""
    write(notes)
    unknown = append()
    write(notes)
    for _ in range(2):
        assert notes.engine().drain(notes.followers[0]) is Step.WAITING
    assert count(notes) == 1, "what comes before is handled, what comes after is not"
    assert state(notes) == ("waiting", unknown, f"no event class has the topic {FUTURE!r}")
    with notes.pool.connection() as connection:
        (stand,) = followers(connection)
    assert (stand["state"], stand["failed_position"], stand["lag_events"]) == ("waiting", unknown, 2)


def test_newer_code_goes_on_where_older_code_waits_and_leaves_nothing_out(
    notes: Platform, append: AppendRaw, make_platform: MakePlatform
) -> None:
    write(notes)
    append()
    write(notes)
    old = notes.engine()
    assert old.drain(notes.followers[0]) is Step.WAITING
    projection, tags = make_projection(), list[str]()

    @projection.on(Tagged)
    def tagged(fact: Fact[Tagged], db: Writer) -> None:
        tags.append(fact.event.tag)

    newer = make_platform((*KINDS, Tagged), (projection,))
    assert newer.engine().drain(projection) is Step.IDLE
    assert (tags, count(notes), state(notes)) == (["x"], 2, ("running", None, None))
    write(notes)
    assert old.drain(notes.followers[0]) is Step.IDLE, "what is behind does not matter"
    assert count(notes) == 3


def test_a_newer_version_of_a_known_event_is_waited_for_too(notes: Platform, append: AppendRaw) -> None:
    note = write(notes)
    unknown = append("note.line_added", note.id, 2, schema=2)
    assert notes.engine().drain(notes.followers[0]) is Step.WAITING
    assert state(notes)[:2] == ("waiting", unknown)
    assert "schema version 2, newer than 1" in state(notes)[2]


def test_who_reads_everything_waits_as_well(notes: Platform, append: AppendRaw) -> None:
    everything, seen = Projection("everything"), list[str]()
    everything.on(Aggregate.Event)(lambda fact, db: seen.append(fact.topic))
    write(notes)
    append()
    assert notes.engine().drain(everything) is Step.WAITING
    assert seen == ["note.opened"]


def test_a_type_of_code_that_was_taken_back_is_ignored_at_an_operators_word(notes: Platform, append: AppendRaw) -> None:
    everything, seen = Projection("everything"), list[str]()
    everything.on(Aggregate.Event)(lambda fact, db: seen.append(fact.topic))
    append()
    write(notes)
    engine = notes.engine()
    for follower in (notes.followers[0], everything):
        assert engine.drain(follower) is Step.WAITING
    ignore_type(notes, FUTURE)
    for follower in (notes.followers[0], everything):
        assert engine.drain(follower) is Step.IDLE
    assert (count(notes), seen) == (1, ["note.opened"])
    with notes.pool.connection() as connection:
        read = FactLog(notes.history).read(connection, 0, 100, None, 100)
    assert [fact.topic for fact in read] == ["note.opened"], "nor does a rebuild meet it"
    append("note.another")
    assert engine.drain(everything) is Step.WAITING, "it was one type, not all"


@pytest.mark.parametrize("topic", ["note.opened", "no.such", ""])
def test_types_that_nobody_waits_for_cannot_be_ignored(notes: Platform, topic: str) -> None:
    write(notes)
    projected(notes, notes.followers[0])
    with pytest.raises(NoSuchType):
        ignore_type(notes, topic)
