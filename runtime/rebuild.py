"""Read tables made anew from the log: to repair them (`rebuild`), or to prove that they need no repair (`verify`).

The same handlers run on empty copies of the tables in a schema beside `read`. A rebuild then swaps the copies in within
one transaction; readers wait for milliseconds and never see a half-built table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from psycopg import Connection, sql
from psycopg.errors import DeadlockDetected, LockNotAvailable

from runtime.db import Writer, writing
from runtime.facts import AnyFact, FactLog
from runtime.platform import APP_ROLE, Platform
from runtime.projection import Projection

#: Facts per transaction.
BATCH = 2000
#: Who does not get the tables within this time lets the readers behind it go on, and tries again.
LOCK_TIMEOUT = "2s"
LOCK_ATTEMPTS = 10
LOCK_PAUSE_S = 0.5
#: First half of the advisory lock that keeps a second rebuild of the same projection out (the second: its name).
LOCK_CLASS = 7919

T = TypeVar("T")
Progress = Callable[[int, int], None]


class RebuildRunning(Exception):
    """Somebody else is rebuilding or verifying this projection now."""


class RebuildFailed(Exception):
    """A fact could not be handled, or the tables could not be had; the live tables are as they were."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild made; `facts` is how many it read."""

    name: str
    tables: int
    rows: int
    facts: int


@dataclass(frozen=True, slots=True)
class TableCheck:
    """How a live table compares with one made anew; `differences` counts rows that only one of the two has."""

    table: str
    rows: int
    differences: int


def rebuild(platform: Platform, projection: Projection, progress: Progress = lambda done, total: None) -> Rebuilt:
    """Make the tables of a projection anew and swap them in; raises `RebuildRunning` or `RebuildFailed`.

    `progress(position, head)` is called after each batch.
    """
    with _Shadow.open(platform, projection, progress) as shadow:
        shadow.read_up_to_date(live=False)
        rows = _patiently(shadow.swap, projection.name)
        return Rebuilt(projection.name, len(projection.tables), rows, shadow.facts)


def verify(
    platform: Platform, projection: Projection, progress: Progress = lambda done, total: None
) -> list[TableCheck]:
    """Compare the live tables with ones made anew; raises `RebuildRunning` or `RebuildFailed`.

    The projection stands still while rows are compared, so that both are of the same position.
    """
    with _Shadow.open(platform, projection, progress) as shadow:
        shadow.read_up_to_date(live=True)
        return _patiently(shadow.compare, projection.name)


def _patiently(step: Callable[[], T], name: str) -> T:
    """Try again while others hold the locks that a step needs; raises `RebuildFailed` in the end."""
    for _ in range(LOCK_ATTEMPTS):
        try:
            return step()
        except (LockNotAvailable, DeadlockDetected):
            time.sleep(LOCK_PAUSE_S)
    raise RebuildFailed(f"{name}: long queries hold its tables, try again later")


class _Shadow:
    """Copies of a projection's tables and how far they have been filled."""

    def __init__(self, platform: Platform, projection: Projection, connection: Connection[Any], tell: Progress) -> None:
        self.projection = projection
        self.connection = connection
        self.schema = f"rebuild_{projection.name}"
        self.position = 0
        self.facts = 0
        self._log = FactLog(platform.history)
        self._tell = tell

    @classmethod
    @contextmanager
    def open(cls, platform: Platform, projection: Projection, tell: Progress) -> Iterator[_Shadow]:
        """Empty copies, for one caller at a time; removed in the end."""
        with platform.projector_pool.connection() as connection, _alone(connection, projection.name):
            shadow = cls(platform, projection, connection, tell)
            shadow._drop()
            shadow._create()
            try:
                yield shadow
            finally:
                shadow._drop()

    def read_up_to_date(self, *, live: bool) -> None:
        """Fill the tables, as far as the live ones are or as the log is."""
        while self.position < (target := self._live_position() if live else self._log.safe_position(self.connection)):
            with self.connection.transaction():
                self.connection.execute("SET LOCAL synchronous_commit = off")
                reached, read = self._read_batch(self.position, target)
            self.position, self.facts = reached, self.facts + read
            self._tell(self.position, target)

    def swap(self) -> int:
        """Put the copies in the place of the live tables, in one transaction; returns their rows."""
        with self.connection.transaction():
            self.connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(LOCK_TIMEOUT))
            self._hold_follower()
            head = self._log.safe_position(self.connection)
            read = self._read_rest(head)
            rows = sum(self._count(self.schema, table) for table in self.projection.tables)
            self._exchange_tables()  # last: from here on readers wait
            self.connection.execute(
                "UPDATE es.follower SET position = %s, state = 'running', error = NULL, failed_position = NULL,"
                " moved_at = clock_timestamp() WHERE name = %s",
                (head, self.projection.name),
            )
        self.position, self.facts = head, self.facts + read
        return rows

    def compare(self) -> list[TableCheck]:
        """Rows and differences of each table, while the projection is held."""
        with self.connection.transaction():
            self.connection.execute("SET LOCAL statement_timeout = 0")
            head = self._hold_follower()
            self.facts += self._read_rest(head)
            self.position = head
            return [
                TableCheck(table, self._count("read", table), self._differences(table))
                for table in self.projection.tables
            ]

    def _read_rest(self, upto: int) -> int:
        position, read = self.position, 0
        while position < upto:
            position, count = self._read_batch(position, upto)
            read += count
        return read

    def _read_batch(self, after: int, upto: int) -> tuple[int, int]:
        """Handle at most `BATCH` facts; returns the position reached and how many facts there were."""
        read = self._log.read(self.connection, after, upto, self.projection.topics, BATCH)
        facts = self.projection.portion(read)
        with writing(self.connection, self.schema) as db:
            for run in self.projection.runs(facts):
                self._apply(run, db)
        more = len(read) == BATCH or len(facts) < len(read)
        return (facts[-1].position if more else upto), len(facts)

    def _apply(self, run: Sequence[AnyFact], db: Writer) -> None:
        try:
            self.projection.apply(run, db)
        except Exception as error:
            first, last = run[0].position, run[-1].position
            where = f"at position {first}" if first == last else f"between positions {first} and {last}"
            what = f"{self.projection.name} cannot handle {run[0].topic} {where}"
            raise RebuildFailed(f"{what}: {error!r}") from error

    def _live_position(self) -> int:
        row = self.connection.execute(
            "SELECT position FROM es.follower WHERE name = %s", (self.projection.name,)
        ).fetchone()
        return int(row[0]) if row else 0

    def _hold_follower(self) -> int:
        """Keep the live projection from moving until this transaction ends; returns where it stands."""
        name = (self.projection.name,)
        self.connection.execute("INSERT INTO es.follower (name) VALUES (%s) ON CONFLICT DO NOTHING", name)
        row = self.connection.execute("SELECT position FROM es.follower WHERE name = %s FOR UPDATE", name).fetchone()
        assert row is not None
        return int(row[0])

    def _create(self) -> None:
        with self.connection.transaction():
            self._run("CREATE SCHEMA {}", self.schema)
            for table in self.projection.tables:
                self._run("CREATE TABLE {}.{} (LIKE read.{} INCLUDING ALL)", self.schema, table, table)
                _name_indexes_alike(self.connection, self.schema, table)
                _grant_alike(self.connection, self.schema, table)
                _store_alike(self.connection, self.schema, table)

    def _drop(self) -> None:
        for schema in (self.schema, self._retired):
            self._run("DROP SCHEMA IF EXISTS {} CASCADE", schema)

    def _exchange_tables(self) -> None:
        self._run("CREATE SCHEMA {}", self._retired)
        for table in self.projection.tables:
            self._run("ALTER TABLE read.{} SET SCHEMA {}", table, self._retired)
            self._run("ALTER TABLE {}.{} SET SCHEMA read", self.schema, table)

    @property
    def _retired(self) -> str:
        return f"retired_{self.projection.name}"

    def _differences(self, table: str) -> int:
        only = "(SELECT count(*) FROM (SELECT t::text FROM {}.{} t EXCEPT ALL SELECT t::text FROM {}.{} t) AS o)"
        sides = ("read", table, self.schema, table, self.schema, table, "read", table)
        return self._number(f"SELECT {only} + {only}", *sides)

    def _count(self, schema: str, table: str) -> int:
        return self._number("SELECT count(*) FROM {}.{}", schema, table)

    def _number(self, query: Any, *names: str) -> int:
        row = self._run(query, *names).fetchone()
        assert row is not None
        return int(row[0])

    def _run(self, query: Any, *names: str) -> Any:
        return self.connection.execute(sql.SQL(query).format(*map(sql.Identifier, names)))


@contextmanager
def _alone(connection: Connection[Any], name: str) -> Iterator[None]:
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


def _name_indexes_alike(connection: Connection[Any], schema: str, table: str) -> None:
    """Give the copy's indexes the names that migrations know. PostgreSQL copies them in the order of their ids."""
    names = _indexes(connection, "read", table)
    copies = _indexes(connection, schema, table)
    assert len(names) == len(copies), f"{table}: {len(copies)} of {len(names)} indexes were copied"
    for prefix in ("renamed_", ""):  # in two steps: a copy may bear a name that another one is to get
        wanted = [f"{prefix}{number}" if prefix else name for number, name in enumerate(names)]
        for old, new in zip(copies, wanted, strict=True):
            rename = sql.SQL("ALTER INDEX {}.{} RENAME TO {}")
            connection.execute(rename.format(*map(sql.Identifier, (schema, old, new))))
        copies = wanted


def _indexes(connection: Connection[Any], schema: str, table: str) -> list[str]:
    rows = connection.execute(
        "SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid"
        " WHERE x.indrelid = %s::regclass ORDER BY x.indexrelid",
        (sql.Identifier(schema, table).as_string(connection),),
    ).fetchall()
    return [str(row[0]) for row in rows]


def _grant_alike(connection: Connection[Any], schema: str, table: str) -> None:
    """LIKE copies everything but who may read the table; the schema's default privileges may differ from it."""
    revoke = sql.SQL("REVOKE ALL ON {} FROM {}")
    connection.execute(revoke.format(sql.Identifier(schema, table), sql.Identifier(APP_ROLE)))
    grants = connection.execute(
        "SELECT a.privilege_type, a.grantee::regrole::text FROM pg_class c, aclexplode(c.relacl) a"
        " WHERE c.oid = %s::regclass AND a.grantee NOT IN (0, c.relowner)",
        (sql.Identifier("read", table).as_string(connection),),
    ).fetchall()
    for privilege, role in grants:
        names = (sql.SQL(privilege), sql.Identifier(schema, table), sql.SQL(role))
        connection.execute(sql.SQL("GRANT {} ON {} TO {}").format(*names))


def _store_alike(connection: Connection[Any], schema: str, table: str) -> None:
    """Nor does LIKE copy how full pages are to be, which decides what an update costs."""
    options = connection.execute(
        "SELECT o.option_name, o.option_value FROM pg_class c, pg_options_to_table(c.reloptions) o"
        " WHERE c.oid = %s::regclass",
        (sql.Identifier("read", table).as_string(connection),),
    ).fetchall()
    for name, value in options:
        change = sql.SQL("ALTER TABLE {} SET ({} = {})")
        connection.execute(change.format(sql.Identifier(schema, table), sql.Identifier(name), sql.Literal(value)))
