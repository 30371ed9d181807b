"""Rows sent by COPY. In its binary form they cost a third of what they do as text, on either side; but there values
have to be exactly of their columns' types: whatever else is sent as text, of which PostgreSQL makes what it would make
of a parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Cursor, sql
from psycopg.types.json import Jsonb

from runtime.gathering.shapes import EXACT, Shape
from runtime.gathering.texts import names

Rows = Sequence[Sequence[Any]]

_KINDS: dict[str, type] = {**EXACT, "bytea": bytes, "jsonb": Jsonb}
#: Beyond these psycopg would send what is left of an integer; of an `int8` it says that there is too much.
_LIMITS = {"int2": 2**15, "int4": 2**31}


def copy_rows(cursor: Cursor[Any], shape: Shape, table: str, columns: Sequence[str], rows: Rows) -> None:
    """Into `table`, which has these columns as `shape` describes them."""
    types = [shape.types[column] for column in columns]
    is_binary = are_exact(types, rows)
    query = sql.SQL("COPY {} ({}) FROM STDIN {}").format(
        sql.Identifier(table), names(columns), sql.SQL("(FORMAT binary)" if is_binary else "")
    )
    with cursor.copy(query) as copy:
        if is_binary:
            copy.set_types(types)
        write = copy.write_row
        for row in rows:
            write(row)


def are_exact(types: Sequence[str], rows: Rows) -> bool:
    """Whether all values are of these types as PostgreSQL has them."""
    return all(kind in _KINDS for kind in types) and all(map(_is_exact, types, zip(*rows, strict=True)))


def _is_exact(kind: str, values: Sequence[Any]) -> bool:
    wanted, found = _KINDS[kind], set(map(type, values)) - {type(None)}
    if wanted is str:
        return all(issubclass(one, str) for one in found)  # of an enumeration, too
    if not found <= {wanted}:
        return False
    if not found or kind not in _LIMITS:
        return True
    known, limit = [value for value in values if value is not None], _LIMITS[kind]
    return bool(-limit <= min(known) and max(known) < limit)
