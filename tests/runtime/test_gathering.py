"""Statements of handlers carried out in memory: the tables are those that PostgreSQL alone would have made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.types.json import Jsonb

from runtime.db import MissingRow, Writer, writing
from runtime.gathering import rows as gathered
from runtime.gathering.plans import Plan
from runtime.gathering.rows import Gathered
from runtime.gathering.statements import Insert, Select, Update, mentioned, plain, written
from runtime.gathering.writer import gathering
from runtime.keyring import nobodys

TABLES = ("thing", "tag", "typed")
#: Instead of a number of rows that are remembered: nothing is known at the beginning of each batch.
LIVE = -1
IDS = [UUID(int=n) for n in range(6)]
AT = datetime(2031, 1, 1, tzinfo=UTC)


@pytest.fixture
def schemas(owner: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Two empty copies of the same two tables: `plainly` and `gathering`."""
    for schema in ("plainly", "gathering"):
        owner.execute(
            f"CREATE SCHEMA {schema};"
            f"CREATE TABLE {schema}.thing (id uuid PRIMARY KEY, name text UNIQUE, n int NOT NULL DEFAULT 7,"
            " at timestamptz, words text[], state text, twice int GENERATED ALWAYS AS (n * 2) STORED);"
            f"CREATE TABLE {schema}.tag (thing uuid, no int, word text NOT NULL, PRIMARY KEY (thing, no));"
            f"CREATE TABLE {schema}.typed (no int8 PRIMARY KEY, small int2, usual int4, big int8, word text, flag bool,"
            " raw bytea, document jsonb, at timestamptz);"
        )
    return owner


class Both:
    """The same statements to PostgreSQL one by one, and gathered; every batch is a transaction."""

    def __init__(self, owner: psycopg.Connection[Any]) -> None:
        self.owner = owner
        self.tables = {name: Gathered.of(owner, "gathering", name) for name in TABLES}
        self.plans: dict[str, Plan] = {}
        self.looked_around = 0

    def clear(self) -> None:
        self.tables = {name: Gathered.of(self.owner, "gathering", name) for name in TABLES}
        for schema in ("plainly", "gathering"):
            self.owner.execute(f"TRUNCATE {schema}.thing, {schema}.tag, {schema}.typed")

    def batch(self, work: Callable[[Writer], object]) -> tuple[object, object]:
        """What both answer, or the kind of what they raise: then nothing of the batch is kept."""
        return self._outcome(lambda: self._plainly(work)), self._outcome(lambda: self._gathering(work))

    def contents(self) -> list[list[Any]]:
        return [self._rows("plainly"), self._rows("gathering")]

    def _rows(self, schema: str) -> list[Any]:
        query = "SELECT t::text FROM {} t ORDER BY 1"
        return [self.owner.execute(sql.SQL(query).format(sql.Identifier(schema, t))).fetchall() for t in TABLES]

    def _outcome(self, run: Callable[[], object]) -> object:
        try:
            return run()
        except Exception:
            return "refused"

    def _plainly(self, work: Callable[[Writer], object]) -> object:
        with writing(self.owner, "plainly", nobodys) as db:
            return work(db)

    def _gathering(self, work: Callable[[Writer], object]) -> object:
        with writing(self.owner, "gathering", nobodys) as db:
            with gathering(self.owner, db, self.tables, self.plans, self._look_around) as writer:
                return work(writer)

    def _look_around(self, tables: Sequence[str]) -> None:
        self.looked_around += 1


@pytest.fixture
def both(schemas: psycopg.Connection[Any]) -> Both:
    return Both(schemas)


Step = tuple[str, str, tuple[Any, ...]]
ids, numbers, words = st.sampled_from(IDS), st.integers(0, 9), st.sampled_from(["a", "b", "c\td\\", "é"])
lists = st.lists(words, max_size=2)
STEPS = st.one_of(
    st.tuples(
        st.just("execute"),
        st.just("INSERT INTO thing (id, name, n, at, words, state) VALUES (%s, %s, %s, %s, %s, 'new')"),
        st.tuples(ids, st.none() | words, numbers, st.just(AT), lists),
    ),
    st.tuples(st.just("execute"), st.just("INSERT INTO thing (id, state) VALUES (%s, NULL)"), st.tuples(ids)),
    st.tuples(
        st.just("update"),
        st.just("UPDATE thing SET state = 'changed', words = %s WHERE id = %s"),
        st.tuples(lists, ids),
    ),
    st.tuples(st.just("execute"), st.just("UPDATE thing SET n = n + %s WHERE id = %s"), st.tuples(numbers, ids)),
    st.tuples(
        st.just("update"),
        st.just("UPDATE thing SET n = n + %s, state = 'more' WHERE id = %s"),
        st.tuples(numbers, ids),
    ),
    st.tuples(
        st.just("execute"),
        st.just(
            "INSERT INTO thing AS t (id, n, state, at) VALUES (%s, %s, %s, %s) ON CONFLICT (id) DO UPDATE"
            " SET n = t.n + excluded.n, state = excluded.state"
        ),
        st.tuples(ids, numbers, words, st.just(AT)),
    ),
    st.tuples(
        st.just("rows"),
        st.just("UPDATE thing SET n = n + 1, name = %s WHERE id = %s RETURNING n, name, at"),
        st.tuples(words, ids),
    ),
    st.tuples(st.just("rows"), st.just("SELECT name, n, twice FROM thing WHERE id = %s"), st.tuples(ids)),
    st.tuples(st.just("rows"), st.just("SELECT state, at FROM thing WHERE id = %s"), st.tuples(ids)),
    st.tuples(st.just("rows"), st.just("SELECT count(*), sum(n) FROM thing"), st.just(())),
    st.tuples(st.just("execute"), st.just("DELETE FROM thing WHERE id = %s"), st.tuples(ids)),
    st.tuples(
        st.just("execute"),
        st.just(
            "INSERT INTO tag AS t (thing, no, word) VALUES (%s, %s, %s) ON CONFLICT (thing, no) DO UPDATE"
            " SET word = excluded.word"
        ),
        st.tuples(ids, numbers, words),
    ),
    st.tuples(
        st.just("execute"),
        st.just("INSERT INTO tag (thing, no, word) SELECT id, 50 + n, 'x' FROM thing WHERE id = %s"),
        st.tuples(ids),
    ),
)


def carried_out(steps: list[Step]) -> Callable[[Writer], object]:
    def work(db: Writer) -> object:
        return [getattr(db, method)(query, params) for method, query, params in steps]

    return work


@given(st.lists(st.lists(STEPS, max_size=8), max_size=5), st.sampled_from([LIVE, 0, 2, 1000]))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_batches_of_statements_make_the_same_tables_and_get_the_same_answers(
    both: Both, batches: list[list[Step]], known: int
) -> None:
    both.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gathered, "KNOWN_ROWS", max(known, 0))
        for steps in batches:
            if known == LIVE:
                both.tables = {name: Gathered(table.shape, complete=False) for name, table in both.tables.items()}
            one, other = both.batch(carried_out(steps))
            if other == "refused" and one != "refused":
                return  # say a name that went from one row to another: a rebuild repeats such a batch one by one
            assert other == one
            plainly, gathering = both.contents()
            assert gathering == plainly


def test_a_row_that_is_made_too_late_is_missed_by_the_change_before_it(both: Both) -> None:
    def refused(db: Writer) -> None:
        for _ in range(2):
            db.execute("INSERT INTO thing (id) VALUES (%s)", (IDS[1],))

    def work(db: Writer) -> None:
        db.update("UPDATE thing SET state = 'changed' WHERE id = %s", (IDS[0],))
        db.execute("INSERT INTO thing (id) VALUES (%s)", (IDS[0],))

    assert both.batch(refused) == ("refused", "refused")  # after which nothing is taken for known
    assert both.batch(work) == ("refused", "refused")


def test_many_rows_go_by_copy_and_many_changes_by_one_statement(both: Both) -> None:
    def insert(db: Writer) -> None:
        for n in range(500):
            query = "INSERT INTO thing (id, name, n, at, words) VALUES (%s, %s, %s, %s, %s)"
            db.execute(query, (UUID(int=n), f"name\n{n}", n, AT, ["a b", "\\N", '"']))

    def change(db: Writer) -> None:
        for n in range(0, 500, 3):
            db.update("UPDATE thing SET words = %s, n = n + 5 WHERE id = %s", ([str(n)], UUID(int=n)))

    for work in (insert, change, change):
        assert both.batch(work) == (None, None)
    plainly, gathering = both.contents()
    assert gathering == plainly
    assert len(gathering[0]) == 500
    assert both.looked_around == 0


class Word(StrEnum):
    LONG = "a word"


@pytest.mark.parametrize(
    ("column", "values", "is_kept"),
    [
        ("small", (-(2**15), 2**15 - 1, None), True),
        ("small", (2**15,), False),
        ("usual", (-(2**31), 2**31 - 1, None), True),
        ("usual", (-(2**31) - 1,), False),
        ("usual", (True,), False),
        ("usual", ("17",), True),
        ("big", (-(2**63), 2**63 - 1), True),
        ("big", (2**63,), False),
        ("word", (Word.LONG, "é\\t\n", "", None), True),
        ("word", (5, "five"), True),
        ("word", ("\0",), False),
        ("flag", (True, False, None), True),
        ("raw", (b"", b"\0\xff", None), True),
        ("document", (Jsonb({"a": [1, None]}), None), True),
        ("at", (AT, datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), None), True),
        ("at", (AT.astimezone(timezone(timedelta(hours=-7))),), True),
    ],
)
def test_values_of_many_rows_are_what_they_are_in_one(
    both: Both, column: str, values: tuple[object, ...], is_kept: bool
) -> None:
    """Rows that go by COPY: none has a value that PostgreSQL would not have taken, nor another one."""

    def work(db: Writer) -> None:
        for no in range(40):
            db.execute(f"INSERT INTO typed (no, {column}) VALUES (%s, %s)", (no, values[no % len(values)]))

    both.batch(work)
    plainly, gathering = both.contents()
    assert gathering == plainly
    assert len(gathering[2]) == (40 if is_kept else 0)


@pytest.mark.parametrize("things", [3, 40])
def test_what_is_added_to_rows_that_are_not_known_is_one_statement(both: Both, things: int) -> None:
    merge = (
        "INSERT INTO thing AS t (id, n, words) VALUES (%s, 1, %s) ON CONFLICT (id) DO UPDATE"
        " SET n = t.n + excluded.n, words = excluded.words"
    )
    add = "UPDATE thing SET n = n + %s, name = %s WHERE id = %s"

    def work(db: Writer) -> None:
        for number in range(3 * things):
            db.execute(merge, (UUID(int=number % things), [str(number)]))
        for number in range(2 * things):
            db.update(add, (number, f"name {number}", UUID(int=number % things)))

    for _ in range(2):
        both.tables = {name: Gathered(table.shape, complete=False) for name, table in both.tables.items()}
        assert both.batch(work) == (None, None)
        plainly, gathering = both.contents()
        assert gathering == plainly
    assert len(gathering[0]) == things


def test_what_is_asked_for_before_it_is_written_is_folded_no_more(both: Both) -> None:
    def work(db: Writer) -> list[object]:
        answers = list[object]()
        for number in (1, 2, 3):
            db.execute(
                "INSERT INTO thing AS t (id, n) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET n = t.n + excluded.n",
                (IDS[0], number),
            )
            answers += db.rows("SELECT n FROM thing WHERE id = %s", (IDS[0],))
        return answers

    both.tables = {name: Gathered(table.shape, complete=False) for name, table in both.tables.items()}
    assert both.batch(work) == ([(1,), (3,), (6,)], [(1,), (3,), (6,)])
    assert both.batch(work) == ([(7,), (9,), (12,)], [(7,), (9,), (12,)])
    assert not both.tables["thing"].folds


def test_a_statement_about_no_rows_misses_none(both: Both) -> None:
    def work(db: Writer) -> object:
        db.execute("SET LOCAL enable_hashjoin = off")
        return db.rows("SELECT current_setting('enable_hashjoin')")

    assert both.batch(work) == ([("off",)], [("off",)])


@pytest.mark.parametrize("rows", [1, 100])
def test_a_row_that_is_not_there_is_missed_before_the_batch_ends(
    both: Both, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    both.tables["thing"].forget()  # as after many rows: what is not remembered may be there

    def work(db: Writer) -> None:
        for n in range(rows):
            db.update("UPDATE thing SET state = %s WHERE id = %s", ("x", UUID(int=n)))

    with pytest.raises(MissingRow):
        both._gathering(work)


def test_what_is_asked_for_again_is_answered_from_memory(both: Both) -> None:
    both.batch(lambda db: db.execute("INSERT INTO thing (id, name, n) VALUES (%s, 'x', 1)", (IDS[0],)))
    both.owner.execute("UPDATE gathering.thing SET name = 'changed by nobody who may'")
    query = "SELECT name FROM thing WHERE id = %s"
    assert both._gathering(lambda db: db.rows(query, (IDS[0],))) == [("x",)]


def test_other_statements_are_told_apart_from_those_about_one_row() -> None:
    insert = plain("INSERT INTO a AS b (x, y) VALUES (%s, 0) ON CONFLICT (x) DO UPDATE SET y = b.y + excluded.y")
    assert isinstance(insert, Insert)
    assert insert.row(["k"]) == {"x": "k", "y": 0}
    assert insert.key == ("x",)
    update = plain("UPDATE a SET x = %s, y = y + 1, z = NULL WHERE k = %s AND l = %s RETURNING x, y")
    assert isinstance(update, Update)
    assert (update.key, update.returning) == ({"k": 1, "l": 2}, ("x", "y"))
    assert isinstance(plain("SELECT x\n  FROM a WHERE k = %s"), Select)
    for other in (
        "UPDATE a SET x = y WHERE k = %s",
        "UPDATE a SET x = greatest(x, %s) WHERE k = %s",
        "UPDATE a SET k = %s WHERE k = %s",
        "UPDATE a SET x = %s WHERE k = %s AND y > 0",
        "UPDATE a u SET x = %s WHERE k = %s",
        "INSERT INTO a (x) VALUES (decode(%s, 'hex'))",
        "INSERT INTO a (x, y) VALUES (%s, y + 1)",
        "INSERT INTO a (x) SELECT %s",
        "INSERT INTO a (x) VALUES (%s) ON CONFLICT DO NOTHING",
        "INSERT INTO a (x, y) VALUES (%s, %s) ON CONFLICT (x) DO UPDATE SET y = excluded.x",
        "SELECT x FROM a WHERE k = %s OR l = %s",
        "SELECT x FROM a, b WHERE k = %s",
        "DELETE FROM a WHERE k = %s",
    ):
        assert plain(other) is None, other


def test_a_statement_names_what_it_may_see_and_what_it_may_write() -> None:
    tables = ("note", "line", "other")
    both = "INSERT INTO line (id) SELECT id FROM note"
    assert (mentioned(both, tables), written(both, tables)) == (("note", "line"), ("line",))
    assert written("SELECT * FROM note", tables) == ()
    assert written("WITH gone AS (DELETE FROM note RETURNING id) UPDATE line SET x = 1", tables) == ("note", "line")
    assert mentioned("SELECT * FROM notes", tables) == ()
