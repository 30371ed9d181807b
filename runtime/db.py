"""Connections to PostgreSQL: one pool per role, and the cursor that projections write with."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString, cast

from psycopg import Connection, Cursor, sql
from psycopg_pool import ConnectionPool

from runtime.keyring import ReadKeys

#: A request waits this long for a connection before it is told 503.
POOL_TIMEOUT_S = 2.0


#: PostgreSQL's manual, COPY, "Binary Format": signature, no flags, no extension; and the trailer.
_COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TAIL = b"\xff\xff"


class MissingRow(Exception):
    """A projection updated a row that is not there: the read table and the events disagree."""


#: A connection that answered within this time is handed out unasked; a server that died meanwhile costs one 503.
CHECK_AFTER_S = 0.5


class PooledConnection(Connection[Any]):
    """A connection that knows when it was last seen to work."""

    checked_at = 0.0

    @classmethod
    def check(cls, connection: Connection[Any]) -> None:
        """Raises an `OperationalError` when the server is gone; asks it at most every `CHECK_AFTER_S`."""
        assert isinstance(connection, cls)
        now = time.monotonic()
        if now - connection.checked_at > CHECK_AFTER_S:
            connection.execute("")
            connection.checked_at = now


def open_pool(
    url: str,
    role: str,
    size: int,
    *,
    idle: int = 1,
    timeout_s: float = POOL_TIMEOUT_S,
    derived: bool = False,
    reading: str | None = None,
) -> ConnectionPool[Connection[Any]]:
    """A pool of autocommit connections that act as `role`, whoever the URL logs in as; `idle` are there unasked.

    With `reading` its transactions are read-only, and unqualified names mean those of that schema.

    `derived` is for what is worked out from facts: rows and position are one transaction, so a crash of the server only
    has it worked out again, and its commits need not wait for the disk.
    """

    def configure(connection: Connection[Any]) -> None:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        # Whatever the server's zone is: the last moments of year 9999 have no date in Python east of Greenwich.
        connection.execute("SET TIME ZONE 'UTC'")
        if reading is not None:
            connection.execute("SET default_transaction_read_only = on")
            connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(reading)))
        if derived:
            connection.execute("SET synchronous_commit = off")
        connection.execute("SET lock_timeout = '5s'")
        connection.execute("SET statement_timeout = '30s'")
        connection.execute("SET idle_in_transaction_session_timeout = '60s'")

    return ConnectionPool(
        url,
        min_size=idle,
        max_size=size,
        timeout=timeout_s,
        open=True,
        configure=configure,
        connection_class=PooledConnection,
        check=PooledConnection.check,
        reconnect_timeout=1.0,
        kwargs={"autocommit": True, "connect_timeout": 2},
    )


class ForgetfulServer(Exception):
    """The server answers commits before they are on disk; `str(error)` is one line."""


def refuse_forgetful(pool: ConnectionPool[Connection[Any]]) -> None:
    """Raises `ForgetfulServer` unless an acknowledged commit survives a crash of this server."""
    with pool.connection() as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            row = connection.execute("SELECT current_setting(%s)", (setting,)).fetchone()
            if row is None or row[0] == "off":
                raise ForgetfulServer(f"the PostgreSQL server has {setting} = off: it would lose what it acknowledged")


class Writer:
    """What a projection handler writes with; table names resolve to the schema that is being built.

    `keys` open what is encrypted in rows that the facts refer to.
    """

    def __init__(self, cursor: Cursor[Any], keys: ReadKeys) -> None:
        self.cursor = cursor
        self.keys = keys

    def execute(self, query: LiteralString, params: Sequence[object] = ()) -> None:
        """Insert, upsert or delete: any number of rows."""
        self.cursor.execute(query, params)

    def update(self, query: LiteralString, params: Sequence[object] = ()) -> None:
        """Change rows that must be there; raises `MissingRow` when none is."""
        self.cursor.execute(query, params)
        if self.cursor.rowcount == 0:
            raise MissingRow(" ".join(query.split())[:120])

    def rows(self, query: LiteralString, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Rows of the projection's own tables."""
        return cast("list[tuple[Any, ...]]", self.cursor.execute(query, params, binary=True).fetchall())

    def copy(self, query: LiteralString, rows: Iterable[bytes]) -> None:
        """`COPY … FROM STDIN (FORMAT binary)`; each row is packed as that format has it, its field count first."""
        with self.cursor.copy(query) as copy:
            copy.write(b"".join((_COPY_HEAD, *rows, _COPY_TAIL)))

    def many(self, query: LiteralString, rows: Sequence[Sequence[object]]) -> None:
        """The same statement for many rows, in one round trip."""
        self.cursor.executemany(query, rows)


@contextmanager
def writing(connection: Connection[Any], schema: str, keys: ReadKeys) -> Iterator[Writer]:
    """A transaction whose unqualified table names mean those of `schema`."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(sql.SQL("SET LOCAL search_path = {}").format(sql.Identifier(schema)))
        yield Writer(cursor, keys)
