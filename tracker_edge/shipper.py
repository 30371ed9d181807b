"""Brings the journal's files into the store, in order and each once, however long the store is away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from domain.announce_addresses import WriteKeys, encrypted
from domain.announces import ROW_BYTES, encode_rows, span
from runtime.journal import AlreadyRecorded, Fenced, Segment, seal
from tracker_edge.journal import Journal, read_rows
from tracker_edge.segments import Ship

log = structlog.get_logger()

#: Files per shipment after an outage, and after how many bytes there are no more: keeps one transaction small.
MAX_FILES, SHIPMENT_BYTES = 32, 8 * 2**20
RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def sealed(directory: Path, edge_id: str, seq: int, previous: bytes, keys: WriteKeys) -> Segment:
    """The segment that the closed file becomes: the same for the same file, whenever it is made, as long as nobody in
    it is erased."""
    rows = read_rows(directory, seq)
    first, last = span(rows)
    payload = encrypted(encode_rows(rows), keys)
    return seal(edge_id, seq, len(rows) // ROW_BYTES, _time(first), _time(last), previous, payload)


class Shipper:
    """Closes the open file at each interval and ships what is closed; `previous` is the hash of the stored chain's end.

    Addresses are encrypted under `keys`, which the store has: while it is away, files wait as they are.
    `at_once` ships as soon as there is something, for edges that acknowledge only what is in the store.
    """

    def __init__(
        self,
        journal: Journal,
        edge_id: str,
        ship: Ship,
        keys: WriteKeys,
        previous: bytes,
        *,
        interval_s: float,
        at_once: bool = False,
    ) -> None:
        self._journal = journal
        self._edge_id = edge_id
        self._ship = ship
        self._keys = keys
        self._previous = previous
        self._interval_s = 0.0 if at_once else interval_s
        self._working: asyncio.Future[list[int]] | None = None
        self.failures = 0  # in a row: 0 means that the store answers

    async def run(self) -> None:
        """Ships until it is cancelled; a failed journal ends it."""
        while self._journal.failure is None:
            if not self._journal.closed:
                await self._journal.dirty.wait()
            await asyncio.sleep(self._interval_s)
            await self._journal.rotate()
            await self.ship_closed()

    async def ship_closed(self) -> None:
        """Ships every closed file; tries for as long as it takes."""
        while self._journal.closed and self._journal.failure is None:
            if self._working is None:
                files = self._journal.oldest(MAX_FILES, SHIPMENT_BYTES)
                self._working = asyncio.ensure_future(asyncio.to_thread(self._try, files))
            try:
                # A shipment cannot be called back: who waits next after a cancellation waits for the same one.
                shipped = await asyncio.shield(self._working)
            except Fenced as error:
                log.error("journal_fenced", edge_id=self._edge_id, error=str(error))
                self._journal.fail(error)
                return
            self._working = None
            for seq in shipped:
                self._journal.shipped(seq)
            if not shipped:
                await asyncio.sleep(RETRY_S[min(self.failures, len(RETRY_S)) - 1])

    def _try(self, seqs: Sequence[int]) -> list[int]:
        """Runs in a thread; returns what is in the store now. Raises `Fenced`."""
        try:
            done = self._all_or_first(seqs)
        except Fenced:
            raise
        except Exception as error:  # whatever it is, the files stay and the next try tells
            self.failures += 1
            log.warning("shipment_failed", edge_id=self._edge_id, seq=seqs[0], error=type(error).__name__)
            return []
        self.failures = 0
        return done

    def _all_or_first(self, seqs: Sequence[int]) -> list[int]:
        try:
            return self._together(seqs)
        except AlreadyRecorded:
            return self._one(seqs[0])

    def _together(self, seqs: Sequence[int]) -> list[int]:
        segments: list[Segment] = []
        for seq in seqs:
            previous = segments[-1].sha256 if segments else self._previous
            segments.append(sealed(self._journal.directory, self._edge_id, seq, previous, self._keys))
        self._ship(segments)
        self._previous = segments[-1].sha256
        return list(seqs)

    def _one(self, seq: int) -> list[int]:
        """The first of a shipment was in the store before: an answer was lost, or a crash came before the deletion."""
        try:
            return self._together([seq])
        except AlreadyRecorded as known:
            self._previous = known.sha256
            return [seq]


def _time(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
