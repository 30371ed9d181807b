"""How a worker carries out orders: in processes of their own, since Python computes on one core and followers need it.

They end with the worker. What they were doing is gone on with by whichever worker looks next.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import structlog

from runtime.children import end, spawn
from runtime.platform import Platform
from runtime.rebuild.orders import waiting

#: Orders that one worker carries out at a time.
AT_ONCE = 2
STOP_S = 2.0

log = structlog.get_logger()


class Carriers:
    """The processes of one worker; `argv` is the command line that carries out the order of a projection."""

    def __init__(self, platform: Platform, argv: Callable[[str], Sequence[str]], env: Mapping[str, str]) -> None:
        self._platform = platform
        self._argv = argv
        self._env = env
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def look(self, now: datetime) -> None:
        """Begin what waits; called again and again, always by the same thread, with which the processes end."""
        for name, process in list(self._running.items()):
            if process.poll() is not None:
                del self._running[name]
                log.info("order_ended", projection=name, code=process.returncode)
        with self._platform.projector_pool.connection() as connection:
            names = [name for name in waiting(connection) if name not in self._running]
        for name in names[: AT_ONCE - len(self._running)]:
            log.info("order_begun", projection=name)
            self._running[name] = spawn(self._argv(name), None, signal.SIGKILL, env=self._env)

    def close(self) -> None:
        """End the processes; their orders are interrupted."""
        for process in self._running.values():
            if process.poll() is None:
                end(process, signal.SIGTERM, STOP_S)
        self._running.clear()
