"""Read tables made anew from the log: to repair them (`rebuild`), or to prove that they need no repair (`verify`).

The same handlers run on empty copies of the tables in a schema beside `read`. A rebuild then swaps the copies in within
one transaction; readers wait for milliseconds and never see a half-built table. What was there before is the standby.
"""

from __future__ import annotations

from runtime.rebuild.compare import RowDifference, TableCheck
from runtime.rebuild.errors import NoRun, NoStandby, RebuildCancelled, RebuildFailed, RebuildRunning
from runtime.rebuild.stream import NotByStream, StreamRebuilt, rebuild_stream
from runtime.rebuild.tables import Progress, Rebuilt, cancel, drop, rebuild, roll_back, verify

__all__ = [
    "NoRun",
    "NoStandby",
    "NotByStream",
    "Progress",
    "RebuildCancelled",
    "RebuildFailed",
    "RebuildRunning",
    "Rebuilt",
    "RowDifference",
    "StreamRebuilt",
    "TableCheck",
    "cancel",
    "drop",
    "rebuild",
    "rebuild_stream",
    "roll_back",
    "verify",
]
