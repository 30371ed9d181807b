"""Empty copies of read tables in another schema: the same columns, constraints, names, readers and storage.

Secondary indexes come last: to fill a table first and index it then costs a fraction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection, sql

from runtime.roles import APP_ROLE


def run(connection: Connection[Any], query: Any, *names: str) -> Any:
    """Execute a statement with these identifiers in it."""
    return connection.execute(sql.SQL(query).format(*map(sql.Identifier, names)))


def make_copy(connection: Connection[Any], schema: str, table: str, *, keyed: bool = True) -> None:
    """An empty `schema.table` like `read.table`, with its unique constraints, if it is `keyed`, and without its other
    indexes."""
    run(connection, "CREATE TABLE {}.{} (LIKE read.{} INCLUDING ALL EXCLUDING INDEXES)", schema, table, table)
    if keyed:
        make_keys(connection, schema, table)
    _grant_alike(connection, schema, table)
    _store_alike(connection, schema, table)


def make_keys(connection: Connection[Any], schema: str, table: str) -> None:
    """The unique constraints and indexes of a copy that is without."""
    name = sql.Identifier(schema, table)
    for constraint, definition in connection.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass"
        " AND contype IN ('p', 'u', 'x') ORDER BY oid",
        (_live(connection, table),),
    ).fetchall():
        add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}")
        connection.execute(add.format(name, sql.Identifier(constraint), sql.SQL(definition)))
    _make_indexes(connection, schema, table, unique=True)


def has_key(connection: Connection[Any], schema: str, table: str) -> bool:
    """Whether the copy has its primary key."""
    copy = sql.Identifier(schema, table).as_string(connection)
    query = "SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'p')"
    return connection.execute(query, (copy,)).fetchone() == (True,)


def make_secondary_indexes(connection: Connection[Any], schema: str, table: str) -> None:
    """The indexes that `make_copy` left out and nobody has made since, under the names that migrations know."""
    _make_indexes(connection, schema, table, unique=False)


def is_alike(connection: Connection[Any], schema: str, table: str) -> bool:
    """Whether `schema.table` has the columns of `read.table`, in their order and of their types."""
    columns = (
        "SELECT array_agg((a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated)::text ORDER BY a.attnum)"
        " FROM pg_attribute a WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped"
    )
    copy = sql.Identifier(schema, table).as_string(connection)
    found = connection.execute(f"SELECT ({columns}) = ({columns})", (_live(connection, table), copy)).fetchone()
    return found == (True,)


def primary_key(connection: Connection[Any], table: str) -> Sequence[str]:
    """Its columns."""
    rows = connection.execute(
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)"
        " WHERE i.indrelid = %s::regclass AND i.indisprimary ORDER BY a.attnum",
        (_live(connection, table),),
    ).fetchall()
    return [str(row[0]) for row in rows]


def columns_of(connection: Connection[Any], table: str) -> Sequence[str]:
    """Those of `read.table` that can be written: PostgreSQL works the others out."""
    rows = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " AND attgenerated = '' ORDER BY attnum",
        (_live(connection, table),),
    ).fetchall()
    return [str(row[0]) for row in rows]


def _make_indexes(connection: Connection[Any], schema: str, table: str, *, unique: bool) -> None:
    """Those of `read.table` that belong to no constraint."""
    live, copy = _live(connection, table), sql.Identifier(schema, table).as_string(connection)
    for index, definition in connection.execute(
        "SELECT quote_ident(i.relname), pg_get_indexdef(x.indexrelid) FROM pg_index x"
        " JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = %s::regclass AND x.indisunique = %s"
        " AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = x.indexrelid AND c.contype IN ('p', 'u', 'x'))"
        " ORDER BY x.indexrelid",
        (live, unique),
    ).fetchall():
        method = definition[definition.index(" USING ") :]
        kind = "CREATE UNIQUE INDEX" if unique else "CREATE INDEX IF NOT EXISTS"
        connection.execute(sql.SQL(f"{kind} {index} ON {copy}{method}"))


def _live(connection: Connection[Any], table: str) -> str:
    return sql.Identifier("read", table).as_string(connection)


def _grant_alike(connection: Connection[Any], schema: str, table: str) -> None:
    """LIKE copies everything but who may read the table; the schema's default privileges may differ from it."""
    revoke = sql.SQL("REVOKE ALL ON {} FROM {}")
    connection.execute(revoke.format(sql.Identifier(schema, table), sql.Identifier(APP_ROLE)))
    grants = connection.execute(
        "SELECT a.privilege_type, a.grantee::regrole::text FROM pg_class c, aclexplode(c.relacl) a"
        " WHERE c.oid = %s::regclass AND a.grantee NOT IN (0, c.relowner)",
        (_live(connection, table),),
    ).fetchall()
    for privilege, role in grants:
        names = (sql.SQL(privilege), sql.Identifier(schema, table), sql.SQL(role))
        connection.execute(sql.SQL("GRANT {} ON {} TO {}").format(*names))


def _store_alike(connection: Connection[Any], schema: str, table: str) -> None:
    """Nor does LIKE copy how full pages are to be, which decides what an update costs."""
    options = connection.execute(
        "SELECT o.option_name, o.option_value FROM pg_class c, pg_options_to_table(c.reloptions) o"
        " WHERE c.oid = %s::regclass",
        (_live(connection, table),),
    ).fetchall()
    for name, value in options:
        change = sql.SQL("ALTER TABLE {} SET ({} = {})")
        connection.execute(change.format(sql.Identifier(schema, table), sql.Identifier(name), sql.Literal(value)))
