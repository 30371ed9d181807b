"""Rows out of the database into compressed files and back, with the hashes that tell whether they are the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard
from psycopg import Cursor, sql

from runtime.backup.tables import Table

#: PostgreSQL manual, COPY, "Binary Format": 11 bytes of signature, 4 of flags, 4 of extension; an int16 of -1 ends it.
_HEAD_BYTES = 19
_TAIL = b"\xff\xff"
_LEVEL = 3
_CHUNK = 2**20
#: What the first event of a site follows.
GENESIS = bytes(32)


@dataclass(frozen=True)
class Rows:
    """How many rows there were, their hash, and the end of their hash chain (which only events have)."""

    count: int
    sha256: str
    chain: bytes


def written(cursor: Cursor[Any], table: Table, path: Path, where: sql.Composable, chain: bytes | None) -> Rows:
    """The rows in a durable file of mode 0600; `chain` is what the first row follows, None for no chain."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with zstandard.ZstdCompressor(level=_LEVEL).stream_writer(file, closefd=False) as compressed:
            rows = _each(cursor, table, where, chain, compressed)
        file.flush()
        os.fsync(file.fileno())
    return rows


def hashed(cursor: Cursor[Any], table: Table, chain: bytes | None = None) -> Rows:
    """The hashes that `written` would give for all rows, without a file."""
    return _each(cursor, table, sql.SQL("true"), chain, None)


def loaded(cursor: Cursor[Any], table: Table, path: Path, into: sql.Composable | None = None) -> None:
    """The rows of a file into the table, or into another one with the same columns."""
    target = into or sql.Identifier(*table.name.split("."))
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(target, columns)) as copy:
        for chunk in _decompressed(path):
            copy.write(chunk)


def _each(cursor: Cursor[Any], table: Table, where: sql.Composable, chain: bytes | None, file: Any | None) -> Rows:
    """libpq hands over one row at a time; the head comes with the first, the tail alone."""
    content, count, link, fields = hashlib.sha256(), 0, chain, len(table.columns).to_bytes(2, "big")
    with cursor.copy(_query(table, where)) as copy:
        for number, message in enumerate(copy):
            data = bytes(message)
            row = data[_HEAD_BYTES:] if number == 0 else data
            if row != _TAIL:
                if row[:2] != fields:
                    raise ValueError(f"{table.name}: the server does not send a row at a time")
                content.update(row)
                count += 1
                link = None if link is None else hashlib.sha256(link + row).digest()
            if file is not None:
                file.write(data)
    return Rows(count, content.hexdigest(), link or GENESIS)


def _query(table: Table, where: sql.Composable) -> sql.Composed:
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    order = sql.SQL(", ").join([sql.SQL(term) for term in table.order])
    source = sql.Identifier(*table.name.split("."))
    query = sql.SQL("COPY (SELECT {} FROM {} WHERE {} ORDER BY {}) TO STDOUT (FORMAT binary)")
    return query.format(columns, source, where, order)


def _decompressed(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
        while chunk := reader.read(_CHUNK):
            yield chunk
