"""What a writer knows of one table that nobody else writes: rows that are yet to be written, and rows that it knows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection

from runtime.gathering.statements import Assigned, Insert, Update

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
Change = Insert | Update


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
        #: Changes of rows that are not known: what a statement said of a row, and again, as if it had said it at once.
        self.folded: dict[Key, tuple[Change, Row]] = {}
        #: Whether changes are folded: not where they are asked for before they are written.
        self.folds = True
        self._written: dict[Key, Row] = {}
        self._absent: set[Key] = set()
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

    def blank(self) -> Gathered:
        """The same table, of which nothing is known."""
        table = Gathered(self.name, self.types, self.key, self._generated)
        table.complete = False
        return table

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

    def fold(self, key: Key, statement: Change, row: Row) -> bool:
        """Take a change of a row that is not known: `row` is what the statement inserts, or what it adds and sets.

        Returns False for one that cannot be folded into the one that is pending.
        """
        if not self.folds or key in self.new or key in self.changed:
            return False
        pending = self.folded.get(key)
        if pending is None:
            if any(one.added and type(row[one.column]) is not int for one in statement.assigned):
                return False
            self.folded[key] = (statement, row)
            return True
        if pending[0] is not statement:
            return False
        return _fold(pending[1], row, statement.assigned)

    def change(self, key: Key, row: Row, changes: Row) -> None:
        row.update(changes)
        if key not in self.new:
            self.changed.setdefault(key, {}).update(changes)

    def miss(self, key: Key) -> None:
        """PostgreSQL has no such row."""
        self._absent.add(key)

    def is_absent(self, key: Key) -> bool:
        """Whether there is certainly no row but those that are pending."""
        return self.complete or key in self._absent

    def remember(self, key: Key, row: Row) -> Row:
        """Takes a row that PostgreSQL has given; returns what is known of it from now on."""
        kept = {column: value for column, value in row.items() if column not in self._generated}
        self._written[key] = kept
        return kept

    def forget(self) -> None:
        """Somebody else writes this table; what is pending has been written before."""
        self.new, self.changed, self.folded, self._written = {}, {}, {}, {}
        self._absent, self.complete = set(), False

    def new_rows(self) -> Iterator[tuple[tuple[str, ...], list[Row]]]:
        """Rows to insert, by the columns that they have."""
        return _by_columns(self.new)

    def changed_rows(self) -> Iterator[tuple[tuple[str, ...], list[Row]]]:
        """Changes to make, each with its key, by the columns that they have."""
        keyed = {key: {**dict(zip(self.key, key, strict=True)), **row} for key, row in self.changed.items()}
        return _by_columns(keyed)

    def folded_rows(self) -> Iterator[tuple[Change, list[Row]]]:
        """Folded changes, each with its key, by the statement that said them."""
        groups: dict[int, tuple[Change, list[Row]]] = {}
        for key, (statement, row) in self.folded.items():
            keyed = {**dict(zip(self.key, key, strict=True)), **row}
            groups.setdefault(id(statement), (statement, []))[1].append(keyed)
        yield from groups.values()

    def arrays(self, columns: Sequence[str], rows: list[Row]) -> list[list[Any]] | None:
        """The columns of these rows, or None when there are types of which PostgreSQL makes no plain arrays."""
        if all(self.types[column] in _EXACT for column in columns):
            return [[row[column] for row in rows] for column in columns]
        return None

    def written(self) -> None:
        """All that was pending is in the table now."""
        if self.asked or self.complete:
            self._written.update(self.new)
            self._absent.difference_update(self.new)
        else:
            self._absent = set()
        self.new, self.changed, self.folded = {}, {}, {}
        surplus = len(self._written) - KNOWN_ROWS
        if surplus > 0:
            self.complete = False
            gone = list(self._written)[:surplus] if self.asked else list(self._written)
            for key in gone:
                del self._written[key]


def _fold(row: Row, later: Row, assigned: Iterable[Assigned]) -> bool:
    if any(one.added and type(later[one.column]) is not int for one in assigned):
        return False
    for one in assigned:
        row[one.column] = row[one.column] + later[one.column] if one.added else later[one.column]
    return True


def _by_columns(rows: dict[Key, Row]) -> Iterator[tuple[tuple[str, ...], list[Row]]]:
    groups: defaultdict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows.values():
        groups[tuple(row)].append(row)
    yield from groups.items()
