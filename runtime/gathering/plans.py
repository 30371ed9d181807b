"""How statements are carried out: worked out once for each text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.gathering.keys import Key, KeyReader, Unclear, key_reader
from runtime.gathering.shapes import Shape
from runtime.gathering.statements import Assigned, Insert, Parameter, Plain, Select, mentioned, plain, written

Row = dict[str, Any]
#: A column, and the number of the parameter for it or -1 for the constant that follows.
Said = tuple[str, int, Any]


class Plan:
    """`plain` is what the statement does to one row by its key, None when it has to be carried out by PostgreSQL, after
    the tables that it mentions were written."""

    def __init__(self, query: str, tables: Mapping[str, Shape]) -> None:
        self.plain: Plain | None = _usable(plain(query), tables)
        self.mentioned = mentioned(query, tables)
        self.written = written(query, tables)
        is_insert = query.lstrip().startswith(("INSERT", "COPY"))
        self.looks_around = self.plain is None and self.mentioned != (self.written if is_insert else ())
        #: The key of the row; raises `Unclear`.
        self.key: KeyReader = _no_key
        self._said: list[Said] = []
        self.assigned: tuple[Assigned, ...] = ()
        if self.plain is not None:
            shape = tables[self.plain.table]
            self.key = key_reader(shape.kinds, [self.plain.held(column) for column in shape.key])
            self.assigned = () if isinstance(self.plain, Select) else self.plain.assigned
            self._said = [_said(one) for one in self.assigned]
        self._sums = [said for said, one in zip(self._said, self.assigned, strict=True) if one.added]
        self._sets = [said for said, one in zip(self._said, self.assigned, strict=True) if not one.added]
        #: Whether a row's change says all by itself what its columns hold afterwards.
        self.is_absolute = not self._sums
        #: Those that an `Insert` gives values, in this order.
        self.columns: tuple[str, ...] = self.plain.columns if isinstance(self.plain, Insert) else ()

    def line(self, params: Sequence[object]) -> Sequence[object]:
        """The values that an `Insert` gives its columns."""
        assert isinstance(self.plain, Insert)
        return self.plain.line(params)

    def row(self, params: Sequence[object]) -> Row:
        """What an `Insert` inserts, and what an `Update` adds and sets."""
        if isinstance(self.plain, Insert):
            return self.plain.row(params)
        return {column: constant if place < 0 else params[place] for column, place, constant in self._said}

    def adds_integers(self, params: Sequence[object]) -> bool:
        """Whether whatever is added is an integer, of which there is no doubt what a sum is."""
        for _, place, constant in self._sums:
            if type(constant if place < 0 else params[place]) is not int:
                return False
        return True

    def apply(self, row: Row, params: Sequence[object]) -> None:
        """Change a row as the statement says; raises `Unclear` before anything is changed."""
        for column, place, constant in self._sums:
            if type(row.get(column)) is not int or type(constant if place < 0 else params[place]) is not int:
                raise Unclear
        for column, place, constant in self._sums:
            row[column] += constant if place < 0 else params[place]
        for column, place, constant in self._sets:
            row[column] = constant if place < 0 else params[place]


def _no_key(params: Sequence[object]) -> Key:
    raise Unclear


def _said(one: Assigned) -> Said:
    return (one.column, one.value.n, None) if isinstance(one.value, Parameter) else (one.column, -1, one.value)


def _usable(statement: Plain | None, tables: Mapping[str, Shape]) -> Plain | None:
    """Only statements about whole keys of tables of ours, and columns that these have."""
    if statement is None or (shape := tables.get(statement.table)) is None or not shape.key:
        return None
    if isinstance(statement, Insert):
        named = statement.columns
        is_keyed = set(shape.key) <= set(named) and (statement.merged is None or set(statement.key) == set(shape.key))
    else:
        named = statement.columns if isinstance(statement, Select) else statement.returning
        is_keyed = set(statement.key) == set(shape.key)
    return statement if is_keyed and set(named) <= set(shape.types) else None
