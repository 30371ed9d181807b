"""Reads archived events as if they were in the table: by position, and by stream."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row

from runtime.event_archive.files import FrameReader, file_of
from runtime.event_archive.rows import ArchivedEvent, position_of, read, split

#: Of a stream's event in the index: the stream, the position.
ENTRY_BYTES = 24
_READERS = 64


@dataclass(frozen=True, slots=True)
class Piece:
    """A partition that lies in files; `begins` and `ends` are its bounds, the others those of its events."""

    begins: int
    ends: int
    first_position: int
    last_position: int
    events: int
    last_recorded_at: datetime
    events_sha256: bytes
    streams_sha256: bytes

    def path(self, root: Path) -> Path:
        """Of the events, in the order of positions."""
        return root / "events" / f"{self.first_position:019d}.events"

    def index(self, root: Path) -> Path:
        """Of the positions of each stream."""
        return root / "events" / f"{self.first_position:019d}.streams"


PIECE = "begins, ends, first_position, last_position, events, last_recorded_at, events_sha256, streams_sha256"


def pieces(connection: Connection[Any]) -> list[Piece]:
    """What lies in files, oldest first: all that came before it does, too."""
    with connection.cursor(row_factory=class_row(Piece)) as cursor:
        return cursor.execute(f"SELECT {PIECE} FROM es.archived_events ORDER BY first_position").fetchall()


#: Up to which position the log lies in files, as the same statement's rows of the table go on from there: both change
#: in one transaction. NULL while nothing does.
ARCHIVED_UPTO: LiteralString = "(SELECT max(last_position) AS archived_upto FROM es.archived_events) AS archive"


class EventArchive:
    """The files below `root`, as the database knows them.

    Callers say up to which position they want to read: `archived_upto` of the statement that read the table, so that an
    event which moves meanwhile is found once.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._pieces: list[Piece] = []
        self._lock = threading.Lock()
        self._readers = lru_cache(_READERS)(_open)

    def pieces(self, connection: Connection[Any], upto: int) -> list[Piece]:
        """What lies in files; asks the database when this process does not know of all up to there."""
        with self._lock:
            if not self._pieces or self._pieces[-1].last_position < upto:
                self._pieces = pieces(connection)
            return self._pieces

    def between(
        self,
        connection: Connection[Any],
        after: int,
        upto: int,
        wanted: Callable[[ArchivedEvent], bool] = lambda one: True,
        limit: int | None = None,
    ) -> list[ArchivedEvent]:
        """At most `limit` of the wanted events with after < position ≤ upto."""
        found = map(read, self.rows(connection, after, upto))
        return list(islice(filter(wanted, found), limit))

    def rows(self, connection: Connection[Any], after: int, upto: int) -> Iterator[bytes]:
        """The same events as `rows` has them."""
        for piece in self.pieces(connection, upto):
            if piece.last_position <= after or piece.first_position > upto:
                continue
            for frame in self._reader(piece.path(self.root)).frames(_key(after + 1)):
                for row in split(frame):
                    position = position_of(row)
                    if position > upto:
                        return
                    if position > after:
                        yield row

    def at(self, connection: Connection[Any], positions: Iterable[int]) -> list[ArchivedEvent]:
        """Those of these positions that are archived, in order."""
        wanted, found = sorted(set(positions)), list[ArchivedEvent]()
        for piece in self.pieces(connection, wanted[-1]) if wanted else ():
            inside = [place for place in wanted if piece.first_position <= place <= piece.last_position]
            if inside:
                frames = self._reader(piece.path(self.root)).holding(map(_key, inside))
                rows = (row for frame in frames for row in split(frame))
                sought = set(inside)
                found += (read(row) for row in rows if position_of(row) in sought)
        return found

    def stream(
        self, connection: Connection[Any], stream_id: UUID, upto: int, after_version: int = -1
    ) -> list[ArchivedEvent]:
        """Every event of the stream beyond that version and up to that position, oldest first."""
        row = connection.execute(
            "SELECT first_position <= %s AND version > %s FROM es.stream WHERE stream_id = %s",
            (upto, after_version, stream_id),
            prepare=True,
        ).fetchone()
        if row != (True,):  # most streams are younger than the archive
            return []
        found = list[ArchivedEvent]()
        for piece in self.pieces(connection, upto):
            found += self.at(connection, self._positions(piece, stream_id.bytes))
        return [one for one in found if one.position <= upto and one.version > after_version]

    def first_after(self, connection: Connection[Any], moment: datetime) -> int | None:
        """The first archived position whose event was decided later than that."""
        held = pieces(connection)
        end = held[-1].last_position if held else -1
        found = self.between(connection, -1, end, lambda one: one.decided_at > moment, 1)
        return found[0].position if found else None

    def _reader(self, path: Path) -> FrameReader:
        return self._readers(path, file_of(path))

    def _positions(self, piece: Piece, stream: bytes) -> Iterator[int]:
        for frame in self._reader(piece.index(self.root)).frames(stream):
            for begin in range(0, len(frame), ENTRY_BYTES):
                one = frame[begin : begin + 16]
                if one > stream:
                    return
                if one == stream:
                    yield int.from_bytes(frame[begin + 16 : begin + ENTRY_BYTES], "big", signed=True)


def _open(path: Path, file: tuple[int, int, int]) -> FrameReader:
    """A reader knows where the frames of its file begin; one that came to its place has others (after a redaction)."""
    return FrameReader(path)


def _key(position: int) -> bytes:
    """Positions as keys sort like numbers: none in the log is negative."""
    return max(position, 0).to_bytes(8, "big")
