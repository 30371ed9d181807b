"""The cursor that projection handlers write with when many facts are handled in one transaction.

Plain statements change rows in memory, which are written together; all others go to PostgreSQL in a pipeline, after the
rows that they may see. Nobody else writes the tables meanwhile, so what is in memory is what they will hold. Of a table
that was empty at first a rebuild knows every row. Of a live one nothing is known, and what handlers add to a row or set
in it is folded: two statements of one text about one row become one, as if the sums had been said at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, LiteralString

from psycopg import Connection, Cursor, sql

from runtime.db import MissingRow, Writer
from runtime.gathering.rows import Gathered, Key, Row
from runtime.gathering.statements import Assigned, Insert, Plain, Select, Update, mentioned, plain, written

#: So few rows cost less as statements of a pipeline than as a COPY, which has to end the pipeline.
FEW_ROWS = 16
#: Statements whose answers may be outstanding.
PIPELINED = 1000


class RowExists(Exception):
    """A handler inserts a row that is there."""


class _Unclear(Exception):
    """The statement is plain, but what it makes of the values only PostgreSQL can say."""


class GatheringWriter(Writer):
    """A `Writer` of one transaction; `tables` may outlive it, and `finish` has to be called before it ends.

    `before_others` is called before a statement that may look for rows in another way than by their key.
    """

    def __init__(
        self,
        connection: Connection[Any],
        db: Writer,
        tables: dict[str, Gathered],
        plans: dict[str, Plan],
        before_others: Callable[[], None],
    ) -> None:
        super().__init__(db.cursor, db.keys)
        self._connection = connection
        self._tables = tables
        self._plans = plans
        self._before_others = before_others
        self._pipeline = ExitStack()
        self._is_pipelined = False
        self._unanswered: list[tuple[Cursor[Any], str, int]] = []

    def execute(self, query: LiteralString, params: Sequence[object] = ()) -> None:
        self._carry_out(query, params, must=False)

    def update(self, query: LiteralString, params: Sequence[object] = ()) -> None:
        self._carry_out(query, params, must=True)

    def rows(self, query: LiteralString, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        plan = self._plan(query)
        try:
            if plan.plain is not None:
                return self._do(plan.plain, params, must=False)
        except _Unclear:
            pass
        self._prepare(plan)
        self._answer()
        return super().rows(query, params)

    def copy(self, query: LiteralString, rows: Iterable[bytes]) -> None:
        self._prepare(self._plan(query))
        self._answer()
        super().copy(query, rows)

    def many(self, query: LiteralString, rows: Sequence[Sequence[object]]) -> None:
        self._prepare(self._plan(query))
        self._answer()
        super().many(query, rows)

    def finish(self) -> None:
        """Write everything; raises what any of the statements would have raised."""
        for table in self._tables.values():
            self._write(table)
        self._answer()

    def abandon(self) -> None:
        """Leave the pipeline of a transaction that is to be rolled back, and forget what it would have written."""
        try:
            self._pipeline.close()
        except Exception:
            pass
        for table in self._tables.values():
            table.forget()

    def _carry_out(self, query: LiteralString, params: Sequence[object], *, must: bool) -> None:
        plan = self._plan(query)
        if plan.plain is not None and not isinstance(plan.plain, Select):
            try:
                self._do(plan.plain, params, must)
                return
            except _Unclear:
                pass
        self._prepare(plan)
        self._send(query, params, 1 if must else 0)

    def _plan(self, query: str) -> Plan:
        found = self._plans.get(query)
        if found is None:
            found = self._plans[query] = Plan(query, self._tables)
        return found

    def _do(self, statement: Plain, params: Sequence[object], must: bool) -> list[tuple[Any, ...]]:
        table = self._tables[statement.table]
        if isinstance(statement, Insert):
            self._insert(table, statement, params)
            return []
        table.asked = True
        if isinstance(statement, Update):
            return self._update(table, statement, params, must)
        row = self._find(table, _key(table, statement.key, params))
        return [] if row is None else [_values(table, row, statement.columns)]

    def _insert(self, table: Gathered, statement: Insert, params: Sequence[object]) -> None:
        row = statement.row(params)
        key = table.key_of(row)
        if key is None:
            raise _Unclear
        there = table.row(key)
        if there is None and (key in table.changed or (key in table.folded and statement.merged is None)):
            raise _Unclear  # a change is pending of a row that must have been there before
        if statement.merged is None:
            if there is not None:
                raise RowExists(f"{table.name} {key}")
            table.new[key] = row
            return
        table.asked = True
        if there is None and not table.is_absent(key):
            if table.fold(key, statement, row):
                return
            there = self._find(table, key)
        if there is None:
            table.new[key] = row
        else:
            table.change(key, there, _changes(there, statement.merged, params))

    def _update(self, table: Gathered, statement: Update, params: Sequence[object], must: bool) -> list[Any]:
        key = _key(table, statement.key, params)
        is_absolute = not statement.returning and not any(change.added for change in statement.changes)
        row = table.row(key)
        if row is None and not table.is_absent(key) and must and not statement.returning:
            if is_absolute and key not in table.folded:
                changes = _changes({}, statement.changes, params)
                table.changed.setdefault(key, {}).update(changes)
                return []
            if table.fold(key, statement, {one.column: one.of(params) for one in statement.changes}):
                return []
        row = row or self._find(table, key)
        if row is None:
            if must:
                raise MissingRow(f"{table.name} {key}")
            return []
        changes = _changes(row, statement.changes, params)
        answer = _values(table, {**row, **changes}, statement.returning)
        table.change(key, row, changes)
        return [answer] if statement.returning else []

    def _find(self, table: Gathered, key: Key) -> Row | None:
        """The row from memory, or from PostgreSQL when memory cannot say that there is none."""
        row = table.row(key)
        if row is not None or table.is_absent(key):
            return row
        if key in table.folded:
            table.folds = False  # it is asked for again: rows are found once and remembered
            raise _Unclear
        if key in table.changed:
            raise _Unclear
        self._answer()
        found = self.cursor.execute(_lookup(table), key, binary=True).fetchone()
        if found is None:
            table.miss(key)
            return None
        assert self.cursor.description is not None
        row = dict(zip((column.name for column in self.cursor.description), found, strict=True))
        return table.remember(key, row)

    def _prepare(self, plan: Plan) -> None:
        """Write what the statement may see, and forget what it may change."""
        if plan.looks_around:
            self._answer()
            self._before_others()
        for name in plan.mentioned:
            self._write(self._tables[name])
        for name in plan.written:
            self._tables[name].forget()

    def _write(self, table: Gathered) -> None:
        for columns, rows in table.new_rows():
            names = [sql.Identifier(column) for column in columns]
            if len(rows) < FEW_ROWS:
                insert = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                    sql.Identifier(table.name),
                    sql.SQL(", ").join(names),
                    sql.SQL(", ").join([sql.Placeholder()] * len(names)),
                )
                for row in rows:
                    self._send(insert, list(row.values()), 1)
            else:
                self._copy_rows(table.name, names, rows)
        for columns, rows in table.changed_rows():
            changes = [Assigned(column, None, added=False) for column in columns[len(table.key) :]]
            self._write_changes(table, changes, rows)
        for statement, rows in table.folded_rows():
            if isinstance(statement, Update):
                self._write_changes(table, statement.changes, rows)
            else:
                self._write_merged(table, statement, rows)
        table.written()

    def _copy_rows(self, table: str, names: list[sql.Identifier], rows: list[Row]) -> None:
        self._answer()
        query = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), sql.SQL(", ").join(names))
        with self.cursor.copy(query) as copy:
            for row in rows:
                copy.write_row(row.values())  # type: ignore[arg-type]

    def _write_changes(self, table: Gathered, changes: Sequence[Assigned], rows: list[Row]) -> None:
        """Rows that must be there; each holds the columns of the key first."""
        columns = [*table.key, *(one.column for one in changes)]
        if len(rows) < FEW_ROWS:
            update, order = _update_statement(table, changes), columns[len(table.key) :] + columns[: len(table.key)]
            for row in rows:
                self._send(update, [row[column] for column in order], 1)
            return
        source, params = self._as_table(table, columns, rows)
        self.cursor.execute(_update_from(table, source, changes), params)
        if self.cursor.rowcount != len(rows):
            raise MissingRow(f"{table.name}: {len(rows) - self.cursor.rowcount} of {len(rows)} changed rows")

    def _write_merged(self, table: Gathered, statement: Insert, rows: list[Row]) -> None:
        """Rows that may be there."""
        if len(rows) < FEW_ROWS:
            values = sql.SQL("VALUES ({})").format(sql.SQL(", ").join([sql.Placeholder()] * len(statement.columns)))
            merge = _merge(table, statement, values)
            for row in rows:
                self._send(merge, [row[column] for column in statement.columns], 1)
            return
        source, params = self._as_table(table, statement.columns, rows)
        self.cursor.execute(_merge(table, statement, sql.SQL("SELECT * FROM {}").format(source)), params)

    def _as_table(
        self, table: Gathered, columns: Sequence[str], rows: list[Row]
    ) -> tuple[sql.Composable, list[list[Any]]]:
        """Something called `c` to select these rows from, and its parameters."""
        self._answer()
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        arrays = table.arrays(columns, rows)
        if arrays is not None:
            places = sql.SQL(", ").join(sql.SQL("%s::{}[]").format(sql.Identifier(table.types[c])) for c in columns)
            return sql.SQL("unnest({}) AS c ({})").format(places, names), arrays
        temporary = f"changes_{table.name}"
        make = sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA")
        self.cursor.execute("SET LOCAL client_min_messages = warning")
        self.cursor.execute(sql.SQL("DROP TABLE IF EXISTS pg_temp.{}").format(sql.Identifier(temporary)))
        self.cursor.execute(make.format(sql.Identifier(temporary), names, sql.Identifier(table.name)))
        self._copy_rows(temporary, [sql.Identifier(c) for c in columns], [{c: row[c] for c in columns} for row in rows])
        return sql.SQL("{} c").format(sql.Identifier(temporary)), []

    def _send(self, query: Any, params: Sequence[object], least: int) -> None:
        """Let PostgreSQL carry out a statement; `least` rows have to be affected, which is looked at later."""
        if not self._is_pipelined:
            self._pipeline.enter_context(self._connection.pipeline())
            self._is_pipelined = True
        cursor = self._connection.cursor()
        cursor.execute(query, params)
        self._unanswered.append((cursor, str(query), least))
        if len(self._unanswered) >= PIPELINED:
            self._answer()

    def _answer(self) -> None:
        """Wait for what was sent; raises what any of it met with."""
        if not self._is_pipelined:
            return
        self._is_pipelined = False
        self._pipeline.close()
        unanswered, self._unanswered = self._unanswered, []
        for cursor, query, least in unanswered:
            if cursor.rowcount < least:
                raise MissingRow(" ".join(query.split())[:120])


@contextmanager
def gathering(
    connection: Connection[Any],
    db: Writer,
    tables: dict[str, Gathered],
    plans: dict[str, Plan],
    before_others: Callable[[], None] = lambda: None,
) -> Iterator[GatheringWriter]:
    """Within the transaction of `db`; what it has gathered is written in the end, or forgotten when handlers fail."""
    writer = GatheringWriter(connection, db, tables, plans, before_others)
    try:
        yield writer
        writer.finish()
    except BaseException:
        writer.abandon()
        raise


class Plan:
    """How a statement is carried out: plainly, or by PostgreSQL after certain tables were written."""

    def __init__(self, query: str, tables: dict[str, Gathered]) -> None:
        self.plain = _usable(plain(query), tables)
        self.mentioned = mentioned(query, tables)
        self.written = written(query, tables)
        is_insert = query.lstrip().startswith(("INSERT", "COPY"))
        self.looks_around = self.plain is None and self.mentioned != (self.written if is_insert else ())


def _usable(statement: Plain | None, tables: dict[str, Gathered]) -> Plain | None:
    """Only statements about whole keys of tables of ours, and columns that these have."""
    if statement is None or (table := tables.get(statement.table)) is None or not table.key:
        return None
    if isinstance(statement, Insert):
        named = (*statement.columns,)
        is_keyed = set(table.key) <= set(named) and (statement.merged is None or set(statement.key) == set(table.key))
    else:
        named = statement.columns if isinstance(statement, Select) else statement.returning
        is_keyed = set(statement.key) == set(table.key)
    return statement if is_keyed and set(named) <= set(table.types) else None


def _key(table: Gathered, places: dict[str, int], params: Sequence[object]) -> Key:
    key = table.key_of({column: params[place] for column, place in places.items()})
    if key is None:
        raise _Unclear
    return key


def _values(table: Gathered, row: Row, columns: Sequence[str]) -> tuple[Any, ...]:
    values = table.values(row, columns)
    if values is None:
        raise _Unclear
    return values


def _changes(row: Row, assigned: Iterable[Assigned], params: Sequence[object]) -> Row:
    """What the columns hold afterwards; raises `_Unclear` for sums of what is no integer."""
    changes = {}
    for one in assigned:
        value = one.of(params)
        if one.added:
            before = row.get(one.column)
            if type(before) is not int or type(value) is not int:
                raise _Unclear
            value = before + value
        changes[one.column] = value
    return changes


def _lookup(table: Gathered) -> sql.Composed:
    return sql.SQL("SELECT * FROM {} WHERE {}").format(sql.Identifier(table.name), _by_key(table))


def _update_statement(table: Gathered, changes: Sequence[Assigned]) -> sql.Composed:
    said = sql.SQL(", ").join(
        sql.SQL("{0} = {0} + %s" if one.added else "{0} = %s").format(sql.Identifier(one.column)) for one in changes
    )
    return sql.SQL("UPDATE {} SET {} WHERE {}").format(sql.Identifier(table.name), said, _by_key(table))


def _update_from(table: Gathered, source: sql.Composable, changes: Sequence[Assigned]) -> sql.Composed:
    return sql.SQL("UPDATE {} t SET {} FROM {} WHERE {}").format(
        sql.Identifier(table.name),
        _set(changes, "c"),
        source,
        sql.SQL(" AND ").join(sql.SQL("t.{0} = c.{0}").format(sql.Identifier(name)) for name in table.key),
    )


def _merge(table: Gathered, statement: Insert, source: sql.Composable) -> sql.Composed:
    return sql.SQL("INSERT INTO {} AS t ({}) {} ON CONFLICT ({}) DO UPDATE SET {}").format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(map(sql.Identifier, statement.columns)),
        source,
        sql.SQL(", ").join(map(sql.Identifier, statement.key)),
        _set(statement.assigned, "excluded"),
    )


def _set(changes: Sequence[Assigned], source: LiteralString) -> sql.Composed:
    """What becomes of a row `t` by one of the source."""
    texts: tuple[LiteralString, LiteralString] = ("{0} = {1}.{0}", "{0} = t.{0} + {1}.{0}")
    return sql.SQL(", ").join(
        sql.SQL(texts[one.added]).format(sql.Identifier(one.column), sql.SQL(source)) for one in changes
    )


def _by_key(table: Gathered) -> sql.Composed:
    return sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(column)) for column in table.key)
