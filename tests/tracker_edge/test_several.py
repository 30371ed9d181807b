"""Several edges over one store: each sees the others' peers, one peer stays one, and an id has one writer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest
import uvloop

from domain.announce_keys import announce_key
from domain.announces import Announce, Event, decode, pack
from runtime.journal import Fenced, Segment, segments, verify
from runtime.platform import Platform
from tests.tracker_edge.edges import ANN, BOB, FILM, exchange, get, peer, target
from tests.tracker_edge.test_store import member
from tracker_edge import abandoned
from tracker_edge.journal import Journal
from tracker_edge.others import Latest, apply
from tracker_edge.protocol.compact import packed
from tracker_edge.server import Edge, from_platform
from tracker_edge.swarms import Swarms

Owner = psycopg.Connection[tuple[Any, ...]]

NOW_S = 1_000_000
NOW_US = 1_900_000_000_000_000
TTL_S = 7200
SECOND = 1_000_000


def heard(at_us: int, event: Event = Event.REGULAR, *, number: int = 1, left: int = 5) -> Announce:
    who = ANN.bytes, FILM.bytes, peer(number)
    return Announce(at_us, *who, event, 0, 0, left, packed("8.8.8.8"), 7000 + number, 0)


class Here:
    """Swarms that hear announces themselves and from another edge, at times in seconds before now."""

    def __init__(self) -> None:
        self.swarms = Swarms(Random(1))
        self.latest = Latest(TTL_S)

    def local(self, ago_s: float, event: Event = Event.REGULAR, number: int = 1) -> None:
        at_us, at_s = NOW_US - int(ago_s * SECOND), NOW_S - int(ago_s)
        announce = heard(at_us, event, number=number)
        swarm = self.swarms.swarm(FILM.bytes)
        self.swarms.announce(
            swarm, self.swarms.user(ANN.bytes), peer(number), event, 5, announce.address, announce.port, at_s
        )
        self.latest.note(FILM.bytes + ANN.bytes + peer(number), event, at_us)

    def other(self, ago_s: float, event: Event = Event.REGULAR, number: int = 1) -> bool:
        announce = heard(NOW_US - int(ago_s * SECOND), event, number=number)
        return apply(self.swarms, self.latest, announce, NOW_US, NOW_S, TTL_S)

    @property
    def peers(self) -> int:
        assert self.swarms.counts(FILM.bytes).incomplete == len(self.swarms)
        return len(self.swarms)


def test_a_peer_that_hops_is_one_peer() -> None:
    here = Here()
    here.local(10, Event.STARTED)
    assert here.other(5)
    here.local(0)
    assert here.peers == 1


@pytest.mark.parametrize("forgotten", [0, 1, 2], ids=["exact", "one rotation", "whole seconds"])
def test_the_newest_word_holds_in_whatever_order_it_comes(forgotten: int) -> None:
    here = Here()
    here.local(10.0, Event.STARTED)
    for _ in range(forgotten):
        here.latest.rotate(NOW_US)
    assert not here.other(12.0, Event.STOPPED)
    assert here.peers == 1
    assert here.other(7.0, Event.STOPPED)
    assert here.peers == 0
    assert not here.other(8.0, Event.REGULAR), "an older announce does not bring it back"
    assert here.other(6.0, Event.STARTED)
    assert here.peers == 1


def test_within_one_second_the_microseconds_decide() -> None:
    here = Here()
    here.local(0.1, Event.STARTED)
    assert not here.other(0.3, Event.STOPPED)
    assert here.other(0.05, Event.STOPPED)
    assert not here.other(0.07)
    assert here.peers == 0


def test_a_peer_that_left_before_its_older_announces_arrive_stays_away() -> None:
    here = Here()
    assert not here.other(5, Event.STOPPED)
    assert not here.other(6, Event.STARTED)
    assert not here.other(9, Event.EXPIRED, number=2)
    assert here.peers == 0


def test_silence_elsewhere_is_no_silence_here() -> None:
    here = Here()
    here.local(100)
    here.other(100, number=2)
    for _ in range(2):
        here.latest.rotate(NOW_US)
    assert not here.other(0, Event.EXPIRED), "it spoke to us"
    assert here.other(0, Event.EXPIRED, number=2), "who heard it last says so"
    assert not here.other(TTL_S + 1, Event.REGULAR, number=3), "this one would be expired at once"
    assert here.peers == 1


def test_others_peers_are_expired_later() -> None:
    here = Here()
    here.local(TTL_S + 10)
    here.other(TTL_S - 10, number=2)
    assert [g.peer_id for g in here.swarms.expire(NOW_S - TTL_S, 100, others_s=300)] == [peer(1)]
    assert [g.peer_id for g in here.swarms.expire(NOW_S - TTL_S + 20, 100, others_s=300)] == []
    assert [g.peer_id for g in here.swarms.expire(NOW_S - TTL_S + 320, 100, others_s=300)] == [peer(2)]


def test_who_left_is_forgotten_after_a_while() -> None:
    here = Here()
    here.local(TTL_S + 1, Event.STOPPED)
    here.local(5, Event.STOPPED, number=2)
    here.latest.rotate(NOW_US)
    assert len(here.latest.stopped) == 1


def rights(owner: Owner) -> None:
    for number in (1, 2, 3):
        member(owner, number, number)
    owner.execute(
        "INSERT INTO read.announce_torrent (torrent_id, info_hash_v1, info_hash_v2, state, reason, size, changed_pos)"
        " VALUES (%s, %s, NULL, 'approved', '', 1000, 9)",
        (FILM, b"\x01" * 20),
    )


def asking(platform: Platform, number: int, user_id: UUID = ANN, *, event: str = "", left: str = "5") -> str:
    own = announce_key(platform.secrets.site, user_id, 1, FILM)
    return target(number, user_id, announce_key=own, event=event, left=left)


@asynccontextmanager
async def edge_of(platform: Platform, edge_id: str, folder: Path) -> AsyncIterator[Edge]:
    settings = platform.settings.edge.model_copy(update={"id": edge_id, "http_port": 0, "udp_port": 0})
    edge = Edge(settings, folder, from_platform(platform, edge_id))
    await edge.start()
    try:
        yield edge
    finally:
        await edge.stop()


async def within(seconds: float, question: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not question():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        await asyncio.sleep(0.005)
    return time.monotonic() - began


def run(work: Coroutine[Any, Any, None]) -> None:
    uvloop.run(work)


@pytest.mark.engine
def test_edges_see_each_others_peers_soon(platform: Platform, owner: Owner, tmp_path: Path) -> None:
    rights(owner)

    async def work() -> None:
        async with (
            edge_of(platform, "one", tmp_path / "edge" / "one") as one,
            edge_of(platform, "two", tmp_path / "edge" / "two") as two,
        ):
            await get(one.ports[0], asking(platform, 1, left="0", event="started"))
            assert await within(2, lambda: len(two.swarms) == 1) < 1
            answer = await get(two.ports[0], asking(platform, 2, BOB))
            assert b"5:peers6:\x7f\0\0\1" + (7001).to_bytes(2, "big") in answer
            await within(2, lambda: len(one.swarms) == 2)
            await get(two.ports[0], asking(platform, 1, left="0", event="stopped"))
            await within(2, lambda: len(one.swarms) == 1)
            async with edge_of(platform, "three", tmp_path / "edge" / "three") as three:
                assert three.swarms.counts(FILM.bytes)[:1] == (0,)
                assert len(three.swarms) == 1

    run(work())
    for edge_id in ("one", "two"):
        assert verify(segments(owner, edge_id)) is not None


@pytest.mark.engine
def test_a_fenced_edge_stops_acknowledging_and_what_it_acknowledged_is_kept(
    platform: Platform, owner: Owner, tmp_path: Path
) -> None:
    """Somebody starts the same id elsewhere, while the first one still runs."""
    rights(owner)
    first_home, second_home = tmp_path / "a" / "one", tmp_path / "b" / "one"

    async def work() -> None:
        async with edge_of(platform, "one", first_home) as first:
            port = first.ports[0]
            await get(port, asking(platform, 1))
            await within(2, lambda: first.journal.depth_bytes < 100)
            async with edge_of(platform, "one", second_home) as second:
                assert b"5:peers" in await get(second.ports[0], asking(platform, 2, BOB))
                await within(2, lambda: isinstance(first.journal.failure, Fenced))
                assert first.failed.is_set()
                with pytest.raises(OSError):  # noqa: PT011 - refused or reset
                    await exchange(port, b"GET / HTTP/1.0\r\n\r\n")
                assert b"5:peers" in await get(second.ports[0], asking(platform, 3, BOB))

    run(work())
    assert verify(segments(owner, "one")) is not None


@pytest.mark.engine
def test_records_of_a_fenced_edge_are_shipped_as_a_chain_of_their_own(
    platform: Platform, owner: Owner, tmp_path: Path
) -> None:
    rights(owner)
    sources = from_platform(platform)
    assert sources.head is not None
    home = tmp_path / "edge" / "edge-1"

    async def work() -> None:
        journal = Journal(home, 5)
        for group in ((1, 2), (3,)):
            for number in group:
                journal.append(pack(heard(NOW_US + number, number=number)))
            await journal.settled()
            if group == (1, 2):
                await journal.rotate()
        await journal.close()

    run(work())
    aside = abandoned.set_aside(home)
    assert aside is not None
    assert abandoned.set_aside(home) is None
    own = tmp_path / "edge" / "other"
    assert abandoned.ship_all(own, sources.ship, sources.keys, sources.head) == [], "it may still be written to"
    assert abandoned.ship_all(own, sources.ship, sources.keys, sources.head, idle_s=0) == [aside.name]
    assert abandoned.ship_all(own, sources.ship, sources.keys, sources.head, idle_s=0) == []
    stored = [record for segment in segments(owner, aside.name) for record in decode(segment.payload)]
    assert [record.received_at_us - NOW_US for record in stored] == [1, 2, 3]


async def written(home: Path, *groups: Sequence[int], first_seq: int = 5) -> None:
    """A journal with a file for each group; the last one is open."""
    journal = Journal(home, first_seq)
    for number, group in enumerate(groups, start=1):
        for n in group:
            journal.append(pack(heard(NOW_US + n, number=n)))
        await journal.settled()
        if number < len(groups):
            await journal.rotate()
    await journal.close()


@pytest.mark.engine
@pytest.mark.parametrize("removed", [None, *range(4)])  # None: it dies before it begins to
@pytest.mark.parametrize("groups", [((1, 2), (3,), (4,)), ((1, 2),)])
def test_a_process_that_dies_while_it_sets_a_journal_aside_doubles_nothing(
    platform: Platform,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    groups: Sequence[Sequence[int]],
    removed: int | None,
) -> None:
    """It is started again, goes on with what is left there, is fenced again, and sets that aside, too."""
    sources = from_platform(platform)
    assert sources.head is not None
    home = tmp_path / "edge" / "edge-1"
    run(written(home, *groups))
    unlinked, unlink = iter(range(100)), Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        if path.parent == home and next(unlinked) == removed:
            raise KeyboardInterrupt
        unlink(path, missing_ok=missing_ok)

    def killed_before(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(Path, "unlink", killed)
        if removed is None:
            patch.setattr("tracker_edge.journal.remove_upto", killed_before)
        abandoned.set_aside(home)
    run(written(home, (7,)))
    abandoned.set_aside(home)
    shipped = abandoned.ship_all(home.parent / "x", sources.ship, sources.keys, sources.head, idle_s=0)
    with platform.pool.connection() as connection:
        stored = [
            record.received_at_us - NOW_US
            for edge_id in shipped
            for segment in segments(connection, edge_id)
            for record in decode(segment.payload)
        ]
    assert sorted(stored) == [*(n for group in groups for n in group), 7]


@pytest.mark.engine
def test_one_abandoned_journal_that_cannot_be_read_keeps_no_other(platform: Platform, tmp_path: Path) -> None:
    """Nor does a file that another process ships and deletes while this one looks."""
    sources = from_platform(platform)
    assert sources.head is not None
    edges = tmp_path / "edge"
    run(written(edges / "damaged", (1,), (2,)))
    (edges / "damaged" / f"{5:016d}.journal").write_bytes(b"nonsense")
    (edges / "gone").mkdir()
    (edges / "gone" / f"{1:016d}.journal").symlink_to("nowhere")
    run(written(edges / "whole", (3,), first_seq=1))
    shipped = abandoned.ship_all(edges / "own", sources.ship, sources.keys, sources.head, idle_s=0)
    assert shipped == ["whole"]


@pytest.mark.engine
def test_what_a_fenced_edge_had_acknowledged_is_not_lost(platform: Platform, owner: Owner, tmp_path: Path) -> None:
    """The first one cannot reach the store when the second one takes its id over."""
    rights(owner)
    first_home, second_home = tmp_path / "a" / "one", tmp_path / "b" / "one"
    sources = from_platform(platform, "one")
    assert sources.head is not None
    away = threading.Event()

    def ship(found: Sequence[Segment]) -> None:
        if away.is_set():
            raise ConnectionError
        sources.ship(found)

    async def work() -> None:
        settings = platform.settings.edge.model_copy(update={"id": "one", "http_port": 0, "udp_port": 0})
        first = Edge(settings, first_home, replace(sources, ship=ship, tail=None))
        await first.start()
        await get(first.ports[0], asking(platform, 1))
        await within(2, lambda: first.journal.open_seq == 2 and not first.journal.closed)
        away.set()
        for number in (2, 3):
            assert b"5:peers" in await get(first.ports[0], asking(platform, number))
        async with edge_of(platform, "one", second_home) as second:
            await get(second.ports[0], asking(platform, 4, BOB))
        away.clear()
        await within(5, lambda: isinstance(first.journal.failure, Fenced))
        await first.stop()

    run(work())
    [shipped] = abandoned.ship_all(first_home.parent / "x", sources.ship, sources.keys, sources.head, idle_s=0)
    stored = [
        record.peer_id for name in ("one", shipped) for s in segments(owner, name) for record in decode(s.payload)
    ]
    assert sorted(stored) == [peer(number) for number in (1, 2, 3, 4)]
