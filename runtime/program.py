"""Which code handles facts, and which shape their tables have: a rebuild that was interrupted goes on only with both as
they were, since a table that two versions have filled is what neither would make; and a fact that killed a worker is
given another try by other code."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from psycopg import Connection

from runtime.projection import Follower, Projection

#: What a copy takes over from the live table.
_SHAPE = """
SELECT coalesce(string_agg(line, E'\\n' ORDER BY line), '') FROM (
  SELECT format('%%s %%s %%s %%s %%s', a.attrelid::regclass, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
                a.attnotnull) AS line
  FROM pg_attribute a WHERE a.attrelid = ANY (%(tables)s::regclass[]) AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = ANY (%(tables)s::regclass[])
  UNION ALL
  SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = ANY (%(tables)s::regclass[])
) AS lines
"""


def program_of(connection: Connection[Any], projection: Projection) -> str:
    """The same text for the same code and shape: a digest."""
    tables = [f"read.{table}" for table in projection.tables]
    row = connection.execute(_SHAPE, {"tables": tables}).fetchone()
    assert row is not None
    return hashlib.sha256(f"{code_of(projection)}\n{row[0]}".encode()).hexdigest()


def code_of(follower: Follower) -> str:
    """A digest of the packages that the handlers and their events are in, and of this one."""
    modules = {handler.__module__ for handler in follower.handlers.values()}
    modules |= {kind.__module__ for kind in follower.handlers}
    return _digest(frozenset(name.partition(".")[0] for name in (*modules, __name__)))


@cache
def _digest(packages: Iterable[str]) -> str:
    """Once in a process, which runs what it has read at its start."""
    digest = hashlib.sha256()
    for package in sorted(packages):
        file = sys.modules[package].__file__
        assert file is not None
        for path in sorted(Path(file).parent.rglob("*.py")):
            digest.update(f"{path.name} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()
