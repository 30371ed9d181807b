"""Rows of one stream: what a projection declares is true of every event, and a stream is made anew without the rest."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest

from projections import ALL
from projections.erasures import erasures
from projections.moderation import moderation
from projections.torrents import torrents
from runtime.platform import Platform
from runtime.rebuild import rebuild_stream
from tests.given import everything, projected, rows_of
from tests.history import write_history

pytestmark = pytest.mark.engine

BY_STREAM = [projection for projection in ALL if projection.stream]
STREAMS = (
    "SELECT DISTINCT e.stream_id FROM es.event e JOIN es.event_type t ON t.id = e.type"
    " WHERE t.name = ANY (%s) ORDER BY 1"
)


@pytest.fixture
def history(platform: Platform) -> Platform:
    write_history(platform)
    projected(platform, erasures)
    for (user_id,) in rows_of(platform, "SELECT user_id FROM read.erasure"):
        platform.keyring.destroy(user_id)  # as a worker does; no stream alone tells that its person is forgotten
    projected(platform, *ALL)
    return platform


def streams(platform: Platform, topics: list[str] | None) -> list[UUID]:
    return [stream for (stream,) in rows_of(platform, STREAMS, [topics])]


def test_streams_made_anew_one_by_one_are_all_that_there_is(history: Platform, owner: psycopg.Connection[Any]) -> None:
    """A handler that read or wrote a row of another stream would differ here: each starts from nothing."""
    assert len(BY_STREAM) >= 12
    for projection in BY_STREAM:
        before = {table: everything(history, table) for table in projection.tables}
        owner.execute("; ".join(f"TRUNCATE read.{table}" for table in projection.tables))
        for stream in streams(history, projection.topics):
            rebuild_stream(history, projection, stream)
        assert {table: everything(history, table) for table in projection.tables} == before, projection.name
    assert rows_of(history, "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^stream_'") == [(0,)]


def test_readers_see_the_rows_of_before_or_those_of_after_and_never_none(history: Platform) -> None:
    (stream, *_) = streams(history, torrents.topics)
    done, seen = threading.Event(), set[int]()

    def read() -> None:
        while not done.is_set():
            ((count,),) = rows_of(history, "SELECT count(*) FROM read.torrent_file WHERE torrent_id = %s", [stream])
            seen.add(count)

    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(read)
        for _ in range(10):
            rebuild_stream(history, torrents, stream)
        done.set()
        reading.result(10)
    assert len(seen) == 1


def test_a_parked_stream_is_made_anew_and_parked_no_more(history: Platform, owner: psycopg.Connection[Any]) -> None:
    (stream, other, *_) = streams(history, moderation.topics)
    owner.execute(
        "INSERT INTO es.dead_letter (follower, position, stream_id, parked, attempts)"
        " SELECT %s, position, stream_id, true, 3 FROM es.event WHERE stream_id = ANY (%s)",
        (moderation.name, [stream, other]),
    )
    owner.execute("DELETE FROM read.moderation_case WHERE case_id = %s", (stream,))
    before = {table: everything(history, table) for table in moderation.tables}
    rebuild_stream(history, moderation, stream)
    assert rows_of(history, "SELECT DISTINCT stream_id FROM es.dead_letter") == [(other,)]
    assert len(everything(history, "moderation_case") - before["moderation_case"]) == 1
