"""Announces of the journal as rows for analysts, from the store and from archived days alike."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol

from psycopg import Connection

from runtime import journal_archive
from runtime.export.files import Column, Export, FileFormat, Manifest, Row, microseconds
from runtime.journal import BrokenChain, Head, Segment, heads, segments, verify
from runtime.keyring import ReadKeys, nobodys

#: The three first say where the announce stands in the journal; `left_bytes` is what the client had yet to download.
COLUMNS = (
    Column("edge_id", "text"),
    Column("segment", "int"),
    Column("place", "int"),
    Column("happened_at", "time"),
    Column("user_id", "uuid"),
    Column("torrent_id", "uuid"),
    Column("peer_id", "text"),
    Column("client", "text"),
    Column("event", "text"),
    Column("uploaded", "int"),
    Column("downloaded", "int"),
    Column("left_bytes", "int"),
)
ADDRESS_COLUMNS = (Column("address", "text"), Column("port", "int"))


class Announced(Protocol):
    """What an announce says, as the edge wrote it: microseconds, bytes of ids, counters in bytes."""

    @property
    def received_at_us(self) -> int: ...
    @property
    def user_id(self) -> bytes: ...
    @property
    def torrent_id(self) -> bytes: ...
    @property
    def peer_id(self) -> bytes: ...
    @property
    def event(self) -> int: ...
    @property
    def uploaded(self) -> int: ...
    @property
    def downloaded(self) -> int: ...
    @property
    def left(self) -> int: ...
    @property
    def address(self) -> bytes: ...
    @property
    def port(self) -> int: ...


@dataclass(frozen=True)
class Reading:
    """How a segment's payload becomes announces, and what their numbers and peer_ids mean."""

    decode: Callable[[bytes, ReadKeys], Iterable[Announced]]
    event_name: Callable[[int], str]
    client: Callable[[bytes], str]


@dataclass(frozen=True)
class Wanted:
    """Announces that were received in this time, `until` not included; their addresses only with the `keys` to them."""

    since: datetime | None = None
    until: datetime | None = None
    keys: ReadKeys | None = None

    def described(self) -> dict[str, Any]:
        times = {"since": self.since, "until": self.until}
        return {**{k: v.isoformat() for k, v in times.items() if v}, "addresses": self.keys is not None}

    def has(self, first: datetime, last: datetime) -> bool:
        """Whether any moment of this span is wanted."""
        return (self.since is None or last >= self.since) and (self.until is None or first < self.until)


def export_announces(
    connection: Connection[Any],
    archive: Path,
    reading: Reading,
    wanted: Wanted,
    directory: Path,
    file_format: FileFormat,
    per_file: int,
    progress: Callable[[int, int], None],
) -> Manifest:
    """Every edge's wanted announces in the order of its chain, up to where it ends now; `progress` hears segments.

    Raises `BrokenChain` when a segment is missing, changed, or in a file that is not there.
    """
    columns = (*COLUMNS, *ADDRESS_COLUMNS) if wanted.keys else COLUMNS
    ends = heads(connection)
    total, done, chains = sum(head.seq for head in ends), 0, {}
    rows = _Rows(reading, wanted)
    with Export(directory, "announces", columns, file_format, key=3, per_file=per_file) as export:
        for head in ends:
            for segment in _chain(connection, archive, head, wanted):
                export.add(rows.of(segment))
                progress(done + segment.seq, total)
            done += head.seq
            chains[head.edge_id] = {"seq": head.seq, "sha256": head.sha256.hex()}
        return export.finish({**wanted.described(), "chains": chains})


class _Rows:
    """Rows of segments. Names of clients are worked out once a peer_id."""

    def __init__(self, reading: Reading, wanted: Wanted) -> None:
        self._reading, self._wanted = reading, wanted
        self._since = None if wanted.since is None else microseconds(wanted.since)
        self._until = None if wanted.until is None else microseconds(wanted.until)
        self._clients: dict[bytes, str] = {}

    def of(self, segment: Segment) -> list[Row]:
        if not self._wanted.has(segment.first_at, segment.last_at):
            return []
        announces = enumerate(self._reading.decode(segment.payload, self._wanted.keys or nobodys))
        return [self._row(segment, n, one) for n, one in announces if self._is_wanted(one.received_at_us)]

    def _is_wanted(self, at_us: int) -> bool:
        return (self._since is None or at_us >= self._since) and (self._until is None or at_us < self._until)

    def _row(self, segment: Segment, n: int, one: Announced) -> Row:
        said = (
            segment.edge_id,
            segment.seq,
            n,
            one.received_at_us,
            one.user_id,
            one.torrent_id,
            one.peer_id.hex(),
            self._client(one.peer_id),
            self._reading.event_name(one.event),
            one.uploaded,
            one.downloaded,
            one.left,
        )
        if self._wanted.keys is None:
            return said
        return (*said, str(ip_address(one.address)), one.port) if one.address else (*said, None, None)

    def _client(self, peer_id: bytes) -> str:
        name = self._clients.get(peer_id)
        if name is None:
            if len(self._clients) >= 100_000:
                self._clients.clear()
            name = self._clients[peer_id] = self._reading.client(peer_id)
        return name


def _chain(connection: Connection[Any], archive: Path, head: Head, wanted: Wanted) -> Iterator[Segment]:
    """The edge's segments from wherever they lie, verified to follow one from another.

    Days that end before the wanted time are passed over where they are known to: in files, and at the begin of what is
    in the store.
    """
    end: Head | None = None
    files = [one for one in journal_archive.archived(connection) if one.edge_id == head.edge_id]
    for manifest in [*files, None]:
        until = manifest.first_seq if manifest else head.seq + 1
        for segment in _stored(connection, head.edge_id, end.seq if end else 0, until, wanted.since):
            if wanted.since is not None and (end is None or end.seq + 1 < segment.seq):
                end = Head(head.edge_id, segment.seq - 1, segment.previous)
            end = verify([segment], end)
            yield segment
        if manifest is None:
            break
        end = yield from _archived(archive, manifest, end, wanted)
    if wanted.since is None and end != head:
        raise BrokenChain(f"segment {(end.seq if end else 0) + 1} of {head.edge_id} is missing")


def _stored(
    connection: Connection[Any], edge_id: str, after: int, until: int, since: datetime | None
) -> Iterator[Segment]:
    """What the store has after that segment and before `until`, from the day on that is wanted."""
    if after + 1 >= until:
        return
    if since is not None:
        row = connection.execute(
            "SELECT min(seq) FROM journal.segment WHERE edge_id = %s AND seq > %s AND day >= %s",
            (edge_id, after, since.astimezone(UTC).date()),
        ).fetchone()
        if row is None or row[0] is None:
            return
        after = row[0] - 1
    seq = after
    for segment in segments(connection, edge_id, after):
        if segment.seq >= until:
            break
        seq = segment.seq
        yield segment
    if seq + 1 < until:  # archived while this was read
        raise BrokenChain(f"segment {seq + 1} of {edge_id} is missing")


def _archived(
    archive: Path, manifest: journal_archive.Manifest, end: Head | None, wanted: Wanted
) -> Generator[Segment, None, Head | None]:
    """What the day's file holds; gives the end of the chain after it."""
    last = Head(manifest.edge_id, manifest.last_seq, bytes.fromhex(manifest.last_sha256))
    if wanted.since is not None and manifest.day < wanted.since.astimezone(UTC).date():
        return last
    if wanted.since is not None and end is None:
        end = Head(manifest.edge_id, manifest.first_seq - 1, bytes.fromhex(manifest.first_previous))
    for segment in journal_archive.read(archive, manifest):
        end = verify([segment], end)
        yield segment
    return end
