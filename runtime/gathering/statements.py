"""Which statements of projection handlers are plain enough to be carried out in memory: one row, found by its key.

What is not recognised here is no mistake: it is sent to PostgreSQL as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_SPACE = re.compile(r"\s+")
_NAMES = r"\w+(?:, \w+)*"
_INSERT = re.compile(
    rf"INSERT INTO (\w+)(?: AS \w+)? \(({_NAMES})\) VALUES \(([^()]*)\)"
    rf"(?: ON CONFLICT \(({_NAMES})\) DO UPDATE SET (.+))?"
)
_UPDATE = re.compile(rf"UPDATE (\w+) SET ([^()]+) WHERE ([^()]+?)(?: RETURNING ({_NAMES}))?")
_SELECT = re.compile(rf"SELECT ({_NAMES}) FROM (\w+) WHERE ([^()]+)")
_ASSIGNED = re.compile(r"(\w+) = (?:(\w+) \+ )?(%s|-?\d+|'[^'%]*'|true|false|NULL)", re.IGNORECASE)
_EXCLUDED = re.compile(r"(\w+) = (?:\w+\.(\w+) \+ )?excluded\.(\w+)")
_COMPARED = re.compile(r"(\w+) = %s")
_WORDS = {"true": True, "false": False, "null": None}
_WRITTEN = re.compile(r"(?:INSERT INTO|UPDATE|DELETE FROM|COPY) (\w+)")


class Parameter(NamedTuple):
    """The n-th `%s`."""

    n: int


class Assigned(NamedTuple):
    """A column and what it gets: a parameter or a constant, `added` to what it holds or in its place."""

    column: str
    value: object
    added: bool

    def of(self, params: Sequence[object]) -> object:
        return params[self.value.n] if type(self.value) is Parameter else self.value


class Insert(NamedTuple):
    """One row; `merged` says of each column what a row of the same key gets, None that there must be none."""

    table: str
    columns: tuple[str, ...]
    values: tuple[object, ...]
    key: tuple[str, ...]
    merged: tuple[Assigned, ...] | None

    @property
    def assigned(self) -> tuple[Assigned, ...]:
        """What becomes of a row that is there."""
        return self.merged or ()

    def held(self, column: str) -> object:
        """The parameter or the constant that the column gets."""
        return self.values[self.columns.index(column)]

    def line(self, params: Sequence[object]) -> Sequence[object]:
        """The values of the columns."""
        if len(params) == len(self.values):  # no constants among them
            return params
        return [params[value.n] if type(value) is Parameter else value for value in self.values]

    def row(self, params: Sequence[object]) -> dict[str, object]:
        return dict(zip(self.columns, self.line(params), strict=True))


class Update(NamedTuple):
    """Changes of the row with this key; `returning` are columns, as they are afterwards."""

    table: str
    changes: tuple[Assigned, ...]
    key: dict[str, int]
    returning: tuple[str, ...]

    @property
    def assigned(self) -> tuple[Assigned, ...]:
        """What becomes of the row."""
        return self.changes

    def held(self, column: str) -> Parameter:
        """The parameter that the column is compared with."""
        return Parameter(self.key[column])


class Select(NamedTuple):
    """Columns of the row with this key."""

    table: str
    columns: tuple[str, ...]
    key: dict[str, int]

    def held(self, column: str) -> Parameter:
        """The parameter that the column is compared with."""
        return Parameter(self.key[column])


Plain = Insert | Update | Select


def plain(query: str) -> Plain | None:
    """What the statement does, or None when it is more than a row by its key."""
    text = _SPACE.sub(" ", query).strip()
    if found := _INSERT.fullmatch(text):
        return _insert(*found.groups())
    if found := _UPDATE.fullmatch(text):
        return _update(*found.groups())
    if found := _SELECT.fullmatch(text):
        key = _key(found[3], 0)
        return Select(found[2], _split(found[1]), key) if key else None
    return None


def mentioned(query: str, tables: Iterable[str]) -> tuple[str, ...]:
    """Those of the tables that the statement may read or write."""
    words = set(re.findall(r"\w+", query))
    return tuple(table for table in tables if table in words)


def written(query: str, tables: Iterable[str]) -> tuple[str, ...]:
    """Those of the tables that the statement may write."""
    text = query.strip()
    if text.startswith("SELECT "):
        return ()
    found = _WRITTEN.match(text)
    return mentioned(found[1] if found else query, tables)


def _insert(table: str, columns: str, values: str, key: str | None, merged: str | None) -> Insert | None:
    assigned = _assigned(", ".join(f"v = {value.strip()}" for value in values.split(",")))
    if assigned is None:
        return None
    names, held = _split(columns), tuple(one.value for one in assigned)
    if len(names) != len(held) or any(one.added for one in assigned):
        return None
    if merged is None:
        return Insert(table, names, held, (), None)
    changes = [_EXCLUDED.fullmatch(part) for part in merged.split(", ")]
    if not all(change and change[3] == change[1] and change[2] in (None, change[1]) for change in changes):
        return None
    taken = dict(zip(names, held, strict=True))
    if not all(change and change[1] in taken for change in changes):
        return None
    pairs = tuple(Assigned(change[1], taken[change[1]], change[2] is not None) for change in changes if change)
    return Insert(table, names, held, _split(key or ""), pairs)


def _update(table: str, changes: str, where: str, returning: str | None) -> Update | None:
    assigned = _assigned(changes)
    key = _key(where, changes.count("%s"))
    if assigned is None or not key or any(one.column in key for one in assigned):
        return None
    return Update(table, tuple(assigned), key, _split(returning) if returning else ())


def _assigned(text: str) -> list[Assigned] | None:
    """`column = value` or `column = column + value`, for each part; None when one is something else."""
    made, params = list[Assigned](), 0
    for part in text.split(", "):
        found = _ASSIGNED.fullmatch(part)
        if found is None or found[2] not in (None, found[1]):
            return None
        made.append(Assigned(found[1], Parameter(params) if found[3] == "%s" else _constant(found[3]), bool(found[2])))
        params += found[3] == "%s"
    return made


def _constant(text: str) -> object:
    if text.startswith("'"):
        return text[1:-1]
    return _WORDS[text.lower()] if text.lower() in _WORDS else int(text)


def _key(where: str, first: int) -> dict[str, int]:
    """The parameter that each column is compared with; empty when the condition is anything else."""
    found = [_COMPARED.fullmatch(part) for part in where.split(" AND ")]
    return {one[1]: first + n for n, one in enumerate(found) if one} if all(found) else {}


def _split(names: str) -> tuple[str, ...]:
    return tuple(names.split(", "))
