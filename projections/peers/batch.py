"""Segments that are settled together: the more, the fewer rows are written for each announce."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.announces import Announce, decode
from domain.factors import Promotions
from domain.tally import Tally
from projections.peers import rows, sums, windows
from projections.peers.binary import Place
from runtime.db import Writer
from runtime.facts import AnyCaused
from runtime.journal import Segment
from runtime.rollup import come

#: What is settled at once ends with the segment that reaches this: the more, the fewer rows of users and torrents are
#: written per announce; it takes 2 KB of memory each, and two seconds, in which nobody sees any of it.
ANNOUNCES_AT_ONCE = 40_000


@dataclass(slots=True)
class _Part:
    """One segment; of its announces' promotions nothing is known yet where it is None. After it, before the next one,
    so many of all seeders and leechers were gone with their torrents."""

    place: Place
    records: list[Announce]
    promotions: Promotions | None = None
    seeders_gone: int = 0
    leechers_gone: int = 0


class Batch:
    """Segments in the order of the log, settled as soon as they are enough; `settle` settles those that are left."""

    def __init__(self, db: Writer) -> None:
        self._db = db
        self._parts: list[_Part] = []
        self._announces = 0
        self._torrents: set[bytes] = set()
        self._come: datetime | None = None

    def add(self, fact: AnyCaused, segment: Segment) -> None:
        """One more segment, of that fact."""
        records = decode(segment.payload, self._db.keys)
        self._parts.append(_Part(Place(fact.position, segment.edge_id, segment.seq), records))
        self._announces += len(records)
        moment = come(segment.last_at, fact.recorded_at)
        self._come = moment if self._come is None else max(self._come, moment)
        self._torrents |= {announce.torrent_id for announce in records}
        if self._announces >= ANNOUNCES_AT_ONCE:
            self.settle()

    def holds(self, torrent_id: UUID) -> bool:
        """Whether anybody in it announces the torrent."""
        return torrent_id.bytes in self._torrents

    def shrink(self, seeders: int, leechers: int) -> None:
        """So many are gone with a torrent that it does not hold."""
        if self._parts:
            self._parts[-1].seeders_gone += seeders
            self._parts[-1].leechers_gone += leechers
        else:
            sums.shrink_swarm(self._db, seeders, leechers)

    def promise(self) -> None:
        """Look up what the announces so far are promised, before a fact that changes it for later ones."""
        parts = [part for part in self._parts if part.promotions is None]
        announces = [announce for part in parts for announce in part.records]
        if announces:
            promotions = windows.promotions(self._db, announces)
            for part in parts:
                part.promotions = promotions

    def settle(self) -> None:
        """Work out and write what all of it adds up to."""
        self.promise()
        pairs = {(announce.torrent_id, announce.user_id) for part in self._parts for announce in part.records}
        if pairs:
            clients, row_places = rows.clients(self._db, pairs)
            tally = Tally(clients, rows.deleted(self._db, self._torrents))
            for number, part in enumerate(self._parts):
                tally.add(number, part.records, part.promotions or Promotions())
                tally.shrink(part.seeders_gone, part.leechers_gone)
            tally.close()
            assert self._come is not None, "announces come in segments"
            sums.USER_HISTORY.reach(self._db, self._come)
            rows.write(self._db, [part.place for part in self._parts], tally, row_places)
        self._parts, self._announces, self._torrents, self._come = [], 0, set(), None
