"""How a role shows its supervisor that it turns: it touches a file every second, from the loop that does its work.

A process that is stopped, or whose loop waits for something that never comes, answers nobody and does not end.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

#: Names the file; no role touches one without it.
HEARTBEAT_FILE = "APP_HEARTBEAT_FILE"
BEAT_S = 1.0
#: A role that was heard before and has been silent for so long hangs.
HANGING_S = 30.0


def beat() -> None:
    """Once: called again and again by whoever does the work."""
    if path := os.environ.get(HEARTBEAT_FILE):
        with suppress(OSError):
            Path(path).touch()


async def keep_beating() -> None:
    """For as long as the event loop turns."""
    while True:
        beat()
        await asyncio.sleep(BEAT_S)


@dataclass
class Heard:
    """What a supervisor hears of one process. Its own clock counts: that of files may be set."""

    path: Path
    hanging_s: float
    _last: int | None = None
    _changed_at: float = field(default_factory=time.monotonic)

    def is_hanging(self) -> bool:
        """Whether it has been silent for too long; one that was never heard is still starting."""
        try:
            beaten = self.path.stat().st_mtime_ns
        except OSError:
            return False
        if beaten != self._last:
            self._last, self._changed_at = beaten, time.monotonic()
        return time.monotonic() - self._changed_at > self.hanging_s
