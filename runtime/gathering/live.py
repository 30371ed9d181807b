"""Gathering for tables that are read meanwhile: what a runner of a projection writes within one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import Connection

from runtime.db import Writer
from runtime.gathering.plans import Plan
from runtime.gathering.rows import Gathered
from runtime.gathering.shapes import Shape
from runtime.gathering.writer import gathering

#: Fewer facts in one transaction are handled statement by statement: to write them together would save nothing.
MANY = 20


class LiveTables:
    """The tables of one projection, as far as one `drain` knows them: their shape, and no row from one transaction to
    the next, since another runner may have been there in between."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._shapes: list[Shape] = []
        self._plans: dict[str, Plan] = {}

    @contextmanager
    def writer(self, connection: Connection[Any], db: Writer, facts: int) -> Iterator[Writer]:
        """What handlers of so many facts write with, until their transaction ends."""
        if facts < MANY:
            yield db
            return
        self._shapes = self._shapes or [Shape.of(connection, "read", name) for name in self._names]
        tables = {shape.name: Gathered(shape, complete=False) for shape in self._shapes}
        with gathering(connection, db, tables, self._plans) as writer:
            yield writer
