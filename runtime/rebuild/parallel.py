"""Several projections rebuilt at once, a process for each: they are independent, and Python computes on one core."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild.errors import RebuildFailed
from runtime.rebuild.tables import Rebuilt, rebuild

#: Two are what the rest of a site leaves of a machine; PostgreSQL takes as much again.
PROCESSES = 2
#: A batch makes many objects that live until it is written: collecting among them finds nothing.
GC_THRESHOLD = (500_000, 50, 100)

_platform: list[Platform] = []


def largest_first(platform: Platform, projections: Sequence[Projection]) -> list[Projection]:
    """By the room that their live tables take: the longest work is not what everybody waits for in the end."""
    query = "SELECT sum(pg_total_relation_size(to_regclass('read.' || quote_ident(t)))) FROM unnest(%s::text[]) AS t"
    with platform.pool.connection() as connection:
        sizes = {one.name: connection.execute(query, (list(one.tables),)).fetchone() for one in projections}
    return sorted(projections, key=lambda one: -int((sizes[one.name] or (0,))[0] or 0))


def rebuild_all(open_platform: Callable[[], Platform], names: Sequence[str], processes: int) -> Iterator[Rebuilt]:
    """Rebuild these projections, each as soon as a process is free; yields them as they get done.

    `open_platform` is called in each process, so it is something that can be pickled. Raises `RebuildRunning` or
    `RebuildFailed` for the first one that fails; others that run are brought to their end, the rest is not begun.
    """
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, _open, (open_platform,)) as pool:
        running: list[Future[Rebuilt]] = [pool.submit(_rebuild, name) for name in names]
        try:
            for done in as_completed(running):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _open(open_platform: Callable[[], Platform]) -> None:
    gc.set_threshold(*GC_THRESHOLD)
    _platform.append(open_platform())


def _rebuild(name: str) -> Rebuilt:
    (platform,) = _platform
    for follower in platform.followers:
        if follower.name == name and isinstance(follower, Projection):
            return rebuild(platform, follower)
    raise RebuildFailed(f"no projection is called {name!r}")
