"""One edge, put together: journal, swarms, access, sockets, shipping, and the order in which they start and stop."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, cast

import structlog

from domain.announces import Announce, Event
from runtime.journal import Fenced
from runtime.knowledge import RIGHTS_KNOWN_FOR_S
from runtime.settings import Edge as EdgeSettings
from runtime.settings import SettingsError
from tracker_edge import abandoned, restore, snapshot
from tracker_edge.access import Access, Changes, Leaving
from tracker_edge.announce import Tracker, expired_row
from tracker_edge.connection_ids import ConnectionIds
from tracker_edge.flood import Flood
from tracker_edge.http import Server, wall_us
from tracker_edge.journal import Journal, JournalFailed, JournalInUse
from tracker_edge.metrics import DatagramTally, Tally, publish_load, publish_rights, publish_state
from tracker_edge.neighbours import Neighbours
from tracker_edge.others import EXACT_S, OTHERS_GRACE_S
from tracker_edge.shipper import Shipper
from tracker_edge.snapshots import Snapshots
from tracker_edge.sockets import bound, room_for_clients
from tracker_edge.sources import Following as Following
from tracker_edge.sources import Sources as Sources
from tracker_edge.sources import from_platform as from_platform
from tracker_edge.sources import nothing_to_restore as nothing_to_restore
from tracker_edge.swarms import Gone, Swarms
from tracker_edge.udp import Desk, Listener

log = structlog.get_logger()

BACKLOG = 4096
#: What SIGTERM leaves for replies under way and for the last shipment; what is not shipped waits in the journal.
DRAIN_S = 4.0
#: A kept connection is told with its next reply that it ends; one that asks nothing for so long is just closed.
LINGER_S = 0.3
SHIP_AT_END_S = 2.0
SNAPSHOT_AT_END_S = 2.0
#: The sweep looks at every peer once in so many seconds.
SWEEP_S = 60
MIN_SWEEP = 1000
SWEEP_AT_ONCE = 1000
NOTE_EVERY_S = 10
#: Peers that are removed between two turns of the event loop.
EVICT_AT_ONCE = 1000


class Edge:
    """One running edge. `failed` is set when the journal fails: then nothing is acknowledged any more."""

    def __init__(
        self,
        settings: EdgeSettings,
        directory: Path,
        sources: Sources,
        *,
        rng: Random | None = None,
        now_us: Callable[[], int] = wall_us,
    ) -> None:
        self.settings = settings
        self.failed = asyncio.Event()
        self.access = Access(sources.announce_secret)
        self.swarms = Swarms(rng or Random(), allow_private=settings.allow_private_addresses, allowance=self.access)
        self.tally = Tally()
        self._directory = directory
        self._sources = sources
        self._now_us = now_us
        self._has_access = asyncio.Event()
        self._follower: Following | None = None
        self._restored = False
        self._tasks: list[asyncio.Task[None]] = []
        self._servers: list[asyncio.Server] = []
        self._listeners: list[socket.socket] = []
        self._datagram_sockets: list[socket.socket] = []
        self.datagrams: list[Listener] = []
        self._uncounted: dict[bytes, int] = {}
        self._snapshots = Snapshots(directory / snapshot.NAME, settings, sources)

    async def start(self) -> None:
        """Binds, loads the access snapshot, takes the journal, restores the swarms, listens, in this order.

        Raises `SettingsError` (a port is taken, another process has the edge's id), `JournalDamaged`, OSError,
        psycopg.Error, `NoRoom`; after the last two it may be called again.
        """
        await self._bind()
        await self._follow_access()
        replayed: list[Announce] = []
        first_seq, previous = await asyncio.to_thread(
            self._snapshots.restore, replayed.append, self._uncounted.__setitem__
        )
        self._assemble(first_seq, previous)
        self._restore_swarms(replayed)
        self._tasks += [self._begun(work) for work in self._work()]
        self._evict_leaving(self.access.leaving())
        self._neighbours = Neighbours(self.settings, self._sources, self.tracker, self.journal, self.server)
        self._neighbours.follow(asyncio.get_running_loop(), self._spawn)
        self.tracker.load.measured(0.0, self.journal.waiting_s)  # on a full disk nothing is taken from the first one on
        await self._listen()

    async def _bind(self) -> None:
        if self._listeners:
            return
        settings = self.settings
        shared = settings.processes > 1
        self._listeners = await bound(settings.host, settings.http_port, shared=shared)
        try:
            self._datagram_sockets = await bound(settings.host, settings.udp_port, socket.SOCK_DGRAM, shared=shared)
        except SettingsError:
            while self._listeners:
                self._listeners.pop().close()
            raise

    async def _follow_access(self) -> None:
        """Waits for the first snapshot: without one nobody would be known, and limits are those of its users."""
        if self._follower is None:
            loop = asyncio.get_running_loop()
            self._follower = self._sources.follow(lambda changes: _call_in(loop, self._take, changes))
            self._follower.start()
        await self._has_access.wait()

    def _assemble(self, first_seq: int, previous: bytes) -> None:
        settings = self.settings
        hold = settings.acknowledge == "store"
        try:
            self.journal = Journal(self._directory, first_seq, hold=hold, on_failure=self._journal_failed)
        except JournalInUse:
            for listener in (*self._listeners, *self._datagram_sockets):
                listener.close()
            raise SettingsError(f"APP__EDGE__ID: another process runs as {settings.id}") from None
        interval_s = settings.ship_interval_ms / 1000
        self.shipper = Shipper(
            self.journal,
            settings.id,
            self._sources.ship,
            self._sources.keys,
            previous,
            interval_s=interval_s,
            at_once=hold,
        )
        self.tracker = Tracker(
            self.access,
            self.swarms,
            interval_s=settings.interval_s,
            jitter_s=settings.interval_jitter_s,
            min_interval_s=settings.min_interval_s,
            numwant_max=settings.numwant_max,
            flood=Flood(settings.announces_per_minute_by_key, settings.announces_per_minute_by_address),
        )
        self.server = Server(
            self.tracker,
            self.journal,
            self.tally,
            trusted_proxies=settings.trusted_proxies,
            proxy_protocol=settings.proxy_protocol,
            max_connections=room_for_clients(),
            now_us=self._now_us,
        )

    def _restore_swarms(self, replayed: Iterable[Announce]) -> None:
        """The snapshot, what the store has after it, and what the last run left in the journal."""
        self._snapshots.load(self.swarms, self.server.now_s, self._floor_s())
        self._replay(replayed)
        left_over = list(restore.unshipped(self.journal))
        self._replay(left_over)
        self.server.continue_after(max([self._sources.newest_us(), *(one.received_at_us for one in left_over)]))
        for torrent_id, times in self._uncounted.items():
            self.swarms.swarm(torrent_id).completed = times
        self._restored = True

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            self._servers.append(await loop.create_server(self._connection, sock=listener, backlog=BACKLOG))
        self._hear_datagrams()

    @property
    def udp_ports(self) -> list[int]:
        """As `ports`, of the UDP sockets."""
        return [listener.port for listener in self.datagrams]

    @property
    def restored_from(self) -> str:
        """`snapshot`, or `store` when there was none that could be used."""
        return "store" if self._snapshots.found is None else "snapshot"

    @property
    def ports(self) -> list[int]:
        """The ports that are listened on, for those who asked for port 0."""
        return [server.sockets[0].getsockname()[1] for server in self._servers]

    def _hear_datagrams(self) -> None:
        ids = ConnectionIds(self._sources.announce_secret)
        for heard in self._datagram_sockets:
            tally = DatagramTally("ipv6" if heard.family == socket.AF_INET6 else "ipv4")
            desk = Desk(self.tracker, ids, self.server, tally)
            self.datagrams.append(Listener(heard, desk, self.journal))
            self.datagrams[-1].start()

    async def stop(self) -> None:
        """Answers what was asked, ships what there is if the store answers soon, gives the journal up."""
        self.server.draining = True
        for listener in self.datagrams:
            listener.finish()
        for server in self._servers:
            server.close()
        began = time.monotonic()
        while self.server.connections and time.monotonic() < began + DRAIN_S and self.journal.failure is None:
            await asyncio.sleep(0.02)
            if time.monotonic() < began + LINGER_S:
                continue
            for connection in [c for c in self.server.connections if not c.waiting and not c.reader.waiting]:
                connection.transport.close()
        for connection in list(self.server.connections):
            connection.abandon()
        if self._follower is not None:
            self._follower.stop()
        await self._neighbours.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.journal.failure is None and not self.journal.full:
            await self.journal.settled()
            self._begin_snapshot()
            with suppress(TimeoutError, JournalFailed):
                await asyncio.wait_for(self._ship_last(), SHIP_AT_END_S)
        await self.journal.close()
        if isinstance(self.journal.failure, Fenced):
            await asyncio.to_thread(abandoned.set_aside, self._directory)
        with suppress(TimeoutError):  # the copy ends on its own
            await asyncio.wait_for(self._snapshots.written(), SNAPSHOT_AT_END_S)
        for listener in self.datagrams:
            listener.close()
        self._publish()

    def _floor_s(self) -> int:
        """Nobody is expired before clients had the time to announce after our start."""
        return max(1, self.server.now_s - self.settings.peer_ttl_s + self.settings.interval_s)

    def _begin_snapshot(self) -> None:
        self._snapshots.begin(self.swarms, self.journal.open_seq - 1, self.server.now_s)

    def _replay(self, announces: Iterable[Announce]) -> None:
        now_us, now_s, floor_s = self.server.now_us(), self.server.now_s, self._floor_s()
        for announce in announces:
            restore.apply(self.swarms, announce, now_us, now_s, floor_s)

    def _take(self, changes: Changes) -> None:
        leaving = self.access.apply(changes)
        self._has_access.set()
        if self._restored:  # until then there is nobody to send away, and then everybody is looked at
            self._evict_leaving(leaving)

    def _evict_leaving(self, leaving: Leaving) -> None:
        if leaving.users:
            self._spawn(self._evict(self.swarms.evict(leaving.users, ()), self._snapshots.outdate))
        if leaving.torrents:
            self._spawn(self._evict(self.swarms.evict((), leaving.torrents)))
        if leaving.leechers:
            self._spawn(self._evict(self.swarms.evict_leechers(leaving.leechers)))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)

    async def _evict(self, leaving: Iterable[Gone | None], then: Callable[[], None] = lambda: None) -> None:
        """Removes them, and does what is to follow if there was anybody."""
        somebody = False
        for number, gone in enumerate(leaving):
            if gone is not None:
                somebody = True
                self._expired(gone)
            if gone is None or number % EVICT_AT_ONCE == 0:
                await asyncio.sleep(0)
        if somebody:
            then()

    def _connection(self) -> asyncio.Protocol:
        return cast(asyncio.Protocol, self.server.connection())  # by its methods, not by its ancestors

    def _expired(self, gone: Gone) -> None:
        now_us = self.server.now_us()
        self.journal.append(expired_row(gone, now_us))
        if self.tracker.latest is not None:
            self.tracker.latest.note(gone.torrent_id + gone.user_id + gone.peer_id, Event.STOPPED, now_us)

    def _begun(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._part_ended)
        return task

    def _part_ended(self, task: asyncio.Task[None]) -> None:
        """An edge without one of its parts would go on answering; it ends, and its supervisor starts it again."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("edge_part_failed", edge_id=self.settings.id, exc_info=error)
            self.failed.set()

    def _work(self) -> tuple[Coroutine[Any, Any, None], ...]:
        return (
            self._ship(),
            self._tick(),
            self._snapshots.keep(self._begin_snapshot),
            self._ship_abandoned(),
            self._note_unregistered(),
        )

    async def _ship_abandoned(self) -> None:
        """Now and then: journals beside ours whose process will not come back."""
        while self._sources.head is not None:
            await asyncio.sleep(abandoned.EVERY_S)
            ship, keys, head = self._sources.ship, self._sources.keys, self._sources.head
            await asyncio.to_thread(abandoned.ship_all, self._directory, ship, keys, head)

    async def _note_unregistered(self) -> None:
        """Now and then: hashes that users announced and no torrent has, for the staff to see."""
        while self._sources.note_unregistered is not None:
            await asyncio.sleep(NOTE_EVERY_S)
            noted = self.tracker.unregistered.take()
            try:
                await asyncio.to_thread(self._sources.note_unregistered, noted)
            except Exception as error:  # the store is away for one, and this is no history
                log.warning("unregistered_unwritten", error=type(error).__name__)

    async def _ship(self) -> None:
        with suppress(JournalFailed):
            await self.shipper.run()

    async def _ship_last(self) -> None:
        await self.journal.rotate()
        await self.shipper.ship_closed()

    async def _tick(self) -> None:
        """Once a second: deadlines, expiry, metrics."""
        began_s, worked_s = time.monotonic(), time.thread_time()
        while True:
            await asyncio.sleep(1)
            server, swarms = self.server, self.swarms
            server.tick()
            self._heed_rights()
            now_s, thread_s = time.monotonic(), time.thread_time()
            self.tracker.load.measured((thread_s - worked_s) / (now_s - began_s), self.journal.waiting_s)
            began_s, worked_s = now_s, thread_s
            await self._sweep(max(MIN_SWEEP, len(swarms) // SWEEP_S))
            if self.tracker.latest is not None and server.now_s % EXACT_S == 0:
                self.tracker.latest.rotate(server.now_us())
            self._publish()
            publish_load(level=self.tracker.load.level, interval_s=self.tracker.load.interval_s)
            publish_state(
                journal_bytes=self.journal.depth_bytes,
                journal_age_s=self.journal.age_s,
                journal_full=self.journal.full,
                peers=len(swarms),
                swarms=swarms.torrents,
            )

    def _heed_rights(self) -> None:
        """While nobody can tell who may announce, take what the setting lets in; see docs/decisions/0072."""
        age_s, then = self._sources.rights_age_s(), self.settings.rights_unknown
        publish_rights(age_s=age_s)
        unknown = age_s > RIGHTS_KNOWN_FOR_S
        closed_to_newcomers = unknown and then != "serve"
        if closed_to_newcomers != self.tracker.closed_to_newcomers:
            log.warning("rights_unknown" if unknown else "rights_known", edge_id=self.settings.id)
        self.tracker.closed_to_newcomers = closed_to_newcomers
        self.tracker.closed = closed_to_newcomers and then == "refuse"

    async def _sweep(self, slots: int) -> None:
        """Expires among the next so many slots, some at a time."""
        for _ in range(0, slots, SWEEP_AT_ONCE):
            before_s = self.server.now_s - self.settings.peer_ttl_s
            for gone in self.swarms.expire(before_s, SWEEP_AT_ONCE, others_s=OTHERS_GRACE_S):
                self._expired(gone)
            await asyncio.sleep(0)

    def _publish(self) -> None:
        self.tally.publish()
        for listener in self.datagrams:
            listener.desk.tally.publish()

    def _journal_failed(self, error: BaseException) -> None:
        """Announces that cannot be made durable are not taken: clients try again, here or elsewhere."""
        log.critical("journal_failed", edge_id=self.settings.id, error=type(error).__name__)
        for server in self._servers:
            server.close()
        for listener in self.datagrams:
            listener.close()
        for connection in list(self.server.connections):
            connection.abandon()
        self.failed.set()


def _call_in(loop: asyncio.AbstractEventLoop, function: Callable[[Changes], Any], changes: Changes) -> None:
    with suppress(RuntimeError):  # the loop has ended, and nobody needs the changes
        loop.call_soon_threadsafe(function, changes)
