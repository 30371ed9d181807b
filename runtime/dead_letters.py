"""Facts that followers have passed without handling them: which they are, and how they are handled after all."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection

from runtime.facts import FactLog
from runtime.follow import TRACE_CHARS, passes
from runtime.follower_settings import named
from runtime.platform import Platform
from runtime.projection import Follower

#: Facts per transaction of a replay.
AT_ONCE = 100
LISTED = 1000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One fact. `parked`: all later ones of its stream wait behind it; `error` is the end of a traceback, None for
    those that only wait."""

    follower: str
    position: int
    stream_id: UUID
    topic: str | None  # None: the log has no such fact
    parked: bool
    error: str | None
    attempts: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many dead letters were handled, and how many are left because one of their stream fails again."""

    handled: int
    left: int


_LETTERS = """
SELECT l.follower, l.position, l.stream_id, t.name, l.parked, l.error, l.attempts, l.at
FROM es.dead_letter l LEFT JOIN es.event e USING (position) LEFT JOIN es.event_type t ON t.id = e.type
WHERE (%(follower)s::text IS NULL OR l.follower = %(follower)s) AND l.position > %(after)s
ORDER BY l.position, l.follower LIMIT %(limit)s
"""


def dead_letters(
    platform: Platform, follower: str | None = None, *, after: int = 0, limit: int = LISTED
) -> list[DeadLetter]:
    """At most `limit` of them beyond position `after`, of one follower or of all, in the order of the log."""
    with platform.pool.connection() as connection:
        rows = connection.execute(_LETTERS, {"follower": follower, "after": after, "limit": limit}).fetchall()
        letters = [DeadLetter(*row) for row in rows]
        return _named(platform, connection, letters)


def _named(platform: Platform, connection: Connection[Any], letters: list[DeadLetter]) -> list[DeadLetter]:
    """With the topics of those whose facts lie in files."""
    positions = [letter.position for letter in letters if letter.topic is None]
    found = FactLog(platform.history).at(connection, positions) if positions else []
    topics = {entry.position: entry.topic(platform.history.types) for entry in found}
    return [replace(one, topic=one.topic or topics.get(one.position)) for one in letters]


def counts(connection: Connection[Any]) -> dict[str, int]:
    """How many dead letters each follower has that has any."""
    return dict(connection.execute("SELECT follower, count(*) FROM es.dead_letter GROUP BY 1").fetchall())


def replay(platform: Platform, name: str, stream_id: UUID | None = None) -> Replayed:
    """Handle the dead letters of a follower, of one stream or of all, each stream in order and each letter once.

    A stream ends at the first letter that fails again; its error is kept with it. Raises `NoSuchFollower`, and
    `psycopg.OperationalError` when the follower is busy for seconds or the database goes away: what was handled by then
    stays handled.
    """
    follower = named(platform, name)
    streams = [stream_id] if stream_id else _streams(platform, name)
    handled = sum(_replay_stream(platform, follower, one) for one in streams)
    return Replayed(handled, sum(_left(platform, name, one) for one in streams))


def _replay_stream(platform: Platform, follower: Follower, stream_id: UUID) -> int:
    engine, handled, limit = platform.engine(), 0, AT_ONCE
    while True:
        try:
            count = engine.replay(follower, stream_id, limit)
        except Exception as error:
            if passes(error):
                raise
            if limit > 1:
                limit = 1  # those before the one that fails are handled
                continue
            _note(platform, follower.name, stream_id, error)
            return handled
        if count == 0:
            return handled
        handled += count


def _note(platform: Platform, name: str, stream_id: UUID, error: Exception) -> None:
    """Keep the error of the oldest letter of a stream."""
    text = "".join(traceback.format_exception(error))[-TRACE_CHARS:]
    with platform.projector_pool.connection() as connection:
        connection.execute(
            "UPDATE es.dead_letter SET error = %s, attempts = attempts + 1 WHERE follower = %s AND position = ("
            " SELECT min(position) FROM es.dead_letter WHERE follower = %s AND stream_id = %s)",
            (text, name, name, stream_id),
        )


def _streams(platform: Platform, name: str) -> list[UUID]:
    with platform.pool.connection() as connection:
        rows = connection.execute(
            "SELECT stream_id FROM es.dead_letter WHERE follower = %s GROUP BY 1 ORDER BY min(position)", (name,)
        ).fetchall()
    return [stream_id for (stream_id,) in rows]


def _left(platform: Platform, name: str, stream_id: UUID) -> int:
    with platform.pool.connection() as connection:
        row = connection.execute(
            "SELECT count(*) FROM es.dead_letter WHERE follower = %s AND stream_id = %s", (name, stream_id)
        ).fetchone()
    assert row is not None
    return int(row[0])
