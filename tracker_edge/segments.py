"""The way of segments into the store: where they lie, and the event that gives them their place in the order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from psycopg import Cursor

from domain.announces import same_records
from domain.peers import EdgeJournal
from runtime.journal import Segment, insert

Ship = Callable[[Sequence[Segment]], None]


class Log(Protocol):
    """What `Store.record` of the event store does."""

    def record(
        self,
        kind: type[EdgeJournal.SegmentsRecorded],
        stream_id: Any,
        *,
        beside: Callable[[Cursor[Any]], None] | None = None,
        **fields: Any,
    ) -> int: ...


def into_store(open_log: Callable[[], Log]) -> Ship:
    """Ships into `journal.segment`, with one event per shipment; `open_log` gives a log for one new command."""

    def ship(segments: Sequence[Segment]) -> None:
        first, last = segments[0], segments[-1]

        def beside(cursor: Cursor[Any]) -> None:
            for segment in segments:
                insert(cursor, segment, same_records)

        open_log().record(
            EdgeJournal.SegmentsRecorded,
            EdgeJournal.stream_id(last.edge_id),
            beside=beside,
            edge_id=last.edge_id,
            first_seq=first.seq,
            last_seq=last.seq,
            announces=sum(segment.announces for segment in segments),
            sha256=last.sha256.hex(),
        )

    return ship
