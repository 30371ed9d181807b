"""An edge's UDP sockets: both families, replies after the disk, shutdown, floods, and what HTTP shares with them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import bencodepy
import pytest
import uvloop

from domain.announces import Event
from runtime.settings import SettingsError
from runtime.telemetry import DATAGRAMS_DROPPED, EDGE_REQUESTS
from tests.tracker_edge.datagrams import Client, addresses_of_this_machine, announce, connect, scrape
from tests.tracker_edge.edges import (
    ANN,
    BOB,
    EVE,
    FILM,
    HASH,
    MemoryStore,
    Table,
    get,
    peer,
    running,
    some,
    target,
    user,
)
from tracker_edge.server import Edge

HOSTS = addresses_of_this_machine()
LOOPBACK = {"127.0.0.1": b"\x7f\0\0\x01", "::1": bytes(15) + b"\x01"}


def on_edge(tmp_path: Path, work: Callable[[Edge, int], Coroutine[Any, Any, None]], **settings: Any) -> MemoryStore:
    store = MemoryStore()

    async def run() -> None:
        async with running(tmp_path, store=store, **settings) as edge:
            await work(edge, edge.udp_ports[0])

    uvloop.run(run())
    return store


@pytest.mark.parametrize("host", HOSTS)
def test_announce_and_scrape(tmp_path: Path, host: str) -> None:
    async def work(edge: Edge, port: int) -> None:
        client = Client(port, host)
        own = await client.connect()
        alone = await client.ask(announce(own, 1, ANN, left=0, event=2))
        assert alone == b"\0\0\0\x01Uwx\x88" + bytes.fromhex("000007080000000000000001")
        other = await client.ask(announce(own, 2, BOB))
        assert other == (
            b"\0\0\0\x01Uwx\x88"
            + bytes.fromhex("000007080000000100000001")
            + LOOPBACK[host]
            + (7001).to_bytes(2, "big")
        )
        counts = await client.ask(scrape(own, b"?" * 20, HASH[FILM]))
        assert counts == b"\0\0\0\x02\x99\xaa\xbb\xcc" + bytes(12) + bytes.fromhex("000000010000000000000001")
        assert await client.ask(announce(own, tail=b"")) == (
            b"\0\0\0\x03Uwx\x88passkey required: use the HTTP announce URL"
        )
        client.close()

    store = on_edge(tmp_path, work, host=host)
    assert [(a.user_id, a.address, a.event) for a in store.announces] == [
        (ANN.bytes, LOOPBACK[host], Event.STARTED), (BOB.bytes, LOOPBACK[host], Event.REGULAR),
    ]  # fmt: skip


def test_both_families_and_http_are_one_peer(tmp_path: Path) -> None:
    async def work(edge: Edge, port: int) -> None:
        for host, udp_port in zip(HOSTS, edge.udp_ports, strict=True):
            client = Client(udp_port, host)
            await client.ask(announce(await client.connect(), 1, ANN))
            client.close()
        for host, http_port in zip(HOSTS, edge.ports, strict=True):
            reply = bencodepy.decode(await get(http_port, target(1, ANN), host=host))
            assert (reply[b"complete"], reply[b"incomplete"]) == (0, 1)
        both = bencodepy.decode(await get(edge.ports[-1], target(2, BOB), host=HOSTS[-1]))
        key = b"peers6" if len(HOSTS) == 2 else b"peers"
        assert both[key] == LOOPBACK[HOSTS[-1]] + (7001).to_bytes(2, "big")

    store = on_edge(tmp_path, work, host=",".join(HOSTS))
    assert {a.peer_id for a in store.announces} == {peer(1), peer(2)}


def test_an_id_holds_for_every_port_of_an_address_and_no_other_address(tmp_path: Path) -> None:
    async def work(edge: Edge, port: int) -> None:
        first, moved, stranger = Client(port), Client(port), Client(port, source="127.0.0.2")
        own = await first.connect()
        assert (await moved.ask(announce(own)))[3] == 1
        assert await stranger.hears_nothing_after(announce(own, 2), scrape(own, HASH[FILM]))
        for client in (first, moved, stranger):
            client.close()

    assert len(on_edge(tmp_path, work).announces) == 1


def test_what_proves_nothing_hears_nothing(tmp_path: Path) -> None:
    async def work(edge: Edge, port: int) -> None:
        client = Client(port)
        assert await client.hears_nothing_after(
            b"", b"x" * 15, b"\0" * 8 + connect()[8:], announce(b"whatever"), announce(bytes(8)), scrape(b"whatever"),
            b"\0\0\0\x03Uwx\x88an error", b"\0\0\0\x01" + bytes(300), announce(connect()[:8]), os.urandom(1400),
        )  # fmt: skip
        own = await client.connect()
        assert await client.hears_nothing_after(announce(own)[:97], scrape(own, HASH[FILM])[:-1])
        assert len(edge.swarms) == 0
        client.close()

    assert on_edge(tmp_path, work).announces == []


def test_datagrams_of_any_size(tmp_path: Path) -> None:
    async def work(edge: Edge, port: int) -> None:
        client = Client(port)
        own = await client.connect()
        for size in (1500, 4096, 65507):
            datagram = announce(own, 1 + size % 100)
            assert (await client.ask(datagram + bytes(size - len(datagram))))[3] == 1
        assert len(await client.ask(scrape(own, *[HASH[FILM]] * 3274))) == 8 + 74 * 12
        assert len(await client.ask(connect() + bytes(1384))) == 16
        client.close()

    assert len(on_edge(tmp_path, work).announces) == 3


def test_a_reply_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written, sync = threading.Event(), os.fdatasync

    def slow(handle: int) -> None:
        assert written.wait(5)
        sync(handle)

    async def work(edge: Edge, port: int) -> None:
        client = Client(port)
        own = await client.connect()
        monkeypatch.setattr(os, "fdatasync", slow)
        client.send(announce(own))
        assert (await client.ask(scrape(own, HASH[FILM])))[3] == 2, "what needs no record is answered meanwhile"
        with pytest.raises(TimeoutError):
            await client.receive(0.1)
        assert edge.datagrams[0].waiting == 1
        written.set()
        assert (await client.receive())[3] == 1
        assert edge.datagrams[0].waiting == 0
        client.close()

    try:
        assert len(on_edge(tmp_path, work).announces) == 1
    finally:
        written.set()


def test_a_failing_journal_is_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(edge: Edge, port: int) -> None:
        def fails(handle: int) -> None:
            raise OSError(5, "Input/output error")

        client = Client(port)
        own = await client.connect()
        with monkeypatch.context() as broken:
            broken.setattr(os, "fdatasync", fails)
            client.send(announce(own))
            await asyncio.wait_for(edge.failed.wait(), 5)
            with pytest.raises(OSError, match="refused|timed"):
                await client.ask(announce(own))
        client.close()

    assert on_edge(tmp_path, work).announces == []


def test_replies_can_wait_for_the_store(tmp_path: Path) -> None:
    store = MemoryStore()

    async def run() -> None:
        async with running(tmp_path, store=store, acknowledge="store") as edge:
            store.away = True
            client = Client(edge.udp_ports[0])
            own = await client.connect()
            client.send(announce(own))
            with pytest.raises(TimeoutError):
                await client.receive(0.1)
            store.away = False
            assert (await client.receive())[3] == 1
            assert len(store.announces) == 1
            client.close()

    uvloop.run(run())


def test_reading_rests_while_too_many_replies_wait(tmp_path: Path) -> None:
    async def work(edge: Edge, port: int) -> None:
        for listener in edge.datagrams:
            listener.max_waiting, listener.at_once = 3, 1
        client = Client(port)
        own = await client.connect()
        for number in range(20):
            client.send(announce(own, number))
        replies = [await client.receive() for _ in range(20)]
        assert {reply[3] for reply in replies} == {1}
        client.close()

    assert len(on_edge(tmp_path, work).announces) == 20


def test_a_shutdown_answers_what_was_asked(tmp_path: Path) -> None:
    store = MemoryStore()

    async def run() -> list[bytes]:
        async with running(tmp_path, store=store) as edge:
            client = Client(edge.udp_ports[0])
            own = await client.connect()
            for number in range(50):
                client.send(announce(own, number))
            while len(edge.swarms) < 50:
                await asyncio.sleep(0)
        replies = [await client.receive() for _ in range(50)]
        client.close()
        return replies

    assert {reply[3] for reply in uvloop.run(run())} == {1}
    assert len(store.announces) == 50


def test_a_restart_keeps_the_ids(tmp_path: Path) -> None:
    store = MemoryStore()

    async def run() -> None:
        async with running(tmp_path, store=store) as edge:
            client = Client(edge.udp_ports[0])
            own = await client.connect()
            client.close()
        async with running(tmp_path, store=store) as edge:
            again = Client(edge.udp_ports[0])
            assert (await again.ask(announce(own)))[3] == 1
            again.close()

    uvloop.run(run())


def test_access_changes_hold_at_once(tmp_path: Path) -> None:
    table = Table()

    async def run() -> None:
        async with running(tmp_path, table) as edge:
            client = Client(edge.udp_ports[0])
            own = await client.connect()
            assert (await client.ask(announce(own)))[3] == 1
            table.deliver(some([user(ANN, passkey_no=2)]))
            await asyncio.sleep(0.05)
            assert await client.ask(announce(own)) == b"\0\0\0\x03Uwx\x88Passkey not found"
            client.close()

    uvloop.run(run())


def test_a_client_that_is_gone_harms_nobody(tmp_path: Path) -> None:
    async def work(edge: Edge, port: int) -> None:
        client = Client(port)
        own = await client.connect()
        for _ in range(20):
            gone = Client(port)
            gone.send(announce(own, 2, BOB))
            gone.close()
        await asyncio.sleep(0.05)
        assert (await client.ask(announce(own)))[3] == 1
        client.close()

    on_edge(tmp_path, work)


def test_a_send_that_fails_is_counted_and_forgotten(tmp_path: Path) -> None:
    async def work(edge: Edge, port: int) -> None:
        [listener] = edge.datagrams
        listener.send(bytes(70_000), ("127.0.0.1", 9))
        assert listener.desk.tally.failed == 1
        client = Client(port)
        await client.connect()
        client.close()

    on_edge(tmp_path, work)


def test_garbage_does_not_keep_clients_from_being_answered(tmp_path: Path) -> None:
    rng = Random(15)

    async def work(edge: Edge, port: int) -> None:
        garbage, client = Client(port), Client(port, source="127.0.0.2")
        own = await client.connect()
        for number in range(100):
            for _ in range(30):
                garbage.send(rng.randbytes(rng.randrange(200)))
            assert (await client.ask(announce(own, number, EVE)))[3] == 1
        assert len(edge.swarms) == 100
        for each in (garbage, client):
            each.close()

    assert len(on_edge(tmp_path, work).announces) == 100


def test_what_happens_is_counted_by_family(tmp_path: Path) -> None:
    def count(stage: str) -> float:
        return float(sum(EDGE_REQUESTS.labels("udp", family, stage)._value.get() for family in ("ipv4", "ipv6")))

    stages = ("received", "connects", "parsed", "accepted", "replied")
    before = {stage: count(stage) for stage in stages}
    dropped = DATAGRAMS_DROPPED.labels("ipv4", "short")._value.get()

    async def work(edge: Edge, port: int) -> None:
        client = Client(port)
        own = await client.connect()
        await client.ask(announce(own))
        await client.ask(announce(own, info_hash=b"?" * 20))
        await client.hears_nothing_after(b"short")
        client.close()

    on_edge(tmp_path, work)
    assert [count(stage) - before[stage] for stage in stages] == [5, 2, 2, 1, 4]
    assert DATAGRAMS_DROPPED.labels("ipv4", "short")._value.get() == dropped + 1


def test_a_udp_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    async def work(edge: Edge, port: int) -> None:
        with pytest.raises(SettingsError, match=r"^APP__EDGE__UDP_PORT: port \d+: Address already in use$"):
            async with running(tmp_path / "other", udp_port=port):
                pass

    on_edge(tmp_path, work)


def test_the_list_of_hosts_is_listened_on_by_both_protocols(tmp_path: Path) -> None:
    async def work(edge: Edge, port: int) -> None:
        assert len(edge.udp_ports) == len(edge.ports) == len(HOSTS)

    on_edge(tmp_path, work, host=", ".join(HOSTS))
