"""Whether a backup would bring the site back: it is restored into a PostgreSQL of its own and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from psycopg import Connection

from runtime import journal_archive
from runtime.backup import copying, restore
from runtime.backup.manifest import BackupBroken, EdgeHead, Rows
from runtime.backup.restore import Chosen
from runtime.backup.tables import Mode, Part, Table, tables
from runtime.embedded import Postgres
from runtime.journal import BrokenChain

Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class Verified:
    """What was found to be as it was said."""

    tables: int
    events: int
    chain: str
    edges: int


def verify(chosen: Chosen, progress: Progress = lambda table, rows: None) -> Verified:
    """Restores into a scratch PostgreSQL and compares hash chains, hashes and counts. Raises `BackupBroken`."""
    with TemporaryDirectory(prefix="tracker-verify-", ignore_cleanup_errors=True) as folder:
        with Postgres(Path(folder), durable=False) as postgres:
            restore.make_schema(postgres.url(), chosen.last.migrations)
            restore.copy_files(chosen, Path(folder) / "archive")
            with psycopg.connect(postgres.url()) as connection:
                connection.execute("SET TIME ZONE 'UTC'")
                try:
                    restore.load(connection, chosen, progress)
                except (psycopg.DataError, psycopg.IntegrityError) as error:
                    line = str(error).splitlines()[0]
                    raise BackupBroken(f"{chosen.last.name}: PostgreSQL does not take it: {line}") from None
                return _compare(connection, chosen, Path(folder) / "archive")


def _compare(connection: Connection[Any], chosen: Chosen, archive: Path) -> Verified:
    name, compared, events, chain = chosen.last.name, 0, 0, ""
    for table, rows in _comparable(connection, chosen):
        link = copying.GENESIS if table.name == "es.event" else None
        with connection.cursor() as cursor:
            found = copying.hashed(cursor, table, link)
        if found.count != rows.total:
            raise BackupBroken(f"{name}: {table.name} has {found.count} rows instead of {rows.total}")
        whole = table.mode is not Mode.GROWS or chosen.last.full
        if whole and found.sha256 != rows.content_sha256:
            raise BackupBroken(f"{name}: {table.name} is not what it was")
        if link is not None:
            events, chain = found.count, found.chain.hex()
            if chain != chosen.last.chain:
                raise BackupBroken(f"{name}: the hash chain of the events ends otherwise")
        compared += 1
    return Verified(compared, events, chain, _edges(connection, chosen, archive))


def _comparable(connection: Connection[Any], chosen: Chosen) -> Iterator[tuple[Table, Rows]]:
    """The tables whose contents a manifest names: not those that a later archive or erasure has changed rightly."""
    for table in tables(connection):
        if table.part is Part.KEYS and table.name == "keys.subject" and chosen.keys != chosen.last:
            continue
        if table.name == "journal.segment":  # its chains say more, across table and files
            continue
        sources = restore.sources(chosen, table)
        if sources:
            yield table, sources[-1][1]


def _edges(connection: Connection[Any], chosen: Chosen, archive: Path) -> int:
    """Every edge's chain holds from its first segment to the end that the manifest names."""
    try:
        ends = list(journal_archive.verify_all(connection, archive))
    except BrokenChain as error:
        raise BackupBroken(f"{chosen.last.name}: {error}") from None
    found = [EdgeHead(head.edge_id, head.seq, head.sha256.hex()) for head in ends]
    if found != chosen.last.edges:
        raise BackupBroken(f"{chosen.last.name}: the journals end at other segments")
    return len(found)
