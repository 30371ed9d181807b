"""Facts that a test starts from, and what projections make of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from domain.base import Aggregate
from runtime.follow import Step
from runtime.platform import Platform
from runtime.projection import Follower, Policy
from runtime.store import Store

#: Who does what no test asks about.
ACTOR = UUID("0199a4f0-0000-7000-8000-00000000a001")
#: From so many followers on, one question is cheaper than running those that have nothing to read.
MANY = 5
_RUNNING = "SELECT name, position FROM es.follower WHERE name = ANY (%s) AND state = 'running'"
_NEWEST = """
SELECT t.name, max(e.position) FROM es.event e JOIN es.event_type t ON t.id = e.type WHERE e.position > %s GROUP BY 1
"""
#: When it was done.
NOON = datetime(2031, 1, 1, 12, 0, tzinfo=UTC)


class Given:
    """Writes history. Every call of `facts` is one command by `actor_id`; versions continue each stream."""

    def __init__(self, platform: Platform, actor_id: UUID = ACTOR) -> None:
        self.platform = platform
        self.actor_id = actor_id

    @property
    def store(self) -> Store:
        """A store for one more command."""
        return self.platform.store(self.actor_id, "api")

    def aggregates(self, *aggregates: Aggregate) -> int:
        """Save what these aggregates decided; returns the position."""
        return self.store.save(*aggregates).position

    def facts(self, *events: Aggregate.Event) -> int:
        """Append these events as they are; returns the last position."""
        store = self.store
        recordings = self.platform.history.events.put(list(events), metadata=store.metadata)
        return recordings[-1].notification.id


def event(kind: type[Any], stream_id: UUID, version: int = 1, at: datetime = NOON, /, **fields: Any) -> Any:
    """One event, without asking any aggregate."""
    names = {field.name for field in dataclasses.fields(kind)}
    if "originator_topic" in names:
        fields["originator_topic"] = kind.TOPIC.partition(".")[0]
    return kind(originator_id=stream_id, originator_version=version, timestamp=at, **fields)


def projected(platform: Platform, *followers: Follower) -> None:
    """Run these followers until nothing is left; fails when one of them halts.

    Of many, those that have nothing to read are left where they stand: to move them all costs more than most tests.
    """
    engine, behind = platform.engine(), _behind(platform, followers)
    for follower in followers:
        if follower.name in behind:
            step = engine.drain(follower)
            assert step is not Step.HALTED, halted_error(platform, follower)
        if isinstance(follower, Policy):  # what it decided is for others to read
            behind = _behind(platform, followers)


def _behind(platform: Platform, followers: Sequence[Follower]) -> set[str]:
    """The names of those that have something to read, or that do not run."""
    names = [follower.name for follower in followers]
    if len(names) < MANY:
        return set(names)
    stand = {name: position for name, position in rows_of(platform, _RUNNING, [names])}
    newest = dict(rows_of(platform, _NEWEST, [min(stand.values(), default=0)]))
    if not newest.keys() <= set(platform.history.codec.topics):
        return set(names)
    return {
        follower.name
        for follower in followers
        if follower.name not in stand
        or any(
            position > stand[follower.name]
            for topic, position in newest.items()
            if follower.topics is None or topic in follower.topics
        )
    }


def halted_error(platform: Platform, follower: Follower) -> str:
    """Why a follower stopped."""
    rows = rows_of(platform, "SELECT error FROM es.follower WHERE name = %s", [follower.name])
    return str(rows[0][0])


def store_clock(platform: Platform, moment: datetime) -> None:
    """What the store takes from now on, it took at that moment: by its own clock, whatever those of writers say."""
    url = platform.settings.database.owner_url
    with psycopg.connect(url, autocommit=True) as owner:
        default = sql.SQL("ALTER TABLE es.event ALTER recorded_at SET DEFAULT {}")
        owner.execute(default.format(sql.Literal(moment)))


def rows_of(platform: Platform, query: Any, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """What the application's role reads."""
    with platform.pool.connection() as connection:
        return connection.execute(query, params).fetchall()


def everything(platform: Platform, table: str) -> set[str]:
    """Every row of a read table as text, to compare two runs of a projection."""
    with platform.pool.connection() as connection:
        return {row[0] for row in connection.execute(f"SELECT t::text FROM read.{table} t").fetchall()}
