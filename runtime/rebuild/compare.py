"""Whether two copies of a read table hold the same: by checksums of buckets, and by rows where these differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, sql

from runtime.rebuild.copies import primary_key

#: Rows fall into so many buckets by their keys; only those whose sums differ are looked at row by row.
BUCKETS = 1024


@dataclass(frozen=True, slots=True)
class RowDifference:
    """One row that differs; `live` and `rebuilt` hold the columns that do, None where there is no such row."""

    key: dict[str, Any]
    live: dict[str, Any] | None
    rebuilt: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class TableCheck:
    """How a live table compares with one made anew; `differences` counts rows that only one of the two has."""

    table: str
    rows: int
    differences: int
    examples: tuple[RowDifference, ...] = ()


def compare(
    connection: Connection[Any], table: str, schema: str, examples: int = 0, *, live: sql.Composable | None = None
) -> TableCheck:
    """`read.table` with `schema.table`; names at most `examples` rows that differ. `live` is what to compare of the
    live table, if not all of it: something to select from."""
    live = live or sql.Identifier("read", table)
    sides = _Sides(connection, table, live, sql.Identifier(schema, table))
    buckets = sides.different_buckets()
    differences = sides.count_differences(buckets) if buckets else 0
    found = sides.examples(buckets, examples) if buckets and examples else ()
    return TableCheck(table, count_rows(connection, live), differences, tuple(found))


def count_rows(connection: Connection[Any], table: sql.Composable) -> int:
    row = connection.execute(sql.SQL("SELECT count(*) FROM {} t").format(table)).fetchone()
    assert row is not None
    return int(row[0])


class _Sides:
    """A live table and its copy."""

    def __init__(self, connection: Connection[Any], table: str, live: sql.Composable, copy: sql.Composable) -> None:
        self._connection = connection
        self._keys = primary_key(connection, table)
        key = [sql.SQL("t.{}").format(sql.Identifier(column)) for column in self._keys]
        self._parts = {
            "live": live,
            "copy": copy,
            "bucket": sql.SQL("hashtext(ROW({})::text) & {}").format(sql.SQL(", ").join(key), BUCKETS - 1),
            "key": sql.SQL(" AND ").join(sql.SQL("l.{0} = c.{0}").format(sql.Identifier(k)) for k in self._keys),
        }

    def different_buckets(self) -> list[int]:
        sums = (
            "SELECT {bucket} AS bucket, count(*) AS n, sum(hashtextextended(t::text, 0)) AS sum"
            " FROM {side} t GROUP BY 1"
        )
        rows = self._ask(
            f"SELECT bucket FROM ({sums.replace('{side}', '{live}')}) l"
            f" FULL JOIN ({sums.replace('{side}', '{copy}')}) c USING (bucket)"
            " WHERE (l.n, l.sum) IS DISTINCT FROM (c.n, c.sum)",
        )
        return [row[0] for row in rows]

    def count_differences(self, buckets: Sequence[int]) -> int:
        some = "SELECT t::text FROM {} t WHERE {{bucket}} = ANY (%(buckets)s)"
        live, copy = some.format("{live}"), some.format("{copy}")
        only = "(SELECT count(*) FROM ({} EXCEPT ALL {}) AS o)"
        rows = self._ask(f"SELECT {only.format(live, copy)} + {only.format(copy, live)}", buckets=list(buckets))
        return int(rows[0][0])

    def examples(self, buckets: Sequence[int], limit: int) -> list[RowDifference]:
        some = "(SELECT * FROM {} t WHERE {{bucket}} = ANY (%(buckets)s))"
        rows = self._ask(
            f"SELECT to_jsonb(l), to_jsonb(c) FROM {some.format('{live}')} l"
            f" FULL JOIN {some.format('{copy}')} c ON {{key}} WHERE l::text IS DISTINCT FROM c::text"
            " ORDER BY coalesce(l::text, c::text) LIMIT %(limit)s",
            buckets=list(buckets),
            limit=limit,
        )
        return [self._difference(live, copy) for live, copy in rows]

    def _difference(self, live: dict[str, Any] | None, copy: dict[str, Any] | None) -> RowDifference:
        either = live or copy or {}
        key = {column: either[column] for column in self._keys}
        if live is None or copy is None:
            return RowDifference(key, live, copy)
        columns = [column for column in live if live[column] != copy[column]]
        return RowDifference(key, {c: live[c] for c in columns}, {c: copy[c] for c in columns})

    def _ask(self, query: str, **params: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql.SQL(query).format(**self._parts), params or None).fetchall()
