"""Three segments of one edge: everybody starts, downloads, completes and seeds everything."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import Cursor

from domain.announces import Announce, Event, encode
from domain.base import SYSTEM
from domain.peers import EdgeJournal
from runtime import journal
from tests.history.past import NOW, Past


def tell(past: Past) -> None:
    previous = journal.GENESIS
    for seq, (step, event) in enumerate([(0, Event.STARTED), (600, Event.COMPLETED), (1200, Event.REGULAR)], start=1):
        at = NOW + timedelta(seconds=step)
        announces = [
            _announce(at, user.id, torrent.id, n, event, transferred=step)
            for n, (user, torrent) in enumerate((u, t) for u in past.users for t in past.torrents)
        ]
        # With addresses in clear, as segments were before these were encrypted.
        segment = journal.seal("edge-1", seq, len(announces), at, at, previous, encode(announces))
        previous = segment.sha256
        _record(past, segment)
    for first, last in ((1, 2), (3, 3)):
        past.platform.store(SYSTEM, "cli").record(
            EdgeJournal.AddressesEncrypted,
            EdgeJournal.encryption_id("edge-1"),
            edge_id="edge-1",
            first_seq=first,
            last_seq=last,
            sha256="00" * 32,
        )


def _record(past: Past, segment: journal.Segment) -> None:
    past.platform.store(SYSTEM, "edge").record(
        EdgeJournal.SegmentsRecorded,
        EdgeJournal.stream_id("edge-1"),
        beside=_inserting(segment),
        edge_id="edge-1",
        first_seq=segment.seq,
        last_seq=segment.seq,
        announces=segment.announces,
        sha256=segment.sha256.hex(),
    )


def _inserting(segment: journal.Segment) -> Callable[[Cursor[Any]], None]:
    return lambda cursor: journal.insert(cursor, segment)


def _announce(at: datetime, user_id: UUID, torrent_id: UUID, n: int, event: Event, *, transferred: int) -> Announce:
    return Announce(
        received_at_us=int(at.timestamp() * 1_000_000),
        user_id=user_id.bytes,
        torrent_id=torrent_id.bytes,
        peer_id=b"-LT2110-" + bytes([65 + n]) * 12,
        event=event,
        uploaded=transferred * 3,
        downloaded=min(transferred, 1000),
        left=max(0, 1000 - 2 * transferred),
        address=bytes([203, 0, 113, n + 1]),
        port=6881 + n,
        key=n,
    )
