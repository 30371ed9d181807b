"""What the catalogue says of a table that statements are gathered for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection

#: The types whose values PostgreSQL gives back as they were given.
EXACT: dict[str, type] = {
    "uuid": UUID,
    "text": str,
    "int2": int,
    "int4": int,
    "int8": int,
    "bool": bool,
    "timestamptz": datetime,
}


class Shape:
    """One table. `key` is its primary key, empty when it has none that values could be compared by; `generated` are the
    columns that PostgreSQL works out."""

    def __init__(
        self, name: str, types: dict[str, str], key: tuple[str, ...], generated: frozenset[str] = frozenset()
    ) -> None:
        self.name = name
        self.types = types
        self.generated = generated
        self.key = key if all(types[column] in EXACT for column in key) else ()
        self.kinds: tuple[type, ...] = tuple(EXACT[types[column]] for column in self.key)

    @classmethod
    def of(cls, connection: Connection[Any], schema: str, table: str) -> Shape:
        """As the catalogue describes it."""
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

    def answer(self, row: dict[str, Any], columns: Sequence[str]) -> tuple[Any, ...] | None:
        """What PostgreSQL would answer for these columns, or None when only it knows."""
        values = []
        for column in columns:
            value, kind = row.get(column, row), EXACT.get(self.types[column])
            if kind is str and isinstance(value, str):
                value = str(value)  # what was a member of an enumeration comes back as its text
            elif value is not None and type(value) is not kind:
                return None
            values.append(value)
        return tuple(values)

    def are_exact(self, columns: Sequence[str]) -> bool:
        """Whether PostgreSQL makes plain arrays of the values of these columns."""
        return all(self.types[column] in EXACT for column in columns)
