"""IPv6 over HTTP, and what the later BEPs add to an announce or a scrape, on real sockets."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import bencodepy
import pytest
import uvloop

from runtime.settings import Edge as EdgeSettings
from tests.tracker_edge.datagrams import addresses_of_this_machine
from tests.tracker_edge.edges import ANN, BOB, BOOK, EVE, FILM, HASH, V2, MemoryStore, get, key, running, target
from tracker_edge.server import Edge

HOSTS = addresses_of_this_machine()
#: Clients of these tests come through a proxy, so that they can have addresses that the machine has not.
PROXIES = tuple(map(ip_network, HOSTS))


def on_edge(tmp_path: Path, work: Callable[[Edge], Coroutine[Any, Any, None]], **settings: Any) -> MemoryStore:
    store = MemoryStore()

    async def run() -> None:
        async with running(tmp_path, store=store, host=",".join(HOSTS), trusted_proxies=PROXIES, **settings) as edge:
            await work(edge)

    uvloop.run(run())
    return store


async def announced(edge: Edge, path: str, address: str) -> dict[bytes, Any]:
    """The reply to a client at this address; it connects over the family that the machine has."""
    reply = await get(edge.ports[-1], path, f"X-Forwarded-For: {address}\r\n", HOSTS[-1])
    return dict(bencodepy.decode(reply))


def entry(address: str, port: int) -> bytes:
    return ip_address(address).packed + port.to_bytes(2, "big")


def test_a_peer_with_two_addresses_is_one_peer_and_shown_by_either(tmp_path: Path) -> None:
    async def work(edge: Edge) -> None:
        for address in ("8.8.8.8", "2600::8"):
            await announced(edge, target(1, ANN, left="0", key="0badcafe"), address)
        four = await announced(edge, target(2, BOB), "8.8.4.4")
        assert (four[b"complete"], four[b"peers"]) == (1, entry("8.8.8.8", 7001))
        assert b"peers6" not in four
        six = await announced(edge, target(3, EVE), "2600::3")
        assert (six[b"complete"], six[b"peers6"]) == (1, entry("2600::8", 7001))
        await announced(edge, target(1, ANN, left="0", event="stopped"), "8.8.8.8")
        assert edge.swarms.counts(FILM.bytes)[::2] == (0, 2)

    on_edge(tmp_path, work)


def test_a_client_with_both_families_is_shown_both(tmp_path: Path) -> None:
    async def work(edge: Edge) -> None:
        await announced(edge, target(1, ANN, left="0"), "8.8.8.8")
        await announced(edge, target(2, BOB, left="0"), "2600::2")
        await announced(edge, target(3, EVE), "8.8.4.4")
        await announced(edge, target(3, EVE), "2600::3")
        edge.server.now_s += 2000  # after min interval
        both = await announced(edge, target(3, EVE), "8.8.4.4")
        assert (both[b"peers"], both[b"peers6"]) == (entry("8.8.8.8", 7001), entry("2600::2", 7002))
        long = await announced(edge, target(3, EVE, event="started", compact="0"), "2600::3")
        assert {peer[b"ip"] for peer in long[b"peers"]} == {b"8.8.8.8", b"2600::2"}

    on_edge(tmp_path, work)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("8.8.8.8", b"\x08\x08\x08\x08"),
        ("::ffff:8.8.8.8", b"\x08\x08\x08\x08"),
        ("2600::8", ip_address("2600::8").packed),
        ("10.0.0.1", None),
        ("fe80::1", None),
    ],
)
def test_a_starting_client_is_told_its_global_address(tmp_path: Path, address: str, told: bytes | None) -> None:
    async def work(edge: Edge) -> None:
        assert (await announced(edge, target(1, ANN, event="started"), address)).get(b"external ip") == told
        assert b"external ip" not in await announced(edge, target(2, BOB), address)

    on_edge(tmp_path, work)


def test_partial_seeds_are_no_downloaders(tmp_path: Path) -> None:
    async def work(edge: Edge) -> None:
        await announced(edge, target(1, ANN, left="0"), "8.8.8.1")
        await announced(edge, target(2, BOB, event="paused"), "8.8.8.2")
        await announced(edge, target(3, EVE), "8.8.8.3")
        query = "&".join("info_hash=" + "".join(f"%{byte:02x}" for byte in HASH[t]) for t in (FILM, BOOK))
        scraped = bencodepy.decode(await get(edge.ports[0], f"/scrape/{key(ANN)}?{query}"))
        film = {b"complete": 1, b"downloaded": 0, b"downloaders": 1, b"incomplete": 2}
        assert scraped[b"files"] == {HASH[FILM]: film, HASH[BOOK]: dict.fromkeys(film, 0)}

    on_edge(tmp_path, work)


def test_a_scrape_of_sixty_fully_escaped_hashes_is_answered_and_of_more_refused(tmp_path: Path) -> None:
    async def work(edge: Edge) -> None:
        hashes = ["".join(f"%{byte:02X}" for byte in bytes((n,)) * 20) for n in range(61)]
        sixty = "&".join(f"info_hash={each}" for each in hashes[:60])
        assert len(sixty) > 4096
        found = bencodepy.decode(await get(edge.ports[0], f"/scrape/{key(ANN)}?{sixty}"))[b"files"]
        assert set(found) == {*HASH.values(), V2[:20]}
        more = await get(edge.ports[0], f"/scrape/{key(ANN)}?{sixty}&info_hash={hashes[60]}")
        assert b"GET string too long" in more

    on_edge(tmp_path, work)


def test_a_failure_says_when_to_retry(tmp_path: Path) -> None:
    async def work(edge: Edge) -> None:
        refused = await announced(edge, target(1, ANN, info_hash=b"?" * 20, announce_key=key(ANN)), "8.8.8.8")
        assert (refused[b"retry in"], refused[b"interval"], refused[b"min interval"]) == (90, 5400, 5400)

    on_edge(tmp_path, work)


@pytest.mark.parametrize(
    ("given", "base", "udp"),
    [
        ({}, "http://127.0.0.1:6969", "udp://127.0.0.1:6969"),
        ({"host": "::1, 127.0.0.1", "udp_port": 7}, "http://[::1]:6969", "udp://[::1]:7"),
        ({"host": "0.0.0.0,::"}, "http://0.0.0.0:6969", "udp://0.0.0.0:6969"),
        ({"public_url": "https://t.example/"}, "https://t.example", "udp://t.example:6969"),
        ({"public_udp_url": "udp://u.example:80/"}, "http://127.0.0.1:6969", "udp://u.example:80"),
    ],
)
def test_urls_name_the_first_host(given: dict[str, Any], base: str, udp: str) -> None:
    edge = EdgeSettings(**given)
    assert (edge.base_url, edge.udp_url) == (base, udp)
