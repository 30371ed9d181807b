"""Copies of a projection's tables in a schema beside `read`, and how far they have been filled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from psycopg import Connection, OperationalError
from psycopg.errors import UniqueViolation

from runtime.db import Writer, writing
from runtime.facts import AnyFact, FactLog
from runtime.gathering.plans import Plan
from runtime.gathering.rows import Gathered
from runtime.gathering.writer import gathering
from runtime.platform import Platform
from runtime.projection import Projection
from runtime.rebuild.copies import has_key, make_copy, make_keys, make_secondary_indexes, run
from runtime.rebuild.errors import RebuildFailed, RebuildRunning

#: Facts per transaction: what is gathered of them has to be worth a COPY.
BATCH = 20_000
#: So many positions before the target a projection sees facts of that it will come to.
LAST = 10_000
#: First half of the advisory lock that keeps a second rebuild of the same projection out (the second: its name).
LOCK_CLASS = 7919


class Made(NamedTuple):
    """How far copies are filled: the position of the last fact in them, and how many facts that took."""

    position: int
    facts: int


NOTHING = Made(0, 0)

#: Called after each batch with the position reached, the one to reach, and the facts read so far.
Told = Callable[[int, int, int], None]


class Shadow:
    """Empty at first. `position` is that of the last fact in it; `facts` is how many were read."""

    def __init__(
        self,
        platform: Platform,
        projection: Projection,
        connection: Connection[Any],
        schema: str,
        told: Told = lambda *_: None,
        keep: Callable[[Made], None] = lambda made: None,
    ) -> None:
        self.projection = projection
        self.connection = connection
        self.schema = schema
        self.position = 0
        self.facts = 0
        #: Positions that are passed over.
        self.without: frozenset[int] = frozenset()
        #: The part whose streams alone are read; None for all.
        self.part: int | None = None
        self.log = FactLog(platform.history)
        self._keys = platform.keyring.read_keys
        self._told = told
        self._keep = keep
        self._tables: dict[str, Gathered] = {}
        self._plans: dict[str, Plan] = {}
        #: The tables that have their secondary indexes.
        self._indexed: set[str] = set()

    @contextmanager
    def opened(self, made: Made = NOTHING) -> Iterator[None]:
        """Empty copies, or those that are filled so far, which are removed when they cannot be filled.

        Unless the process or its connection ends: then they stay for whoever goes on with them.
        """
        if made == NOTHING:
            remove_copies(self.connection, self.projection, self.schema)
            with self.connection.transaction():
                run(self.connection, "CREATE SCHEMA IF NOT EXISTS {}", self.schema)
                self.make_tables()
        else:
            self.connection.execute("SET statement_timeout = 0")  # indexes take as long as they take
            self.take_over(made)
        try:
            yield
        except Exception:
            if not self.connection.closed:
                remove_copies(self.connection, self.projection, self.schema)
            raise

    def make_tables(self) -> None:
        """The copies, in a schema that is there."""
        for table in self.projection.tables:
            make_copy(self.connection, self.schema, table, keyed=table not in self.projection.keyed_last)
            self._tables[table] = Gathered.of(self.connection, self.schema, table)

    def take_over(self, made: Made) -> None:
        """Copies that are there and filled so far; what is in them is not known."""
        self.position, self.facts = made
        for table in self.projection.tables:
            self._tables[table] = Gathered.of(self.connection, self.schema, table)
            self._tables[table].forget()

    def make_indexes(self) -> None:
        """Those that were left out so far; the planner is told what there is to find."""
        for table in self.projection.keyed_last:
            self._make_late_key(table)
        self._indexed.clear()
        self._index(self.projection.tables)

    def _make_late_key(self, table: str) -> None:
        if has_key(self.connection, self.schema, table):
            return
        try:
            with self.connection.transaction():
                make_keys(self.connection, self.schema, table)
        except UniqueViolation as error:
            what = f"{self.projection.name} makes a row of {table} twice"
            raise RebuildFailed(f"{what}: {error.diag.message_detail}") from error

    def _index(self, tables: Sequence[str]) -> None:
        """Before somebody looks around in these tables; the others are filled faster without."""
        for table in tables:
            if table not in self._indexed:
                self._indexed.add(table)
                make_secondary_indexes(self.connection, self.schema, table)
                run(self.connection, "ANALYZE {}.{}", self.schema, table)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is read within it is read again when it is rolled back."""
        position, facts = self.position, self.facts
        try:
            with self.connection.transaction():
                yield
        except BaseException:
            self.position, self.facts = position, facts
            self._indexed.clear()
            for table in self._tables.values():
                table.forget()
            raise

    def fill(self, target: Callable[[], int]) -> None:
        """Read on until `target()` is reached, a transaction for each batch."""
        while self.position < (upto := target()):
            if self.position == 0:
                self._foresee(upto)
            self._read_on(upto, self._told)

    def fill_rest(self, upto: int) -> None:
        """The same within a `transaction`."""
        while self.position < upto:
            self._read_on(upto, lambda *_: None)

    def handle(self, facts: Sequence[AnyFact]) -> None:
        """Facts that follow those read so far, in one transaction; raises `RebuildFailed`."""
        try:
            self._handle_gathering(facts)
        except OperationalError:
            raise
        except Exception:
            self._indexed.clear()  # those that were made for this batch went with it
            self._handle_singly(facts)

    def _foresee(self, upto: int) -> None:
        if self.projection.foresight is None or self.without or self.part is not None:
            return
        last = self.log.read_for(self.projection, self.connection, max(0, upto - LAST), upto, LAST)
        with self.connection.transaction(), self._gathering() as writer:
            self.projection.foresight(last, writer)

    def _read_on(self, upto: int, told: Told) -> None:
        reach = self.log.within_reach(self.connection, self.position, upto)
        read = self.log.read_for(self.projection, self.connection, self.position, reach, BATCH, self.part)
        end = read[-1].position if len(read) == BATCH else reach
        left: Sequence[AnyFact] = read
        if self.without:
            left = [fact for fact in read if fact.position not in self.without]
        while left:
            facts = self.projection.portion(left)
            left = left[len(facts) :]
            made = Made(facts[-1].position if left else end, self.facts + len(facts))
            with self.connection.transaction():
                self.handle(facts)
                self._keep(made)
            self.position, self.facts = made
            told(self.position, upto, self.facts)
        if self.position < end:
            self.position = end
            told(self.position, upto, self.facts)

    def _handle_gathering(self, facts: Sequence[AnyFact]) -> None:
        with self._gathering() as writer:
            self.projection.apply_all(facts, writer)

    @contextmanager
    def _gathering(self) -> Iterator[Writer]:
        with writing(self.connection, self.schema, self._keys) as db:
            db.cursor.execute("SET LOCAL statement_timeout = 0")
            with gathering(self.connection, db, self._tables, self._plans, self._index) as writer:
                yield writer

    def _handle_singly(self, facts: Sequence[AnyFact]) -> None:
        """Statement by statement and no two facts together, so that it is certain which one fails."""
        with writing(self.connection, self.schema, self._keys) as db:
            for fact in facts:
                try:
                    self.projection.apply([fact], db)
                except Exception as error:
                    what = f"{self.projection.name} cannot handle {fact.topic} at position {fact.position}"
                    raise RebuildFailed(f"{what}: {error!r}") from error


def copies_of(projection: Projection) -> str:
    """The schema of the copies that a rebuild or a verification fills."""
    return f"rebuild_{projection.name}"


def remove_copies(connection: Connection[Any], projection: Projection, schema: str) -> None:
    """Copies, filled or not; with their schema, if that is for them alone."""
    connection.execute("SET statement_timeout = 0")
    if schema == copies_of(projection):
        run(connection, "DROP SCHEMA IF EXISTS {} CASCADE", schema)
    else:
        for table in projection.tables:
            run(connection, "DROP TABLE IF EXISTS {}.{}", schema, table)


@contextmanager
def alone(connection: Connection[Any], name: str) -> Iterator[None]:
    """Hold the projection's rebuild lock; raises `RebuildRunning`."""
    key = (LOCK_CLASS, name)
    row = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", key).fetchone()
    if row != (True,):
        raise RebuildRunning(f"{name} is being rebuilt or verified by somebody else")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", key)
            connection.execute("SET statement_timeout = '30s'")


def hold_follower(connection: Connection[Any], name: str) -> int:
    """Keep the live projection from moving until this transaction ends; returns where it stands."""
    connection.execute("INSERT INTO es.follower (name) VALUES (%s) ON CONFLICT DO NOTHING", (name,))
    row = connection.execute("SELECT position FROM es.follower WHERE name = %s FOR UPDATE", (name,)).fetchone()
    assert row is not None
    return int(row[0])


def live_position(connection: Connection[Any], name: str) -> int:
    """How far the live projection has got."""
    row = connection.execute("SELECT position FROM es.follower WHERE name = %s", (name,)).fetchone()
    return int(row[0]) if row else 0
