"""One swarm by every way to ask for it: whenever the journal is drained, all answers are the same.

Real edges on sockets, the real store and API: the list of peers, the torrent's page, scrapes over HTTP and UDP, the
numbers in an announce's reply, and the peers that curious clients are told of.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest
import uvloop

from domain.announce_keys import announce_key
from domain.metainfo import announce_hashes, parse
from tests.members import Agent, Client
from tests.metainfo.samples import good_torrents
from tests.torrents.uploads import file_of
from tests.tracker_edge import strict
from tests.tracker_edge.datagrams import Client as UdpClient
from tests.tracker_edge.datagrams import addresses_of_this_machine
from tests.tracker_edge.datagrams import scrape as scrape_datagram
from tests.tracker_edge.edges import get, peer
from tracker_edge.server import Edge, from_platform

pytestmark = pytest.mark.engine

HOSTS = addresses_of_this_machine()


class Numbers(NamedTuple):
    seeders: int
    leechers: int
    completed: int


class Torrent(NamedTuple):
    id: UUID
    hashes: tuple[bytes, ...]  # a hybrid has two


class Announcer(NamedTuple):
    """One client; `six` is the family that it announces over."""

    user: Agent
    number: int
    torrent: Torrent
    six: bool = False


class Site:
    """Four members on two torrents, and whoever of the edges runs."""

    def __init__(self, client: Client) -> None:
        self.client, self.platform = client, client.platform
        self.ann, self.bob, self.eve, self.dan = (client.agent(name) for name in ("ann", "bob", "eve", "dan"))
        self.staff = client.agent("staff", "moderator")
        files = file_of("film"), good_torrents()["hybrid multi"]
        self.film, self.hybrid = (self._uploaded(file) for file in files)
        client.members.catch_up()
        self.edge: Edge

    def _uploaded(self, file: bytes) -> Torrent:
        receipt = self.ann.upload(file).json()
        self.staff.post(f"/torrents/{receipt['id']}/approve")
        return Torrent(UUID(receipt["id"]), tuple(bytes(each) for each in announce_hashes(parse(file))))

    async def announce(self, who: Announcer, event: str = "", left: int = 5, **changed: str) -> Any:
        """The reply; a hybrid torrent is announced by both of its hashes, as libtorrent does."""
        reply: Any = None
        for info_hash in who.torrent.hashes:
            parameters = {
                "info_hash": "".join(f"%{byte:02x}" for byte in info_hash), "peer_id": peer(who.number).decode(),
                "port": str(7000 + who.number), "uploaded": "0", "downloaded": "0", "left": str(left), "event": event,
                **changed,
            }  # fmt: skip
            query = "&".join(f"{name}={value}" for name, value in parameters.items())
            body = await self._get(f"/announce/{self._key(who.user, who.torrent)}?{query}", six=who.six)
            reply = strict.bencoded(body)
            assert b"failure reason" not in reply, reply
        return reply

    async def agree(self, torrent: Torrent, expected: Numbers, clients: set[Announcer], *curious: Announcer) -> None:
        """Asks everybody; `clients` are in the swarm, and of them the `curious` ones ask whom they are told of."""
        told = await self._told(torrent, curious)
        stopped = await self.announce(Announcer(self.dan, 999, torrent), "stopped")  # of a client that never came
        await self._drained()
        assert (stopped[b"complete"], stopped[b"incomplete"]) == expected[:2]
        for info_hash in torrent.hashes:
            assert await self._scraped(torrent, info_hash) == expected
            for host in HOSTS:
                assert await self._scraped_by_udp(info_hash, host) == expected
        detail = await asyncio.to_thread(self.bob.get, f"/torrents/{torrent.id}")
        assert Numbers(detail["seeders"], detail["leechers"], detail["times_completed"]) == expected
        listed = (await asyncio.to_thread(self.staff.get, f"/torrents/{torrent.id}/peers"))["items"]
        assert [one["seeder"] for one in listed] == [True] * expected.seeders + [False] * expected.leechers
        addresses = {address for one in listed for address in one["addresses"]}
        assert addresses == {_address(one) for one in clients}
        assert {one["user"]["id"] for one in listed} == {str(one.user.id) for one in clients}
        if curious:
            assert told == {(peer(one.number), _address(one)) for one in clients}
        assert self.edge.swarms.counts(torrent.id.bytes)[:3] == (expected[0], expected[2], expected[1])

    async def _told(self, torrent: Torrent, curious: tuple[Announcer, ...]) -> set[tuple[bytes, str]]:
        """Peer ids and addresses of the long form, with the addresses of the curious ones themselves."""
        found = {(peer(one.number), _address(one)) for one in curious}
        for one in curious:
            reply = await self.announce(one, "started", compact="0", numwant="50")
            shown = [(entry[b"peer id"], entry[b"ip"].decode(), entry[b"port"]) for entry in reply[b"peers"]]
            assert len(shown) == len(set(shown))
            found |= {(peer_id, f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}") for peer_id, ip, port in shown}
        return found

    async def _scraped(self, torrent: Torrent, info_hash: bytes) -> Numbers:
        escaped = "".join(f"%{byte:02x}" for byte in info_hash)
        found: Any = strict.bencoded(await self._get(f"/scrape/{self._key(self.bob, torrent)}?info_hash={escaped}"))
        row = found[b"files"][info_hash]
        assert row[b"downloaders"] == row[b"incomplete"]
        return Numbers(row[b"complete"], row[b"incomplete"], row[b"downloaded"])

    async def _scraped_by_udp(self, info_hash: bytes, host: str) -> Numbers:
        client = UdpClient(self.edge.udp_ports[HOSTS.index(host)], host)
        try:
            reply = await client.ask(scrape_datagram(await client.connect(), info_hash))
        finally:
            client.close()
        seeders, completed, leechers = (int.from_bytes(reply[at : at + 4], "big") for at in (8, 12, 16))
        return Numbers(seeders, leechers, completed)

    async def _drained(self) -> None:
        await within(10, lambda: not self.edge.journal.closed and self.edge.journal.depth_bytes < 100)

    async def _get(self, path: str, *, six: bool = False) -> bytes:
        host = HOSTS[-1] if six else HOSTS[0]
        return await get(self.edge.ports[HOSTS.index(host)], path, host=host)

    def _key(self, user: Agent, torrent: Torrent) -> str:
        return announce_key(self.platform.secrets.site, user.id, 1, torrent.id)

    @asynccontextmanager
    async def edge_in(self, folder: Path) -> AsyncIterator[Edge]:
        wanted = {"host": ",".join(HOSTS), "http_port": 0, "udp_port": 0, "ship_interval_ms": 50}
        settings = self.platform.settings.edge.model_copy(update=wanted)
        self.edge = Edge(settings, folder / settings.id, from_platform(self.platform))
        await self.edge.start()
        try:
            yield self.edge
        finally:
            await self.edge.stop()

    def silence(self, seconds: int) -> None:
        """As if so long had passed since the edge was last spoken to."""
        later = self.edge.server.now_s + seconds
        self.edge.server._clock_s = lambda: later
        self.edge.server.tick()


def _address(who: Announcer) -> str:
    host = HOSTS[-1] if who.six else HOSTS[0]
    return f"[{host}]:{7000 + who.number}" if ":" in host else f"{host}:{7000 + who.number}"


async def within(seconds: float, question: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await asyncio.sleep(0.01)


def test_all_answers_about_a_swarm_agree(client: Client, tmp_path: Path) -> None:
    site = Site(client)
    film, hybrid = site.film, site.hybrid
    seed, again = Announcer(site.ann, 1, film), Announcer(site.ann, 2, film, six=True)
    bob, eve, dan = Announcer(site.bob, 3, film), Announcer(site.eve, 4, film, six=True), Announcer(site.dan, 5, film)
    theirs = tuple(Announcer(user, n, hybrid, n != 3) for user, n in ((site.ann, 1), (site.bob, 3), (site.eve, 6)))

    async def work() -> None:
        async with site.edge_in(tmp_path):
            await site.agree(film, Numbers(0, 0, 0), set())
            for one in (seed, again, theirs[0]):
                await site.announce(one, "started", left=0)
            for one in (bob, eve, dan, *theirs[1:]):
                await site.announce(one, "started")
            await site.agree(film, Numbers(2, 3, 0), {seed, again, bob, eve, dan}, bob, eve)
            await site.agree(hybrid, Numbers(1, 2, 0), set(theirs), *theirs[1:])
            for one in (dan, theirs[1]):
                await site.announce(one, "completed", left=0)
            await site.announce(again, "stopped", left=0)
            await site.agree(film, Numbers(2, 2, 1), {seed, bob, eve, dan}, bob, eve)
            await site.agree(hybrid, Numbers(2, 1, 1), set(theirs))
            for _ in range(2):
                await site.announce(dan, "stopped", left=0)
        async with site.edge_in(tmp_path):  # by its snapshot
            await site.agree(film, Numbers(1, 2, 1), {seed, bob, eve}, bob, eve)
            await site.agree(hybrid, Numbers(2, 1, 1), set(theirs))
            site.silence(7000)
            for one in (bob, eve):
                await site.announce(one)
            await site.announce(theirs[1], left=0)
            site.silence(300)
            await within(20, lambda: len(site.edge.swarms) == 3)
            await site.agree(film, Numbers(0, 2, 1), {bob, eve}, bob, eve)
            await site.agree(hybrid, Numbers(1, 0, 1), {theirs[1]})
            await site.announce(seed, left=0)
            await site.agree(film, Numbers(1, 2, 1), {seed, bob, eve}, bob, eve)
        async with site.edge_in(tmp_path / "another machine"):  # by the store alone
            await site.agree(film, Numbers(1, 2, 1), {seed, bob, eve}, bob, eve)
            await site.agree(hybrid, Numbers(1, 0, 1), {theirs[1]})

    uvloop.run(work())
