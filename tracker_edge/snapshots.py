"""When an edge writes the snapshot of its swarms, and whether it begins with the last one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from domain.announces import Announce
from runtime.settings import Edge as EdgeSettings
from tracker_edge import snapshot
from tracker_edge.sources import Sources
from tracker_edge.swarms import Swarms

log = structlog.get_logger()

#: The pause between two that are written because somebody has left for good.
PAUSE_S = 15.0


class Snapshots:
    """Those of one edge, in one file; none is written where the store could not go on from it."""

    def __init__(self, path: Path, settings: EdgeSettings, sources: Sources) -> None:
        self.found: snapshot.Snapshot | None = None
        self._path = path
        self._edge_id = settings.id
        self._max_age_s = settings.peer_ttl_s // 4
        self._sources = sources
        self._writing: int | None = None  # the process that writes one
        self._outdated = asyncio.Event()

    def restore(self, replay: Callable[[Announce], None], count: Callable[[bytes, int], None]) -> tuple[int, bytes]:
        """Reads what the swarms are made of: the snapshot and what came after, or else the store's own view."""
        sources, self.found = self._sources, None
        if sources.restore_after is not None:
            try:
                found = snapshot.read(self._path, self._edge_id, self._max_age_s)
                sources.ends.clear()
                sources.ends.update(found.ends)
                ended = sources.restore_after(replay, count)
                if ended is not None:
                    self.found = found
                    return ended
                log.warning("snapshot_unused", edge_id=self._edge_id, reason="the store does not continue it")
            except snapshot.Unusable as error:
                log.info("snapshot_unused", edge_id=self._edge_id, reason=str(error))
        return sources.restore(replay, count)

    def load(self, swarms: Swarms, now_s: int, floor_s: int) -> None:
        """Fills the swarms from the snapshot that was found, if one was."""
        if self.found is not None:
            snapshot.load(swarms, self.found, now_s, floor_s)

    def begin(self, swarms: Swarms, last_seq: int, now_s: int) -> None:
        """Begins to write one; `last_seq` is the last segment of ours that the swarms are made of."""
        if self._sources.restore_after is not None:
            ends = {**self._sources.ends, self._edge_id: last_seq}
            try:
                self._writing = snapshot.fork_and_write(self._path, self._edge_id, swarms, ends, now_s)
            except OSError as error:  # no room for a copy of this process
                log.warning("snapshot_failed", edge_id=self._edge_id, error=error.strerror)

    def outdate(self) -> None:
        """Somebody was sent away: whose addresses are in the last one may be about to be forgotten."""
        self._outdated.set()

    async def keep(self, begin: Callable[[], None]) -> None:
        """One every few minutes, or soon; one that failed is tried again at the next turn."""
        while self._sources.restore_after is not None:
            await asyncio.sleep(PAUSE_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._outdated.wait(), snapshot.EVERY_S - PAUSE_S)
            self._outdated.clear()
            begin()
            await self.written()

    async def written(self) -> None:
        """Waits for the one that was begun."""
        writing, self._writing = self._writing, None
        if writing is not None:
            _, status = await asyncio.to_thread(os.waitpid, writing, 0)
            if status:
                log.warning("snapshot_failed", edge_id=self._edge_id, status=status)
