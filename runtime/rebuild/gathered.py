"""What a rebuild knows of one table of its copy: rows that are yet to be written, and rows that were written lately."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection

#: Rows of a table that are remembered after they were written; what is older is asked for again.
KNOWN_ROWS = 100_000

#: The types whose values PostgreSQL gives back as they were given.
_EXACT: dict[str, type] = {
    "uuid": UUID,
    "text": str,
    "int2": int,
    "int4": int,
    "int8": int,
    "bool": bool,
    "timestamptz": datetime,
}

Row = dict[str, Any]
Key = tuple[Any, ...]


class Gathered:
    """One table. `key` is its primary key, empty when it has none that values could be compared by."""

    def __init__(
        self, name: str, types: dict[str, str], key: tuple[str, ...], generated: frozenset[str] = frozenset()
    ) -> None:
        self.name = name
        self.types = types
        self._generated = generated  # columns that PostgreSQL works out: they are never remembered
        self.key = key if all(types[column] in _EXACT for column in key) else ()
        self._kinds = tuple(_EXACT[types[column]] for column in self.key)
        self._single = (self.key[0], self._kinds[0]) if len(self.key) == 1 else None
        self.new: dict[Key, Row] = {}
        self.changed: dict[Key, Row] = {}
        self._written: dict[Key, Row] = {}
        #: Whether a row that is neither new nor remembered does not exist.
        self.complete = True
        #: Whether anybody has asked for a row by its key.
        self.asked = False

    @classmethod
    def of(cls, connection: Connection[Any], schema: str, table: str) -> Gathered:
        """An empty table, as the catalogue describes it."""
        columns = connection.execute(
            "SELECT a.attname, t.typname, coalesce(a.attnum = ANY (i.indkey), false), a.attgenerated <> ''"
            " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
            " LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary"
            " WHERE a.attrelid = format('%%I.%%I', %s::text, %s::text)::regclass AND a.attnum > 0"
            " AND NOT a.attisdropped ORDER BY a.attnum",
            (schema, table),
        ).fetchall()
        types = {name: kind for name, kind, _, _ in columns}
        key = tuple(name for name, _, is_key, _ in columns if is_key)
        return cls(table, types, key, frozenset(name for name, _, _, is_generated in columns if is_generated))

    def key_of(self, row: Row) -> Key | None:
        """The row's key, or None when its values need not be equal to what PostgreSQL makes of them."""
        if self._single is not None:
            column, kind = self._single
            value = row.get(column)
            return (value,) if isinstance(value, kind) else None
        key = tuple(row.get(column) for column in self.key)
        return key if all(map(isinstance, key, self._kinds)) else None

    def row(self, key: Key) -> Row | None:
        """The row as far as it is known."""
        return self.new.get(key) or self._written.get(key)

    def is_pending(self, key: Key) -> bool:
        return key in self.new or key in self.changed

    def values(self, row: Row, columns: Sequence[str]) -> tuple[Any, ...] | None:
        """What PostgreSQL would answer for these columns, or None when only it knows."""
        values = []
        for column in columns:
            value, kind = row.get(column, row), _EXACT.get(self.types[column])
            if kind is str and isinstance(value, str):
                value = str(value)  # what was a member of an enumeration comes back as its text
            elif value is not None and type(value) is not kind:
                return None
            values.append(value)
        return tuple(values)

    def change(self, key: Key, row: Row, changes: Row) -> None:
        row.update(changes)
        if key not in self.new:
            self.changed.setdefault(key, {}).update(changes)

    def remember(self, key: Key, row: Row) -> Row:
        """Takes a row that PostgreSQL has given; returns what is known of it from now on."""
        kept = {column: value for column, value in row.items() if column not in self._generated}
        self._written[key] = kept
        return kept

    def forget_row(self, key: Key) -> None:
        self._written.pop(key, None)
        self.complete = False

    def forget(self) -> None:
        """Somebody else writes this table; what is pending has been written before."""
        self.new, self.changed, self._written, self.complete = {}, {}, {}, False

    def new_rows(self) -> Iterator[tuple[tuple[str, ...], list[Row]]]:
        """Rows to insert, by the columns that they have."""
        return _by_columns(self.new)

    def changed_rows(self) -> Iterator[tuple[tuple[str, ...], list[Row]]]:
        """Changes to make, each with its key, by the columns that they have."""
        keyed = {key: {**dict(zip(self.key, key, strict=True)), **row} for key, row in self.changed.items()}
        return _by_columns(keyed)

    def written(self) -> None:
        """All that was pending is in the table now."""
        if self.asked or self.complete:
            self._written.update(self.new)
        self.new, self.changed = {}, {}
        surplus = len(self._written) - KNOWN_ROWS
        if surplus > 0:
            self.complete = False
            gone = list(self._written)[:surplus] if self.asked else list(self._written)
            for key in gone:
                del self._written[key]


def _by_columns(rows: dict[Key, Row]) -> Iterator[tuple[tuple[str, ...], list[Row]]]:
    groups: defaultdict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows.values():
        groups[tuple(row)].append(row)
    yield from groups.items()
