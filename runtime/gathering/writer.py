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
from runtime.gathering import texts
from runtime.gathering.copying import Rows, copy_rows
from runtime.gathering.keys import Key, Unclear, values_of
from runtime.gathering.plans import Plan, Row
from runtime.gathering.rows import Gathered
from runtime.gathering.shapes import Shape
from runtime.gathering.statements import Assigned, Insert, Select, Update

#: So few rows cost less as statements of a pipeline than as a COPY, which has to end the pipeline.
FEW_ROWS = 16
#: Statements whose answers may be outstanding.
PIPELINED = 1000


class RowExists(Exception):
    """A handler inserts a row that is there."""


class GatheringWriter(Writer):
    """A `Writer` of one transaction; `tables` may outlive it, and `finish` has to be called before it ends.

    `before_others` is called before a statement that may look for rows of these tables by other than their key.
    """

    def __init__(
        self,
        connection: Connection[Any],
        db: Writer,
        tables: dict[str, Gathered],
        plans: dict[str, Plan],
        before_others: Callable[[Sequence[str]], None],
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
        plan = self._plans.get(query) or self._plan(query)
        if type(plan.plain) is not Insert:
            self._change(plan, query, params, must=False)
            return
        try:
            self._insert(plan, plan.plain, params)
        except Unclear:
            self._send_on(plan, query, params, 0)

    def update(self, query: LiteralString, params: Sequence[object] = ()) -> None:
        self._change(self._plans.get(query) or self._plan(query), query, params, must=True)

    def rows(self, query: LiteralString, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        plan = self._plans.get(query) or self._plan(query)
        statement = plan.plain
        try:
            if isinstance(statement, Select):
                return self._select(plan, statement, params)
            if isinstance(statement, Update):
                return self._update(plan, statement, params, must=False)
        except Unclear:
            pass
        self._prepare(plan)
        self._answer()
        return super().rows(query, params)

    def copy(self, query: LiteralString, rows: Iterable[bytes]) -> None:
        self._prepare(self._plan(query))
        self._answer()
        super().copy(query, rows)

    def many(self, query: LiteralString, rows: Sequence[Sequence[object]]) -> None:
        plan = self._plans.get(query) or self._plan(query)
        if isinstance(plan.plain, Insert | Update):
            for row in rows:
                self.execute(query, row)
            return
        self._prepare(plan)
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

    def _change(self, plan: Plan, query: LiteralString, params: Sequence[object], *, must: bool) -> None:
        statement = plan.plain
        if isinstance(statement, Update):
            try:
                self._update(plan, statement, params, must)
                return
            except Unclear:
                pass
        self._send_on(plan, query, params, 1 if must else 0)

    def _send_on(self, plan: Plan, query: LiteralString, params: Sequence[object], least: int) -> None:
        self._prepare(plan)
        self._send(query, params, least)

    def _plan(self, query: str) -> Plan:
        found = self._plans.get(query)
        if found is None:
            found = Plan(query, {name: table.shape for name, table in self._tables.items()})
            self._plans[query] = found
        return found

    def _insert(self, plan: Plan, statement: Insert, params: Sequence[object]) -> None:
        table, key = self._tables[statement.table], plan.key(params)
        if statement.merged is not None:
            table.asked = True
            pending = table.new.get(key)
            if type(pending) is dict:  # mostly: the row was made a moment ago
                plan.apply(pending, params)
            else:
                self._merge(plan, table, key, params)
        elif table.has(key):
            raise RowExists(f"{statement.table} {key}")
        elif key in table.changed or key in table.folded:
            raise Unclear  # a change is pending of a row that must have been there before
        else:
            table.new[key] = (plan, tuple(params))

    def _merge(self, plan: Plan, table: Gathered, key: Key, params: Sequence[object]) -> None:
        there = table.row(key)
        if there is None:
            if key in table.changed:
                raise Unclear
            if not table.is_absent(key):
                if table.fold(key, plan, params):
                    return
                there = self._find(table, key)
        if there is None:
            table.new[key] = plan.row(params)
        else:
            table.change(key, there, plan, params)

    def _select(self, plan: Plan, statement: Select, params: Sequence[object]) -> list[tuple[Any, ...]]:
        table = self._tables[statement.table]
        table.asked = True
        row = self._find(table, plan.key(params))
        return [] if row is None else [_answered(table, row, statement.columns)]

    def _update(self, plan: Plan, statement: Update, params: Sequence[object], must: bool) -> list[tuple[Any, ...]]:
        table, key = self._tables[statement.table], plan.key(params)
        table.asked = True
        row = table.row(key)
        if row is None and not table.is_absent(key) and must and not statement.returning:
            if plan.is_absolute and key not in table.folded:
                table.changed.setdefault(key, {}).update(plan.row(params))
                return []
            if table.fold(key, plan, params):
                return []
        row = row or self._find(table, key)
        if row is None:
            if must:
                raise MissingRow(f"{statement.table} {key}")
            return []
        if not statement.returning:
            table.change(key, row, plan, params)
            return []
        changed = dict(row)
        plan.apply(changed, params)
        answer = _answered(table, changed, statement.returning)
        table.change(key, row, plan, params)
        return [answer]

    def _find(self, table: Gathered, key: Key) -> Row | None:
        """The row from memory, or from PostgreSQL when memory cannot say that there is none."""
        row = table.row(key)
        if row is not None or table.is_absent(key):
            return row
        if key in table.folded:
            table.folds = False  # it is asked for again: rows are found once and remembered
            raise Unclear
        if key in table.changed:
            raise Unclear
        self._answer()
        values = values_of(key, table.shape.kinds)
        found = self.cursor.execute(texts.lookup(table.shape), values, binary=True).fetchone()
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
            self._before_others(plan.mentioned)
        for name in plan.mentioned:
            self._write(self._tables[name])
        for name in plan.written:
            self._tables[name].forget()

    def _write(self, table: Gathered) -> None:
        shape = table.shape
        for columns, rows in table.new_rows():
            if len(rows) < FEW_ROWS:
                insert = texts.insert(shape, columns)
                for row in rows:
                    self._send(insert, row, 1)
            else:
                self._answer()
                copy_rows(self.cursor, shape, shape.name, columns, rows)
        for columns, rows in table.changed_rows():
            changes = [Assigned(column, None, added=False) for column in columns[len(shape.key) :]]
            self._write_changes(shape, changes, columns, rows)
        for plan, folded in table.folded_rows():
            if isinstance(plan.plain, Update):
                columns = [*shape.key, *(one.column for one in plan.assigned)]
                self._write_changes(shape, plan.assigned, columns, _in_order(folded, columns))
            else:
                self._write_merged(shape, plan, _in_order(folded, plan.columns))
        table.written()

    def _write_changes(self, shape: Shape, changes: Sequence[Assigned], columns: Sequence[str], rows: Rows) -> None:
        """Rows that must be there; each holds the columns of the key first."""
        if len(rows) < FEW_ROWS:
            update, key = texts.update(shape, changes), len(shape.key)
            for row in rows:
                self._send(update, [*row[key:], *row[:key]], 1)
            return
        source, params = self._as_table(shape, columns, rows)
        self.cursor.execute(texts.update_from(shape, source, changes), params)
        if self.cursor.rowcount != len(rows):
            raise MissingRow(f"{shape.name}: {len(rows) - self.cursor.rowcount} of {len(rows)} changed rows")

    def _write_merged(self, shape: Shape, plan: Plan, rows: Rows) -> None:
        """Rows that may be there."""
        if len(rows) < FEW_ROWS:
            values = sql.SQL("VALUES ({})").format(sql.SQL(", ").join([sql.Placeholder()] * len(plan.columns)))
            merge = texts.merge(shape, plan, values)
            for row in rows:
                self._send(merge, row, 1)
            return
        source, params = self._as_table(shape, plan.columns, rows)
        self.cursor.execute(texts.merge(shape, plan, sql.SQL("SELECT * FROM {}").format(source)), params)

    def _as_table(self, shape: Shape, columns: Sequence[str], rows: Rows) -> tuple[sql.Composable, list[list[Any]]]:
        """Something called `c` to select these rows from, and its parameters."""
        self._answer()
        if shape.are_exact(columns):
            places = sql.SQL(", ").join(sql.SQL("%s::{}[]").format(sql.Identifier(shape.types[c])) for c in columns)
            arrays = [list(values) for values in zip(*rows, strict=True)]
            return sql.SQL("unnest({}) AS c ({})").format(places, texts.names(columns)), arrays
        temporary = f"changes_{shape.name}"
        make = sql.SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA")
        self.cursor.execute("SET LOCAL client_min_messages = warning")
        self.cursor.execute(sql.SQL("DROP TABLE IF EXISTS pg_temp.{}").format(sql.Identifier(temporary)))
        self.cursor.execute(make.format(sql.Identifier(temporary), texts.names(columns), sql.Identifier(shape.name)))
        copy_rows(self.cursor, shape, temporary, columns, rows)
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
            if least and cursor.rowcount < least:  # what is about no rows answers -1
                raise MissingRow(" ".join(query.split())[:120])


@contextmanager
def gathering(
    connection: Connection[Any],
    db: Writer,
    tables: dict[str, Gathered],
    plans: dict[str, Plan],
    before_others: Callable[[Sequence[str]], None] = lambda tables: None,
) -> Iterator[GatheringWriter]:
    """Within the transaction of `db`; what it has gathered is written in the end, or forgotten when handlers fail."""
    writer = GatheringWriter(connection, db, tables, plans, before_others)
    try:
        yield writer
        writer.finish()
    except BaseException:
        writer.abandon()
        raise


def _answered(table: Gathered, row: Row, columns: Sequence[str]) -> tuple[Any, ...]:
    values = table.shape.answer(row, columns)
    if values is None:
        raise Unclear
    return values


def _in_order(rows: Iterable[Row], columns: Sequence[str]) -> list[list[Any]]:
    return [[row[column] for column in columns] for row in rows]
