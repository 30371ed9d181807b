"""The demo's own edge: announces in, segments of the journal out, each recorded before what comes after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from domain.announce_addresses import WriteKeys, encrypted
from domain.announces import encode
from runtime.demo.past import HOUR_US, moment
from runtime.journal import GENESIS, seal
from runtime.store import Store
from tracker_edge.segments import into_store

#: A segment ends with so many announces, or with the hour that many of them begin with.
ANNOUNCES = 10_000
EVERY_US = 6 * HOUR_US


class Segments:
    """Writes one edge's chain from its first segment on; `open_log` gives the store of a command at that time."""

    def __init__(self, edge_id: str, open_log: Callable[[int], Store], keys: WriteKeys) -> None:
        self._edge_id = edge_id
        self._open_log = open_log
        self._keys = keys
        self._records: list[tuple[Any, ...]] = []
        self._previous = GENESIS
        self._until_us = 0
        self.seq = 0
        self.announces = 0
        self.bytes = 0

    def write(self, record: tuple[Any, ...]) -> None:
        """One announce, the fields of `domain.announces.Announce` in their order; not older than the one before."""
        if record[0] >= self._until_us or len(self._records) >= ANNOUNCES:
            self.ship()
            self._until_us = record[0] - record[0] % EVERY_US + EVERY_US
        self._records.append(record)

    def ship(self) -> None:
        """Everything that was written is in the store."""
        if not self._records:
            return
        records, self._records = self._records, []
        self.seq += 1
        first_us, last_us = records[0][0], records[-1][0]
        segment = seal(
            self._edge_id,
            self.seq,
            len(records),
            moment(first_us),
            moment(last_us),
            self._previous,
            encrypted(encode(records), self._keys),  # type: ignore[arg-type]  # plain tuples: a third of the time
        )
        into_store(lambda: self._open_log(last_us))([segment])
        self._previous = segment.sha256
        self.announces += len(records)
        self.bytes += len(segment.data)
