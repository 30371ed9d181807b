"""The other edges as one of them knows them: their announces go into its swarms, and its own chain is watched."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from domain.announces import Announce
from runtime.journal import Fenced
from runtime.settings import Edge as EdgeSettings
from tracker_edge.announce import Tracker
from tracker_edge.journal import Journal
from tracker_edge.others import Latest, apply, slices
from tracker_edge.sources import Following, Sources


class Clock(Protocol):
    """The edge's clocks; see `http.Server`."""

    now_s: int

    def now_us(self) -> int: ...


class Neighbours:
    """Follows the others from `sources.ends` on, and keeps those ends up to date for the snapshot."""

    def __init__(
        self, settings: EdgeSettings, sources: Sources, tracker: Tracker, journal: Journal, clock: Clock
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._tracker = tracker
        self._journal = journal
        self._clock = clock
        self._tail: Following | None = None

    def follow(self, loop: asyncio.AbstractEventLoop, spawn: Callable[[Awaitable[None]], None]) -> None:
        """Begins; `spawn` runs work of ours on the loop until the edge stops."""
        if self._sources.tail is None:
            return
        if self._settings.processes > 1 or set(self._sources.ends) - {self._settings.id}:
            self._keep_times()

        def deliver(edge_id: str, seq: int, records: list[Announce], taken: threading.Event) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(lambda: spawn(self._heard(edge_id, seq, records, taken)))

        def overtaken(head_seq: int) -> None:
            if head_seq >= self._journal.open_seq:
                error = Fenced(f"another process continues the journal of {self._settings.id}")
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._journal.fail, error)

        self._tail = self._sources.tail(deliver, overtaken)
        self._tail.start()

    async def stop(self) -> None:
        if self._tail is not None:
            await asyncio.to_thread(self._tail.stop)

    def _keep_times(self) -> Latest:
        if self._tracker.latest is None:
            self._tracker.latest = Latest(self._settings.peer_ttl_s)
        return self._tracker.latest

    async def _heard(self, edge_id: str, seq: int, records: list[Announce], taken: threading.Event) -> None:
        latest, access, swarms = self._keep_times(), self._tracker.access, self._tracker.swarms
        try:
            for portion in slices(records):
                now_us, now_s = self._clock.now_us(), self._clock.now_s
                for announce in portion:
                    if access.admits(announce.user_id, announce.torrent_id, announce.left):
                        apply(swarms, latest, announce, now_us, now_s, self._settings.peer_ttl_s)
                await asyncio.sleep(0)
            self._sources.ends[edge_id] = seq
        finally:
            taken.set()
