"""How a worker carries out orders, and the checks of the night: in processes of their own, since Python computes on one
core and followers need it.

They end with the worker. What they were doing is gone on with by whichever worker looks next.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import structlog

from runtime.children import end, spawn
from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild.orders import waiting
from runtime.rebuild.sample import due

#: Orders that one worker carries out at a time.
AT_ONCE = 2
#: The process that checks samples has no projection's name. A worker that has just begun has better things to do, and
#: one whose checks come to nothing lets others try.
CHECK, FIRST_CHECK_S, CHECK_EVERY_S = "", 600.0, 3600.0
STOP_S = 2.0

log = structlog.get_logger()


class Carriers:
    """The processes of one worker; `argv` is the command line of `tracker projections` with these words."""

    def __init__(
        self, platform: Platform, argv: Callable[[Sequence[str]], Sequence[str]], env: Mapping[str, str]
    ) -> None:
        self._platform = platform
        self._projections = [follower for follower in platform.followers if isinstance(follower, Projection)]
        self._argv = argv
        self._env = env
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._check_at = time.monotonic() + FIRST_CHECK_S

    def look(self, now: datetime) -> None:
        """Begin what waits; called again and again, always by the same thread, with which the processes end."""
        for name, process in list(self._running.items()):
            if process.poll() is not None:
                del self._running[name]
                log.info("carrier_ended", projection=name, code=process.returncode)
        with self._platform.projector_pool.connection() as connection:
            names = [name for name in waiting(connection) if name not in self._running]
            is_night = time.monotonic() >= self._check_at and bool(due(connection, self._projections, now))
        for name in names[: max(0, AT_ONCE - len(self._running))]:
            self._begin(name, "carry-out", name)
        if is_night and CHECK not in self._running:
            self._check_at = time.monotonic() + CHECK_EVERY_S
            self._begin(CHECK, "check", "--due")

    def close(self) -> None:
        """End the processes; their orders are interrupted."""
        for process in self._running.values():
            if process.poll() is None:
                end(process, signal.SIGTERM, STOP_S)
        self._running.clear()

    def _begin(self, name: str, *words: str) -> None:
        log.info("carrier_begun", projection=name, words=words)
        self._running[name] = spawn(self._argv(words), None, signal.SIGKILL, env=self._env)
