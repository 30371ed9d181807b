"""Old days of the announce journal in files: written, verified, taken out of the table, and put back.

A file holds one edge's segments of one day as they were stored, so the hash chain goes on through it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import zstandard
from psycopg import Connection, sql
from psycopg.errors import LockNotAvailable

from runtime.journal import COLUMNS, GENESIS, BrokenChain, Head, Segment, hash_of_all, heads, segments, verify

_MAGIC = b"segments 1\n"
_SIZES = struct.Struct(">II")  # bytes of the JSON head, bytes of the segment's data
_LEVEL = 3
_FETCH = 200
#: Edges that ship wait behind a day that wants to go for so long at most, and it tries so often.
LOCK_WAIT_MS, LOCK_PAUSE_S = 200, 1.0
LOCK_ATTEMPTS = 30


class ArchiveRefused(Exception):
    """A day cannot be archived or restored; `str(error)` is one line that says why."""


@dataclass(frozen=True)
class Manifest:
    """What a file holds; hashes are hex. It lies beside the file, and in `journal.archived_day`."""

    day: date
    edge_id: str
    first_seq: int
    last_seq: int
    announces: int
    first_previous: str
    last_sha256: str
    file_sha256: str

    def path(self, root: Path) -> Path:
        return root / "journal" / self.edge_id / f"{self.day}.segments.zst"


def manifest_of(path: Path) -> Path:
    """Where the manifest of a file lies."""
    return path.with_suffix("").with_suffix(".manifest.json")


def closed_days(connection: Connection[Any], keep_days: int, now: datetime) -> list[date]:
    """The days in the table that are older than the retention."""
    before = now.astimezone(UTC).date() - timedelta(days=max(keep_days, 1))
    rows = connection.execute("SELECT DISTINCT day FROM journal.segment WHERE day < %s ORDER BY day", (before,))
    return [day for (day,) in rows.fetchall()]


def archive(connection: Connection[Any], root: Path, day: date, keep_days: int) -> list[Manifest]:
    """Moves a day into files, which are read back before the table lets go of it.

    Of a day that lies in files already, what came since joins what was there: a file is one whole day. Raises
    `ArchiveRefused`, `BrokenChain`.
    """
    if any(manifest.day == day for manifest in archived(connection)):
        restore(connection, root, day)
    edges = [
        edge_id
        for (edge_id,) in connection.execute(
            "SELECT DISTINCT edge_id FROM journal.segment WHERE day = %s ORDER BY 1", (day,)
        ).fetchall()
    ]
    manifests = [_write(connection, root, edge_id, day) for edge_id in edges]
    _refuse_unprojected(connection, manifests)
    for manifest in manifests:
        verify(read(root, manifest), _before(manifest))
    _drop(connection, day, keep_days, manifests)
    return manifests


def _drop(connection: Connection[Any], day: date, keep_days: int, manifests: Iterable[Manifest]) -> None:
    """Lets the table go of a day as soon as nobody reads the journal for a moment. Raises `ArchiveRefused`."""
    said = json.dumps([{**asdict(manifest), "day": str(day)} for manifest in manifests])
    for left in reversed(range(LOCK_ATTEMPTS)):
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = {LOCK_WAIT_MS}")
                connection.execute("SELECT journal.drop_day(%s, %s, %s)", (day, keep_days, said))
            return
        except LockNotAvailable:
            if left:
                time.sleep(LOCK_PAUSE_S)
    raise ArchiveRefused(f"the journal of {day} stays: somebody reads it for long, as a backup does; try again later")


def restore(connection: Connection[Any], root: Path, day: date) -> int:
    """Puts an archived day back into the table; returns its segments. Raises `ArchiveRefused`, `BrokenChain`."""
    manifests = [one for one in archived(connection) if one.day == day]
    if not manifests:
        raise ArchiveRefused(f"the journal of {day} is not archived")
    count = 0
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        row = cursor.execute("SELECT journal.begin_restore(%s)", (day,)).fetchone()
        assert row is not None
        target = sql.Identifier("journal", row[0])
        names = "edge_id, seq, day, announces, first_at, last_at, sha256, previous, data, encrypted_sha256"
        copy = sql.SQL("COPY {} ({}) FROM STDIN").format(target, sql.SQL(names))
        with cursor.copy(copy) as writing:
            for manifest in manifests:
                for one in _verified(read(root, manifest), _before(manifest)):
                    at = one.first_at, one.last_at
                    writing.write_row(
                        (
                            one.edge_id,
                            one.seq,
                            day,
                            one.announces,
                            *at,
                            one.sha256,
                            one.previous,
                            one.data,
                            one.encrypted_sha256,
                        )
                    )
                    count += 1
        cursor.execute("SELECT journal.finish_restore(%s)", (day,))
    return count


def archived(connection: Connection[Any]) -> list[Manifest]:
    """What lies in files, in order of edge and sequence."""
    rows = connection.execute(
        "SELECT day, edge_id, first_seq, last_seq, announces, encode(first_previous, 'hex'),"
        " encode(last_sha256, 'hex'), encode(file_sha256, 'hex') FROM journal.archived_day ORDER BY edge_id, first_seq"
    )
    return [Manifest(*row) for row in rows.fetchall()]


def verify_all(connection: Connection[Any], root: Path) -> Iterator[Head]:
    """Verifies every edge's chain, from its first segment in whatever place to its head; gives the ends.

    Raises `BrokenChain` naming the first segment that is wrong or missing.
    """
    files = archived(connection)
    for head in heads(connection):
        mine = [manifest for manifest in files if manifest.edge_id == head.edge_id]
        end = verify(_as_declared(_chain(connection, root, head, mine), _declared(connection, head.edge_id)))
        if end is None or (end.seq, end.sha256) != (head.seq, head.sha256):
            raise BrokenChain(f"segment {(end.seq if end else 0) + 1} of {head.edge_id} is missing")
        yield end


def read(root: Path, manifest: Manifest) -> Iterator[Segment]:
    """The segments of a file. Raises `BrokenChain` when it is missing or is not what the manifest says."""
    path = manifest.path(root)
    try:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != manifest.file_sha256:
                raise BrokenChain(f"segment {manifest.first_seq} of {manifest.edge_id}: {path.name} was changed")
            file.seek(0)
            with zstandard.ZstdDecompressor().stream_reader(file) as reader:
                yield from _segments(io.BufferedReader(reader), manifest.edge_id)
    except OSError as error:
        raise BrokenChain(f"segment {manifest.first_seq} of {manifest.edge_id}: {path}: {error.strerror}") from None


def _declared(connection: Connection[Any], edge_id: str) -> dict[int, tuple[int, bytes]]:
    """By its first segment, what was encrypted together: the last segment, and the hash of all their hashes."""
    rows = connection.execute(
        "SELECT first_seq, last_seq, sha256 FROM journal.encrypted WHERE edge_id = %s", (edge_id,)
    )
    return {first: (last, of_all) for first, last, of_all in rows.fetchall()}


def _as_declared(found: Iterable[Segment], declared: dict[int, tuple[int, bytes]]) -> Iterator[Segment]:
    """The same segments; raises `BrokenChain` at one that was replaced and not, or not as, declared.

    All of what was declared together may be as it was sealed: a backup from before brought it back.
    """
    until, of_all, hashes = 0, b"", list[bytes]()
    for segment in found:
        if segment.seq in declared:
            (until, of_all), hashes = declared[segment.seq], []
        if segment.seq <= until:
            hashes.append(segment.encrypted_sha256 or b"")
        undeclared = segment.seq > until and segment.encrypted_sha256
        other = segment.seq == until and any(hashes) and hash_of_all(hashes) != of_all
        if undeclared or other:
            raise BrokenChain(f"segment {segment.seq} of {segment.edge_id} was replaced, and nothing declares it")
        yield segment


def _chain(connection: Connection[Any], root: Path, head: Head, files: Iterable[Manifest]) -> Iterator[Segment]:
    """One edge's segments from wherever they are, in order."""
    after = 0
    for manifest in [*files, None]:
        until = manifest.first_seq if manifest else head.seq + 1
        if after + 1 < until:
            for segment in segments(connection, head.edge_id, after):
                if segment.seq >= until:
                    break
                yield segment
        if manifest:
            yield from read(root, manifest)
            after = manifest.last_seq


def _write(connection: Connection[Any], root: Path, edge_id: str, day: date) -> Manifest:
    """The file of an edge's day, durable together with its manifest; one of the same name is replaced."""
    stored = _of_day(connection, edge_id, day)
    first = next(stored)
    unsealed = Manifest(day, edge_id, first.seq, 0, 0, first.previous.hex(), "", "")
    path = unsealed.path(root)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    announces, last = 0, first
    temporary = path.with_suffix(".part")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        with zstandard.ZstdCompressor(level=_LEVEL).stream_writer(file, closefd=False) as writer:
            writer.write(_MAGIC)
            for last in (first, *stored):
                announces += last.announces
                writer.write(_packed(last))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    manifest = Manifest(
        day, edge_id, first.seq, last.seq, announces, first.previous.hex(), last.sha256.hex(), digest
    )  # fmt: skip
    text = json.dumps({**asdict(manifest), "day": str(day)}, indent=1)
    manifest_of(path).write_text(text + "\n")
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(handle)
    os.close(handle)
    return manifest


def _of_day(connection: Connection[Any], edge_id: str, day: date) -> Iterator[Segment]:
    """The edge's segments of the day, a page at a time."""
    after = 0
    while True:
        rows = connection.execute(
            f"SELECT {COLUMNS} FROM journal.segment WHERE edge_id = %s AND day = %s AND seq > %s ORDER BY seq LIMIT %s",
            (edge_id, day, after, _FETCH),
        ).fetchall()
        yield from (Segment(*row) for row in rows)
        if len(rows) < _FETCH:
            return
        after = rows[-1][1]


def _refuse_unprojected(connection: Connection[Any], manifests: Iterable[Manifest]) -> None:
    projected = dict(connection.execute("SELECT edge_id, seq FROM read.projected_segment").fetchall())
    for manifest in manifests:
        if projected.get(manifest.edge_id, 0) < manifest.last_seq:
            raise ArchiveRefused(f"{manifest.day} of {manifest.edge_id} is not projected yet")


def _packed(segment: Segment) -> bytes:
    head = json.dumps(
        {
            "seq": segment.seq,
            "announces": segment.announces,
            "first_at": segment.first_at.astimezone(UTC).isoformat(),
            "last_at": segment.last_at.astimezone(UTC).isoformat(),
            "sha256": segment.sha256.hex(),
            "previous": segment.previous.hex(),
            **({"encrypted_sha256": segment.encrypted_sha256.hex()} if segment.encrypted_sha256 else {}),
        }
    ).encode()
    return _SIZES.pack(len(head), len(segment.data)) + head + segment.data


def _segments(file: BinaryIO | io.BufferedReader, edge_id: str) -> Iterator[Segment]:
    if file.read(len(_MAGIC)) != _MAGIC:
        raise BrokenChain(f"no file of segments of {edge_id}")
    while sizes := file.read(_SIZES.size):
        head_size, data_size = _SIZES.unpack(sizes)
        head = json.loads(file.read(head_size))
        times = datetime.fromisoformat(head["first_at"]), datetime.fromisoformat(head["last_at"])
        hashes = bytes.fromhex(head["sha256"]), bytes.fromhex(head["previous"])
        data, encrypted = file.read(data_size), head.get("encrypted_sha256")
        yield Segment(
            edge_id,
            head["seq"],
            head["announces"],
            *times,
            *hashes,
            data,
            bytes.fromhex(encrypted) if encrypted else None,
        )


def _before(manifest: Manifest) -> Head | None:
    """What the first segment follows."""
    if manifest.first_seq == 1 and bytes.fromhex(manifest.first_previous) == GENESIS:
        return None
    return Head(manifest.edge_id, manifest.first_seq - 1, bytes.fromhex(manifest.first_previous))


def _verified(found: Iterable[Segment], previous: Head | None) -> Iterator[Segment]:
    for segment in found:
        previous = verify([segment], previous)
        yield segment
