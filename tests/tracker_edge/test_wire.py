"""An edge on real sockets: bytes out for bytes in (reliability.md 3A and 3C over the wire), restarts, outages."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Coroutine, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import bencodepy
import pytest
import uvloop
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from domain.announces import Event
from runtime.journal import Segment
from runtime.settings import SettingsError
from tests.tracker_edge.edges import (
    ANN,
    BOB,
    EVE,
    FILM,
    HASH,
    MemoryStore,
    Table,
    assembled,
    exchange,
    get,
    key,
    peer,
    running,
    some,
    target,
)  # fmt: skip
from tests.tracker_edge.edges import torrent as torrent_row
from tests.tracker_edge.edges import user as user_row
from tracker_edge.journal import NoRoom
from tracker_edge.journal.files import path_of
from tracker_edge.server import Edge

NOT_FOUND = b"d14:failure reason17:Passkey not found8:intervali5400e12:min intervali5400ee"


def on_edge(tmp_path: Path, work: Callable[[Edge, int], Coroutine[Any, Any, None]], **settings: Any) -> MemoryStore:
    store = MemoryStore()

    async def run() -> None:
        async with running(tmp_path, store=store, **settings) as edge:
            await work(edge, edge.ports[0])

    uvloop.run(run())
    return store


@pytest.mark.parametrize("form", ["/announce/{key}?{query}", "/{key}/announce?{query}", "/tracker/announce?passkey={key}&{query}", "http://t/announce/{key}?{query}#x"])  # fmt: skip  # noqa: E501
def test_an_announce_over_each_path(tmp_path: Path, form: str) -> None:
    async def work(edge: Edge, port: int) -> None:
        alone = await get(port, target(1, ANN, form=form, left="0", event="started"))
        assert alone == (
            b"d8:completei1e10:downloadedi0e10:incompletei0e8:intervali1800e12:min intervali900e5:peers0:e"
        )
        other = await get(port, target(2, BOB, form=form))
        assert other.endswith(b"5:peers6:\x7f\0\0\1" + (7001).to_bytes(2, "big") + b"e")

    store = on_edge(tmp_path, work)
    assert [(a.user_id, a.event, a.left) for a in store.announces] == [
        (ANN.bytes, Event.STARTED, 0), (BOB.bytes, Event.REGULAR, 100),
    ]  # fmt: skip


def test_scrape_over_each_path(tmp_path: Path) -> None:
    async def work(edge: Edge, port: int) -> None:
        await get(port, target(1, ANN, left="0"))
        query = "info_hash=" + "%01" * 20
        for path in (f"/scrape/{key(BOB)}?", f"/{key(BOB)}/scrape?", f"/tracker/scrape?passkey={key(BOB)}&"):
            assert bencodepy.decode(await get(port, path + query)) == {
                b"files": {HASH[FILM]: {b"complete": 1, b"downloaded": 0, b"downloaders": 0, b"incomplete": 0}},
                b"flags": {b"min_request_interval": 900},
            }
        assert await get(port, f"/scrape/{key(BOB)[:-1]}?{query}") == NOT_FOUND
        assert b"Missing info_hash" in await get(port, f"/scrape/{key(BOB)}")

    assert on_edge(tmp_path, work).announces[1:] == []


@pytest.mark.parametrize(
    "path", ["/", "/x", "//announce", "/ANNOUNCE/k", "/announce/..", "/announce/k/x", "/announcer/k", "/a/b/announce"]
)
def test_other_paths_are_not_found(tmp_path: Path, path: str) -> None:
    async def work(edge: Edge, port: int) -> None:
        answer = await exchange(port, f"GET {path}?info_hash=x HTTP/1.0\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")

    on_edge(tmp_path, work)


@pytest.mark.parametrize("odd", ["a" * 31, "a" * 33, "A" * 32, "%2e", "%00", "", "a" * 5000])
def test_odd_keys_get_the_one_text(tmp_path: Path, odd: str) -> None:
    async def work(edge: Edge, port: int) -> None:
        query = target(1, ANN).partition("?")[2]
        assert await get(port, f"/announce/{odd}?{query}") == NOT_FOUND
        assert await get(port, f"/tracker/announce?passkey={odd[:200]}&{query}") == NOT_FOUND

    assert on_edge(tmp_path, work).announces == []


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "OPTIONS", "TRACE", "announce"])
def test_other_methods_change_nothing(tmp_path: Path, method: str) -> None:
    async def work(edge: Edge, port: int) -> None:
        data = f"{method} {target(1, ANN)} HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc".encode()
        head, _, body = (await exchange(port, data)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 405 ")
        assert b"\r\nAllow: GET" in head
        assert body == (b"" if method == "HEAD" else b"Only GET")
        assert len(edge.swarms) == 0

    assert on_edge(tmp_path, work).announces == []


def test_failures_are_200_and_say_when_to_come_again(tmp_path: Path) -> None:
    async def work(edge: Edge, port: int) -> None:
        answer = await exchange(port, b"GET /announce/k HTTP/1.0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert bencodepy.decode(answer.partition(b"\r\n\r\n")[2]) == {
            b"failure reason": b"Missing info_hash", b"interval": 5400, b"min interval": 5400,
        }  # fmt: skip
        unknown = bencodepy.decode(await get(port, target(1, ANN, info_hash=b"?" * 20, announce_key=key(ANN))))
        assert (unknown[b"failure reason"], unknown[b"retry in"]) == (b"Unregistered torrent", 90)

    on_edge(tmp_path, work)


def test_pipelined_announces_and_failures_are_answered_in_order(tmp_path: Path) -> None:
    async def work(edge: Edge, port: int) -> None:
        requests = [f"GET {target(n, ANN) if n % 3 else '/announce/x'} HTTP/1.1\r\nHost: t\r\n\r\n" for n in range(100)]
        requests.append("GET /x HTTP/1.1\r\nConnection: close\r\n\r\n")
        answers = (await exchange(port, "".join(requests).encode())).split(b"HTTP/1.1 ")[1:]
        assert len(answers) == 101
        for number, answer in enumerate(answers[:-1]):
            body = bencodepy.decode(answer.partition(b"\r\n\r\n")[2])
            assert (b"failure reason" in body) == (number % 3 == 0)
            if number % 3:
                assert body[b"incomplete"] == number - number // 3
        assert answers[-1].startswith(b"404")

    assert len(on_edge(tmp_path, work).announces) == 66


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /announce/k\r\n\r\n", b"400"),
        (b"GET /\xff HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\nHost: x\n\n", b"400"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"\r\n", b"431"),
        (os.urandom(300) + b"\n", b"400"),
    ],
)
def test_what_is_no_http_is_refused_and_closed(tmp_path: Path, data: bytes, status: bytes) -> None:
    async def work(edge: Edge, port: int) -> None:
        answer = await exchange(port, data)
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert b"too long" in answer or status != b"414"
        assert await get(port, target(1, ANN))

    on_edge(tmp_path, work)


def test_browsers_are_sent_away(tmp_path: Path) -> None:
    async def work(edge: Edge, port: int) -> None:
        assert b"Not a BitTorrent client" in await get(port, target(1, ANN), "User-Agent: Mozilla/5.0\r\n")
        assert len(edge.swarms) == 0

    on_edge(tmp_path, work)


def test_silent_and_half_said_connections_are_closed(tmp_path: Path) -> None:
    async def work(edge: Edge, port: int) -> None:
        _, idle = await asyncio.open_connection("127.0.0.1", port)
        reader, half = await asyncio.open_connection("127.0.0.1", port)
        half.write(b"GET /announce/")
        await asyncio.sleep(0.05)
        assert len(edge.server.connections) == 2
        later = edge.server.now_s + 11
        edge.server._clock_s = lambda: later
        edge.server.tick()
        assert await reader.read() == b""
        assert edge.server.connections == set()
        for writer in (idle, half):
            writer.close()

    on_edge(tmp_path, work)


def test_connections_above_the_limit_are_told_to_come_later(tmp_path: Path) -> None:
    async def work(edge: Edge, port: int) -> None:
        edge.server.max_connections = 1
        _, first = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.02)
        answer = await exchange(port, b"")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"8:intervali300e" in answer
        first.close()

    on_edge(tmp_path, work)


def test_an_edge_ends_when_a_part_of_it_does(tmp_path: Path) -> None:
    """It would go on to answer, and nothing that it takes would reach the store: its supervisor starts it again."""

    class Meddling(MemoryStore):
        def ship(self, segments: Sequence[Segment]) -> None:
            for segment in segments:  # the edge cannot delete them, and that is no failure of the store
                path_of(tmp_path / "journal", segment.seq).unlink()

    async def run() -> None:
        async with running(tmp_path, store=Meddling()) as edge:
            await get(edge.ports[0], target(1, ANN))
            await asyncio.wait_for(edge.failed.wait(), 5)

    uvloop.run(run())


def test_an_edge_without_room_for_its_directory_can_start_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def run() -> None:
        edge = assembled(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "mkdir", refuse)
            with pytest.raises(NoRoom):
                await edge.start()
        await edge.start()
        assert b"5:peers" in await get(edge.ports[0], target(1, ANN))
        await edge.stop()

    asyncio.run(run())


def test_both_address_families(tmp_path: Path) -> None:
    async def work(edge: Edge, port: int) -> None:
        await get(edge.ports[1], target(1, ANN, left="0"), host="::1")
        both = bencodepy.decode(await get(edge.ports[1], target(2, BOB), host="::1"))
        assert both[b"peers6"] == bytes(15) + b"\x01" + (7001).to_bytes(2, "big")
        await get(edge.ports[0], target(1, ANN, left="0"))
        once = bencodepy.decode(await get(edge.ports[0], target(3, EVE)))
        assert (once[b"complete"], once[b"peers"][:6]) == (1, b"\x7f\0\0\1" + (7001).to_bytes(2, "big"))

    store = on_edge(tmp_path, work, host="127.0.0.1,::1")
    assert [len(a.address) for a in store.announces] == [16, 16, 4, 4]


@pytest.mark.parametrize(
    ("trusted", "field", "address"),
    [
        (True, "8.8.8.8", "8.8.8.8"),
        (True, "1.1.1.1, 8.8.8.8", "8.8.8.8"),
        (True, "8.8.8.8, 127.0.0.1", "8.8.8.8"),
        (True, "::ffff:8.8.8.8", "8.8.8.8"),
        (True, "garbage", "127.0.0.1"),
        (True, "1.2.3.4:80", "127.0.0.1"),
        (False, "8.8.8.8", "127.0.0.1"),
    ],
)
def test_only_a_trusted_proxys_word_is_taken(tmp_path: Path, trusted: bool, field: str, address: str) -> None:
    async def work(edge: Edge, port: int) -> None:
        await get(port, target(1, ANN), f"X-Forwarded-For: {field}\r\n")

    proxies = (ip_network("127.0.0.0/8"),) if trusted else ()
    [record] = on_edge(tmp_path, work, trusted_proxies=proxies).announces
    assert ".".join(map(str, record.address)) == address


def test_private_addresses_are_not_handed_out_without_the_switch(tmp_path: Path) -> None:
    async def work(edge: Edge, port: int) -> None:
        await get(port, target(1, ANN))
        assert b"5:peers0:" in await get(port, target(2, BOB))

    on_edge(tmp_path, work, allow_private_addresses=False)


def test_access_changes_hold_at_once_and_peers_leave(tmp_path: Path) -> None:
    table, store = Table(), MemoryStore()

    async def run() -> None:
        async with running(tmp_path, table, store) as edge:
            port = edge.ports[0]
            await get(port, target(1, ANN))
            await get(port, target(2, BOB))
            table.deliver(some([user_row(ANN, passkey_no=2), user_row(BOB, enabled=False)]))
            await asyncio.sleep(0.05)
            assert await get(port, target(1, ANN)) == NOT_FOUND
            assert b"Account is disabled" in await get(port, target(2, BOB))
            assert len(edge.swarms) == 1
            table.deliver(some(torrents=[torrent_row(FILM, "pending")]))
            await asyncio.sleep(0.05)
            assert b"8:intervali300e" in await get(port, target(3, EVE))
            assert len(edge.swarms) == 0

    uvloop.run(run())
    assert [a.event for a in store.announces] == [Event.REGULAR, Event.REGULAR, Event.EXPIRED, Event.EXPIRED]


def test_an_edge_without_its_store_goes_on_and_catches_up(tmp_path: Path) -> None:
    store = MemoryStore()
    store.away = True

    async def run() -> None:
        async with running(tmp_path, store=store) as edge:
            for number in range(20):
                assert b"5:peers" in await get(edge.ports[0], target(number, ANN))
                await asyncio.sleep(0.02)
            assert edge.journal.depth_bytes > 20 * 100
            store.away = False

    uvloop.run(run())
    assert len(store.announces) == 20


def test_a_restart_keeps_every_peer_whether_shipped_or_not(tmp_path: Path) -> None:
    store = MemoryStore()

    async def run() -> None:
        async with running(tmp_path, store=store, ship_interval_ms=20) as edge:
            await get(edge.ports[0], target(1, ANN, left="0"))
            await asyncio.sleep(0.1)
            store.away = True
            await get(edge.ports[0], target(2, BOB))
            await get(edge.ports[0], target(1, ANN, event="stopped", left="0"))
            await get(edge.ports[0], target(3, EVE, left="0"))
        assert len(store.announces) == 1
        async with running(tmp_path, store=store) as edge:
            assert edge.swarms.counts(FILM.bytes)[::2] == (1, 1)
            reply = bencodepy.decode(await get(edge.ports[0], target(4, ANN)))
            assert len(reply[b"peers"]) == 12
            store.away = False

    uvloop.run(run())
    assert [a.peer_id for a in store.announces] == [peer(1), peer(2), peer(1), peer(3), peer(4)]


def test_replies_can_wait_for_the_store(tmp_path: Path) -> None:
    store = MemoryStore()

    async def run() -> None:
        async with running(tmp_path, store=store, acknowledge="store") as edge:
            store.away = True
            asking = asyncio.create_task(get(edge.ports[0], target(1, ANN)))
            await asyncio.sleep(0.2)
            assert not asking.done()
            store.away = False
            assert b"5:peers" in await asking
            assert len(store.announces) == 1

    uvloop.run(run())


def test_a_failing_journal_ends_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(edge: Edge, port: int) -> None:
        def fails(handle: int) -> None:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as broken:
            broken.setattr(os, "fdatasync", fails)
            assert await unanswered(port, f"GET {target(1, ANN)} HTTP/1.0\r\n\r\n".encode())
            assert edge.failed.is_set()
            assert await unanswered(port, b"GET / HTTP/1.0\r\n\r\n")

    assert on_edge(tmp_path, work).announces == []


async def unanswered(port: int, data: bytes) -> bool:
    try:
        return await exchange(port, data) == b""
    except ConnectionError:
        return True


def test_a_port_or_an_edge_id_that_is_taken_is_one_line(tmp_path: Path) -> None:
    async def work(edge: Edge, port: int) -> None:
        with pytest.raises(SettingsError, match=r"^APP__EDGE__HTTP_PORT: port \d+: Address already in use$"):
            async with running(tmp_path / "other", http_port=port):
                pass
        with pytest.raises(SettingsError, match="^APP__EDGE__ID: another process runs as edge-1$"):
            async with running(tmp_path):
                pass

    on_edge(tmp_path, work)


def test_a_shutdown_answers_what_was_asked(tmp_path: Path) -> None:
    store = MemoryStore()

    async def run() -> list[bytes]:
        async with running(tmp_path, store=store) as edge:
            port = edge.ports[0]
            asking = [asyncio.create_task(get(port, target(n, ANN))) for n in range(50)]
            while len(edge.swarms) < 50:
                await asyncio.sleep(0)
        return await asyncio.gather(*asking)

    answers = uvloop.run(run())
    assert all(answer.startswith(b"d8:complete") for answer in answers)
    assert len(store.announces) == 50


@given(st.lists(st.binary(max_size=100), max_size=4), st.booleans())
@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_leave_the_edge_up(tmp_path: Path, pieces: list[bytes], as_target: bool) -> None:
    async def work(edge: Edge, port: int) -> None:
        data = b"".join(pieces)
        if as_target:
            data = b"GET /announce/" + data + b" HTTP/1.0\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        writer.write_eof()
        await reader.read()
        writer.close()
        assert b"5:peers" in await get(port, target(1, ANN))

    on_edge(tmp_path / os.urandom(8).hex(), work)
