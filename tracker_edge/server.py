"""One edge, put together: journal, swarms, access, sockets, shipping, and the order in which they start and stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Protocol

import psycopg
import structlog

from domain.announces import Announce
from domain.base import SYSTEM
from runtime.journal import GENESIS
from runtime.platform import APP_ROLE, Platform
from runtime.settings import Edge as EdgeSettings
from runtime.settings import Settings, SettingsError
from tracker_edge import restore
from tracker_edge.access import Access, Changes
from tracker_edge.access_table import AccessFollower
from tracker_edge.announce import Tracker, expired_row
from tracker_edge.http import Server
from tracker_edge.journal import Journal, JournalFailed, JournalInUse
from tracker_edge.metrics import Tally, publish_state
from tracker_edge.shipper import Ship, Shipper, into_store
from tracker_edge.swarms import Gone, Swarms

log = structlog.get_logger()

BACKLOG = 4096
#: What SIGTERM leaves for replies under way and for the last shipment; what is not shipped waits in the journal.
DRAIN_S = 4.0
SHIP_AT_END_S = 2.0
#: The sweep looks at every peer once in so many seconds.
SWEEP_S = 60
MIN_SWEEP = 1000
#: Peers that are removed between two turns of the event loop.
EVICT_AT_ONCE = 1000


class Following(Protocol):
    """A source of access changes that runs beside the loop."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True)
class Sources:
    """What an edge gets from outside and gives back: replaced by tests and benchmarks.

    `follow` makes a follower that hands changes over from any thread. `restore` gives what is to be replayed, lifetime
    completions by torrent, this edge's next sequence number and the hash that its next segment follows.
    """

    announce_secret: bytes
    follow: Callable[[Callable[[Changes], None]], Following]
    restore: Callable[[Callable[[Announce], None], Callable[[bytes, int], None]], tuple[int, bytes]]
    ship: Ship


def from_platform(platform: Platform) -> Sources:
    """The sources of an edge of the site."""
    settings = platform.settings
    secret = platform.secrets.site

    def read(replay: Callable[[Announce], None], completed: Callable[[bytes, int], None]) -> tuple[int, bytes]:
        with psycopg.connect(settings.database.url, connect_timeout=2) as connection:
            connection.execute(psycopg.sql.SQL("SET LOCAL ROLE {}").format(psycopg.sql.Identifier(APP_ROLE)))
            found = restore.stored(connection, settings.edge.id)
            for announce in found.announces:
                replay(announce)
            for torrent_id, times in found.completed:
                completed(torrent_id, times)
            return (found.head.seq if found.head else 0) + 1, restore.previous_hash(found.head)

    return Sources(
        announce_secret=secret,
        follow=lambda deliver: AccessFollower(settings.database.url, APP_ROLE, secret, deliver),
        restore=read,
        ship=into_store(lambda: platform.store(SYSTEM, "edge")),
    )


def nothing_to_restore(_: Callable[[Announce], None], __: Callable[[bytes, int], None]) -> tuple[int, bytes]:
    """The `restore` of an edge without a store."""
    return 1, GENESIS


class Edge:
    """One running edge. `failed` is set when the journal fails: then nothing is acknowledged any more."""

    def __init__(self, settings: EdgeSettings, directory: Path, sources: Sources, *, rng: Random | None = None) -> None:
        self.settings = settings
        self.failed = asyncio.Event()
        self.access = Access(sources.announce_secret)
        self.swarms = Swarms(rng or Random(), allow_private=settings.allow_private_addresses)
        self.tally = Tally()
        self._directory = directory
        self._sources = sources
        self._has_access = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._servers: list[asyncio.Server] = []
        self._listeners: list[socket.socket] = []
        self._uncounted: dict[bytes, int] = {}

    async def start(self) -> None:
        """Takes the journal, restores the swarms, loads the access snapshot, listens, in this order.

        Raises `SettingsError` (a port is taken, another process has the edge's id), `JournalDamaged`, OSError,
        psycopg.Error.
        """
        settings = self.settings
        if not self._listeners:
            self._listeners = await _bound(settings.host, settings.http_port)
        replayed: list[Announce] = []
        first_seq, previous = await asyncio.to_thread(
            self._sources.restore, replayed.append, self._uncounted.__setitem__
        )
        hold = settings.acknowledge == "store"
        try:
            self.journal = Journal(self._directory, first_seq, hold=hold, on_failure=self._journal_failed)
        except JournalInUse:
            for listener in self._listeners:
                listener.close()
            raise SettingsError(f"APP__EDGE__ID: another process runs as {settings.id}") from None
        self.tracker = Tracker(
            self.access,
            self.swarms,
            interval_s=settings.interval_s,
            min_interval_s=settings.min_interval_s,
            numwant_max=settings.numwant_max,
        )
        self.server = Server(self.tracker, self.journal, self.tally, trusted_proxies=settings.trusted_proxies)
        self._replay(replayed)
        self._replay(restore.unshipped(self.journal))
        for torrent_id, times in self._uncounted.items():
            self.swarms.swarm(torrent_id).completed = times
        loop = asyncio.get_running_loop()
        self._follower = self._sources.follow(lambda changes: _call_in(loop, self._take, changes))
        self._follower.start()
        await self._has_access.wait()
        self.shipper = Shipper(
            self.journal,
            settings.id,
            self._sources.ship,
            previous,
            interval_s=settings.ship_interval_ms / 1000,
            at_once=hold,
        )
        self._tasks = [asyncio.create_task(work) for work in (self._ship(), self._tick())]
        for listener in self._listeners:
            self._servers.append(await loop.create_server(self.server.connection, sock=listener, backlog=BACKLOG))

    @property
    def ports(self) -> list[int]:
        """The ports that are listened on, for those who asked for port 0."""
        return [server.sockets[0].getsockname()[1] for server in self._servers]

    async def stop(self) -> None:
        """Answers what was asked, ships what there is if the store answers soon, gives the journal up."""
        self.server.draining = True
        for server in self._servers:
            server.close()
        for connection in [c for c in self.server.connections if not c.waiting and not c.reader.waiting]:
            connection.transport.close()
        deadline = time.monotonic() + DRAIN_S
        while self.server.connections and time.monotonic() < deadline and self.journal.failure is None:
            for connection in [c for c in self.server.connections if not c.waiting and not c.reader.waiting]:
                connection.transport.close()
            await asyncio.sleep(0.02)
        for connection in list(self.server.connections):
            connection.abandon()
        self._follower.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        if self.journal.failure is None:
            await self.journal.settled()
            with suppress(TimeoutError, JournalFailed):
                await asyncio.wait_for(self._ship_last(), SHIP_AT_END_S)
        await self.journal.close()
        self.tally.publish()

    def _replay(self, announces: Iterable[Announce]) -> None:
        now_us, now_s = self.server.now_us(), self.server.now_s
        for announce in announces:
            restore.apply(self.swarms, announce, now_us, now_s)

    def _take(self, changes: Changes) -> None:
        leaving = self.access.apply(changes)
        self._has_access.set()
        if leaving.users or leaving.torrents:
            self._spawn(self._evict(self.swarms.evict(leaving.users, leaving.torrents)))
        if leaving.leechers:
            self._spawn(self._evict(self.swarms.evict_leechers(leaving.leechers)))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)

    async def _evict(self, leaving: Iterable[Gone | None]) -> None:
        for number, gone in enumerate(leaving):
            if gone is not None:
                self.journal.append(expired_row(gone, self.server.now_us()))
            if gone is None or number % EVICT_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _ship(self) -> None:
        with suppress(JournalFailed):
            await self.shipper.run()

    async def _ship_last(self) -> None:
        await self.journal.rotate()
        await self.shipper.ship_closed()

    async def _tick(self) -> None:
        """Once a second: deadlines, expiry, metrics."""
        while True:
            await asyncio.sleep(1)
            server, swarms = self.server, self.swarms
            server.tick()
            limit = max(MIN_SWEEP, len(swarms) // SWEEP_S)
            for gone in swarms.expire(server.now_s - self.settings.peer_ttl_s, limit):
                self.journal.append(expired_row(gone, server.now_us()))
            self.tally.publish()
            publish_state(
                journal_bytes=self.journal.depth_bytes,
                journal_age_s=self.journal.age_s,
                peers=len(swarms),
                swarms=swarms.torrents,
            )

    def _journal_failed(self, error: BaseException) -> None:
        """Announces that cannot be made durable are not taken: clients try again, here or elsewhere."""
        log.critical("journal_failed", edge_id=self.settings.id, error=type(error).__name__)
        for server in self._servers:
            server.close()
        for connection in list(self.server.connections):
            connection.abandon()
        self.failed.set()


async def serve(settings: Settings, platform: Platform, *, ready: Callable[[], None] = lambda: None) -> int:
    """Runs an edge of the site until SIGTERM or SIGINT; returns the exit code, 1 when its journal failed.

    Raises `SettingsError`, `JournalDamaged`, OSError when it cannot start; waits for a store that is away.
    """
    edge = Edge(settings.edge, settings.data_dir / "edge" / settings.edge.id, from_platform(platform))
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if not await _before(ended, _start(edge)):
        return 0
    ready()
    log.info("edge_serves", edge_id=settings.edge.id, peers=len(edge.swarms), ports=edge.ports)
    await _before(ended, edge.failed.wait())
    await edge.stop()
    return 1 if edge.failed.is_set() else 0


async def _start(edge: Edge) -> None:
    """Starts as soon as the store answers: an edge without its access snapshot would refuse everybody."""
    while True:
        try:
            return await edge.start()
        except psycopg.Error as error:
            log.warning("edge_waits_for_the_store", error=type(error).__name__)
            await asyncio.sleep(1.0)


async def _before(event: asyncio.Event, work: Coroutine[Any, Any, object]) -> bool:
    """Whether the work ended before the event; raises what the work raised."""
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(event.wait())
    await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if working.done():
        working.result()
        return True
    working.cancel()
    return False


async def _bound(hosts: str, port: int) -> list[socket.socket]:
    """A socket for each address of each host (separated by commas), IPv4 and IPv6 apart; raises `SettingsError`."""
    loop = asyncio.get_running_loop()
    wanted = [
        (family, kind, address)
        for host in hosts.split(",")
        for family, kind, _, _, address in await loop.getaddrinfo(host.strip(), port, type=socket.SOCK_STREAM)
    ]
    found: list[socket.socket] = []
    for family, kind, address in dict.fromkeys(wanted):
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            listener.bind(address)
        except OSError as error:
            for one in (*found, listener):
                one.close()
            raise SettingsError(f"APP__EDGE__HTTP_PORT: port {port}: {os.strerror(error.errno or 0)}") from None
        found.append(listener)
    return found


def _call_in(loop: asyncio.AbstractEventLoop, function: Callable[[Changes], Any], changes: Changes) -> None:
    with suppress(RuntimeError):  # the loop has ended, and nobody needs the changes
        loop.call_soon_threadsafe(function, changes)
