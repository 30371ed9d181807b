"""An edge as a process: it waits for the store, serves until it is told to end, and ends in order."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg
import structlog

from runtime.heartbeat import keep_beating
from runtime.platform import Platform
from runtime.settings import Settings
from tracker_edge.journal import NoRoom
from tracker_edge.server import Edge, from_platform

log = structlog.get_logger()


async def serve(settings: Settings, platform: Platform, *, ready: Callable[[], None] = lambda: None) -> int:
    """Runs an edge of the site until SIGTERM or SIGINT; returns the exit code, 1 when its journal failed.

    Raises `SettingsError`, `JournalDamaged`, OSError when it cannot start; waits for a store that is away. On a full
    disk it is not `ready`: it refuses announces until there is room.
    """
    edge = Edge(settings.edge, settings.data_dir / "edge" / settings.edge.id, from_platform(platform))
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if not await _before(ended, _start(edge)):
        return 0
    keep_what_is_there()
    beating = asyncio.create_task(keep_beating())
    log.info(
        "edge_serves",
        edge_id=settings.edge.id,
        peers=len(edge.swarms),
        ports=edge.ports,
        restored_from=edge.restored_from,
    )
    becoming = asyncio.create_task(say_ready(edge, ready))
    await _before(ended, edge.failed.wait())
    becoming.cancel()
    beating.cancel()
    await edge.stop()
    return 1 if edge.failed.is_set() else 0


def keep_what_is_there() -> None:
    """Peers that were restored stay for long: the garbage collector need not look through a million of them again."""
    gc.collect()
    gc.freeze()


async def _start(edge: Edge) -> None:
    """Starts as soon as the store answers: an edge without its access snapshot would refuse everybody."""
    while True:
        try:
            return await edge.start()
        except psycopg.Error as error:
            log.warning("edge_waits_for_the_store", error=type(error).__name__)
        except NoRoom:  # not even for the directory of its journal
            log.warning("edge_waits_for_room")
        await asyncio.sleep(1.0)


async def say_ready(edge: Edge, ready: Callable[[], None]) -> None:
    """Once it can acknowledge what it is asked."""
    await edge.journal.begun.wait()
    ready()


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
