"""Everything that a site keeps, as bytes in which a person's words may be looked for."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import zstandard
from psycopg import sql
from redis import Redis

_ZSTD = bytes.fromhex("28b52ffd")
_HEX = re.compile(rb"\\\\x((?:[0-9a-f]{2})+)")


def rows(url: str) -> Iterator[tuple[str, bytes]]:
    """Every row of every table of every schema, as `COPY` writes text."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'r' AND c.relpersistence <> 't'"
            " AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
        ).fetchall()
        for schema, table in tables:
            with connection.cursor() as cursor:
                query = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT").format(sql.Identifier(schema, table))
                with cursor.copy(query) as copy:
                    yield from ((f"{schema}.{table}", bytes(row)) for row in copy)


def everything(url: str, valkey: str, folder: Path, *texts: str) -> dict[str, bytes]:
    """By where it is: tables, files, what Valkey holds, and `texts` (logs).

    Bytes in rows are there twice, as PostgreSQL writes them and as they are, unpacked where they are compressed.
    """
    found: dict[str, bytes] = {}
    for table, row in rows(url):
        found[table] = found.get(table, b"") + row + b"".join(map(_unpacked, _HEX.findall(row)))
    for path in (path for path in folder.rglob("*") if path.is_file()):
        found[str(path)] = str(path).encode() + _plain(path.read_bytes())
    with Redis.from_url(valkey) as client:
        found["valkey"] = b"".join(_value(client, key) for key in client.scan_iter())
    return found | {f"text {number}": text.encode() for number, text in enumerate(texts)}


def spellings(marker: str) -> list[bytes]:
    """The marker as it may be written; of base64 what does not depend on what is beside it, at each of three places."""
    plain = marker.encode()
    encoded = [b64encode(b"\0" * shift + plain)[4 if shift else 0 :] for shift in range(3)]
    middles = [text.rstrip(b"=")[: len(text) // 4 * 4 - 4] for text in encoded if len(text) > 12]
    return [plain, marker.lower().encode(), marker.encode("utf-16-le"), plain.hex().encode(), *middles]


def places(found: dict[str, bytes], *markers: str) -> set[tuple[str, str]]:
    """Where which of the markers are, in whatever spelling."""
    return {
        (place, marker)
        for place, content in found.items()
        for marker in markers
        if any(spelling in content or spelling in content.lower() for spelling in spellings(marker))
    }


def _unpacked(digits: bytes) -> bytes:
    return _plain(bytes.fromhex(digits.decode()))


def _plain(data: bytes) -> bytes:
    if not data.startswith(_ZSTD):
        return data
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def _value(client: Any, key: bytes) -> bytes:
    dumped = client.dump(key)
    return bytes(key) + bytes(dumped or b"")
