"""The machine's clock jumps: nobody is expired for that, and the journal stays in order, over a restart too."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
import uvloop

from domain.announces import Announce, Event
from runtime.settings import Edge as EdgeSettings
from tests.tracker_edge.edges import ANN, BOB, FILM, MemoryStore, Table, get, peer, sources, target
from tests.tracker_edge.test_store import NOW, chain, put
from tracker_edge import restore
from tracker_edge.protocol.compact import packed
from tracker_edge.server import Edge
from tracker_edge.swarms import Swarms

HOUR = 3600
DAY = 24 * HOUR
US = 1_000_000


class Clock:
    """The machine's clock as somebody sets it."""

    def __init__(self) -> None:
        self.jump_s = 0

    def __call__(self) -> int:
        return time.time_ns() // 1000 + self.jump_s * US


def edge_with(clock: Clock, tmp_path: Path, store: MemoryStore) -> Edge:
    settings = EdgeSettings.model_construct(**{**EdgeSettings().model_dump(), "http_port": 0, "udp_port": 0})
    return Edge(settings, tmp_path / "edge", sources(Table(), store), rng=Random(1), now_us=clock)


def expired(edge: Edge) -> int:
    """How many the sweep would remove now."""
    return len(edge.swarms.expire(edge.server.now_s - edge.settings.peer_ttl_s, 1000, others_s=300))


@pytest.mark.parametrize("jump_s", [HOUR, -HOUR, DAY, -DAY, 12 * 365 * DAY])
def test_a_jump_expires_nobody_and_keeps_the_journal_in_order(tmp_path: Path, jump_s: int) -> None:
    clock, store = Clock(), MemoryStore()

    async def work() -> None:
        edge = edge_with(clock, tmp_path, store)
        await edge.start()
        await get(edge.ports[0], target(1, ANN))
        clock.jump_s = jump_s
        edge.server.tick()
        assert expired(edge) == 0
        await get(edge.ports[0], target(2, BOB))
        clock.jump_s = 0
        assert expired(edge) == 0
        await get(edge.ports[0], target(1, ANN, event="completed", left="0"))
        assert len(edge.swarms) == 2
        await edge.stop()

    uvloop.run(work())
    times = [announce.received_at_us for announce in store.announces]
    assert len(times) == 3
    assert times == sorted(times)


@pytest.mark.parametrize("jump_s", [-HOUR, DAY])
def test_a_restart_after_a_jump_goes_on_where_the_journal_ends(tmp_path: Path, jump_s: int) -> None:
    clock, store = Clock(), MemoryStore()
    store.away = True

    async def work() -> None:
        edge = edge_with(clock, tmp_path, store)
        await edge.start()
        await get(edge.ports[0], target(1, ANN))
        await edge.stop()
        clock.jump_s = jump_s
        store.away = False
        edge = edge_with(clock, tmp_path, store)
        await edge.start()
        assert len(edge.swarms) == 1
        assert expired(edge) == 0, "who could not announce while we were away has an interval to do so"
        await get(edge.ports[0], target(2, BOB))
        await edge.stop()

    uvloop.run(work())
    first, second = (announce.received_at_us for announce in store.announces)
    assert second >= first


@pytest.mark.parametrize("ahead_s", [-DAY, HOUR, DAY])
def test_a_replayed_peer_is_neither_in_the_future_nor_silent_at_once(ahead_s: int) -> None:
    swarms, now_s, now_us = Swarms(Random(1)), 100_000, 10**15
    who = ANN.bytes, FILM.bytes, peer(1)
    announce = Announce(now_us + ahead_s * US, *who, Event.REGULAR, 0, 0, 0, packed("9.9.9.9"), 7001, 0)
    restore.apply(swarms, announce, now_us, now_s, now_s - 5400)
    [session] = swarms.sessions()
    assert session.seen[0] == (now_s if ahead_s > 0 else now_s - 5400)


@pytest.mark.engine
def test_the_store_knows_when_an_edges_journal_ends(owner: psycopg.Connection[tuple[Any, ...]]) -> None:
    assert restore.newest_us(owner, "edge-1") == 0
    put(owner, *chain(3))
    assert restore.newest_us(owner, "edge-1") == int(NOW.timestamp() + 180) * US
