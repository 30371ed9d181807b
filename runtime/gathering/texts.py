"""The statements that write many rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql

from runtime.gathering.plans import Plan
from runtime.gathering.shapes import Shape
from runtime.gathering.statements import Assigned, Insert


def lookup(shape: Shape) -> sql.Composed:
    """One row by its key."""
    return sql.SQL("SELECT * FROM {} WHERE {}").format(sql.Identifier(shape.name), _by_key(shape))


def insert(shape: Shape, columns: Sequence[str]) -> sql.Composed:
    """One row."""
    return sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(shape.name), names(columns), sql.SQL(", ").join([sql.Placeholder()] * len(columns))
    )


def update(shape: Shape, changes: Sequence[Assigned]) -> sql.Composed:
    """One row; the parameters are what it gets, and then its key."""
    said = sql.SQL(", ").join(
        sql.SQL("{0} = {0} + %s" if one.added else "{0} = %s").format(sql.Identifier(one.column)) for one in changes
    )
    return sql.SQL("UPDATE {} SET {} WHERE {}").format(sql.Identifier(shape.name), said, _by_key(shape))


def update_from(shape: Shape, source: sql.Composable, changes: Sequence[Assigned]) -> sql.Composed:
    """The rows of a source `c`, which hold their keys, too."""
    return sql.SQL("UPDATE {} t SET {} FROM {} WHERE {}").format(
        sql.Identifier(shape.name),
        _set(changes, "c"),
        source,
        sql.SQL(" AND ").join(sql.SQL("t.{0} = c.{0}").format(sql.Identifier(name)) for name in shape.key),
    )


def merge(shape: Shape, plan: Plan, source: sql.Composable) -> sql.Composed:
    """Whatever the source gives, as the plan's upsert would do one by one."""
    assert isinstance(plan.plain, Insert)
    return sql.SQL("INSERT INTO {} AS t ({}) {} ON CONFLICT ({}) DO UPDATE SET {}").format(
        sql.Identifier(shape.name), names(plan.columns), source, names(plan.plain.key), _set(plan.assigned, "excluded")
    )


def names(columns: Sequence[str]) -> sql.Composed:
    """The columns' names, with commas between them."""
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _set(changes: Sequence[Assigned], source: LiteralString) -> sql.Composed:
    """What becomes of a row `t` by one of the source."""
    texts: tuple[LiteralString, LiteralString] = ("{0} = {1}.{0}", "{0} = t.{0} + {1}.{0}")
    return sql.SQL(", ").join(
        sql.SQL(texts[one.added]).format(sql.Identifier(one.column), sql.SQL(source)) for one in changes
    )


def _by_key(shape: Shape) -> sql.Composed:
    return sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(column)) for column in shape.key)
