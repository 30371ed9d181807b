"""Engines for the suite: one PostgreSQL and one Valkey per test process, and a database of its own for whoever asks."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from runtime.embedded import DATABASE, Postgres, Valkey


def start_postgres(tmp: Path, *, durable: bool = False) -> Postgres:
    """A running PostgreSQL over `tmp/postgres`; the caller stops it."""
    return Postgres(tmp, durable=durable).__enter__()


def start_valkey(tmp: Path) -> Valkey:
    """A running Valkey over `tmp/valkey`; the caller stops it."""
    return Valkey(tmp).__enter__()


def fresh_database(postgres: Postgres, template: str = DATABASE) -> str:
    """The URL (user `postgres`) of a new copy of the database `template`, which nobody may be connected to."""
    name = f"test_{uuid4().hex}"
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
    _as_owner(postgres, copy.format(sql.Identifier(name), sql.Identifier(template)))
    return postgres.url(name)


def drop_database(postgres: Postgres, url: str) -> None:
    """Remove what `fresh_database` made, ending the connections to it."""
    name = str(conninfo_to_dict(url)["dbname"])
    _as_owner(postgres, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _as_owner(postgres: Postgres, statement: sql.Composed) -> None:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(statement)
