"""Which tables a backup has, in which of its parts, and what of each a later backup has to add."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from psycopg import Connection


class Part(StrEnum):
    """What may be kept apart and for its own time; each is a folder of a backup."""

    STORE = "store"  # facts and announces: personal fields are ciphertext
    KEYS = "keys"  # data keys, credentials, callers' addresses: what erasure and short lives are about
    READ = "read"  # read tables show personal data in clear; they can be rebuilt
    FILES = "files"  # archived days of the journal


class Mode(StrEnum):
    """Which backups hold the rows that a restore wants."""

    GROWS = "grows"  # each backup has what is new since the one before
    LATEST = "latest"  # each backup has the whole table, the last one counts
    FULL = "full"  # full backups only


DEAD_LETTERS = "es.dead_letter"

_PARTS = {"es": Part.STORE, "journal": Part.STORE, "keys": Part.KEYS, "credentials": Part.KEYS, "read": Part.READ}
_MOVED = {"es.command_context": Part.KEYS, "journal.unregistered_hash": Part.KEYS}
_GROWING = {"es.event", "es.command", "es.blob", "es.block", "journal.segment"}
#: Where projections stand and what they passed over belongs to the read tables: as the full backup saw it.
_FULL = {"es.follower", DEAD_LETTERS}
#: What does not follow from what is restored: an index outside of the database is told everything again, rebuilds and
#: their standby tables are not there, archives of persons are made again, partitions are made as they are needed,
#: snapshots may be of a state that is not reached.
_LEFT_OUT = {
    "credentials.export",
    "es.search_index",
    "es.rebuild",
    "es.standby",
    "es.snapshot",
    "es.event_partition",
}

#: Who has ever had a key. Without the keys themselves these persons read as erased, and no new key is made for them.
SUBJECTS = "keys.subject"


@dataclass(frozen=True)
class Table:
    """A table as a backup writes it."""

    name: str  # with its schema
    part: Part
    mode: Mode
    columns: tuple[str, ...]
    order: tuple[str, ...]  # terms of ORDER BY that sort alike on every server, whatever its collation


_COLUMNS = """
SELECT n.nspname || '.' || c.relname,
  array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attgenerated = ''),
  array_agg(quote_ident(a.attname) || CASE WHEN a.attcollation <> 0 THEN ' COLLATE "C"' ELSE '' END ORDER BY a.attnum)
    FILTER (WHERE a.attgenerated = ''),
  (SELECT array_agg(quote_ident(k.attname) || CASE WHEN k.attcollation <> 0 THEN ' COLLATE "C"' ELSE '' END
     ORDER BY array_position(i.indkey::int2[], k.attnum))
   FROM pg_index i JOIN pg_attribute k ON k.attrelid = c.oid AND k.attnum = ANY (i.indkey)
   WHERE i.indrelid = c.oid AND i.indisprimary)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = ANY (%s) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
GROUP BY c.oid, n.nspname, c.relname ORDER BY 1
"""

_REFERENCES = """
SELECT n.nspname || '.' || c.relname, m.nspname || '.' || f.relname
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class f ON f.oid = k.confrelid JOIN pg_namespace m ON m.oid = f.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0
"""


def tables(connection: Connection[Any]) -> list[Table]:
    """Every table of the site, those that others refer to first. Tables of later migrations are found too."""
    rows = connection.execute(_COLUMNS, (list(_PARTS),)).fetchall()
    found = [_table(name, columns, key or every) for name, columns, every, key in rows]
    return _referred_first([one for one in found if one.name not in _LEFT_OUT], connection)


def migrations(connection: Connection[Any]) -> list[str]:
    """The migrations that made the schema."""
    if connection.execute("SELECT to_regclass('public._yoyo_migration')").fetchone() == (None,):
        return []
    rows = connection.execute("SELECT migration_id FROM public._yoyo_migration ORDER BY 1").fetchall()
    return [str(name) for (name,) in rows]


def _table(name: str, columns: list[str], order: list[str]) -> Table:
    part = _MOVED.get(name) or _PARTS[name.partition(".")[0]]
    if name in _GROWING:
        mode = Mode.GROWS
    else:
        mode = Mode.FULL if part is Part.READ or name in _FULL else Mode.LATEST
    return Table(name, part, mode, tuple(columns), ("position",) if name == "es.event" else tuple(order))


def _referred_first(found: list[Table], connection: Connection[Any]) -> list[Table]:
    references = [pair for pair in connection.execute(_REFERENCES).fetchall() if pair[0] != pair[1]]
    ordered: list[Table] = []
    while waiting := [one for one in found if one not in ordered]:
        missing = {one.name for one in waiting}
        free = [one for one in waiting if not any(of == one.name and to in missing for of, to in references)]
        if not free:
            raise ValueError("tables refer to one another in a circle")
        ordered += free
    return ordered
