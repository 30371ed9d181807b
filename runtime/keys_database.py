"""The database of its own in which the data keys of persons are, and how they get there from the site's database."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool

from runtime.migrate import migrate
from runtime.settings import Settings

#: Its name where `tracker up` runs the server.
KEYS_DATABASE = "tracker_keys"

_COLUMNS: LiteralString = "subject_id, wrapped_key, created_at, destroyed_at"
#: A key that either side knows as destroyed is destroyed.
_MERGE: LiteralString = (
    "INSERT INTO keys.subject AS known (subject_id, wrapped_key, created_at, destroyed_at) VALUES (%s, %s, %s, %s)"
    " ON CONFLICT (subject_id) DO UPDATE SET wrapped_key = NULL,"
    " destroyed_at = coalesce(known.destroyed_at, excluded.destroyed_at) WHERE excluded.destroyed_at IS NOT NULL"
)


class KeysElsewhere(Exception):
    """The settings and the databases disagree about where the keys are; `str(error)` is one line."""


def prepare_databases(settings: Settings) -> None:
    """Bring the site's database, and that of the keys if there is one, to the newest schema."""
    owner_url = settings.database.owner_url or settings.database.url
    migrate(owner_url)
    if settings.keys.database_url:
        move_keys(owner_url, settings.keys.owner_url or settings.keys.database_url)


def move_keys(owner_url: str, keys_owner_url: str) -> int:
    """Make the database of keys what it has to be, and move there whatever the site's database has; returns how many.

    Safe to repeat after a crash at any point. From here on the site's database lets nobody use keys of its own: a
    process that was not told would make second keys for persons who have one.
    """
    _ensure_database(keys_owner_url)
    migrate(keys_owner_url, "keys")
    with psycopg.connect(owner_url) as source:
        source.execute("LOCK TABLE keys.subject IN ACCESS EXCLUSIVE MODE")
        with psycopg.connect(keys_owner_url) as target:
            moved = merge(source, target)
        source.execute("DELETE FROM keys.subject")
        source.execute("REVOKE ALL ON keys.subject FROM tracker_app, tracker_projector")
    if moved:
        with psycopg.connect(owner_url, autocommit=True) as source:
            source.execute("VACUUM (FULL) keys.subject")  # what was deleted is in its file until then
    return moved


def has_keys(url: str) -> bool:
    """Whether there is a database of keys that was prepared once."""
    try:
        with psycopg.connect(url) as connection:
            return connection.execute("SELECT to_regclass('keys.subject') IS NOT NULL").fetchone() == (True,)
    except psycopg.OperationalError as error:
        if "does not exist" in str(error):
            return False
        raise


def merge(source: Connection[Any], target: Connection[Any]) -> int:
    """Every key of the source into the target, in the target's transaction; returns how many."""
    with source.cursor() as reading, target.cursor() as writing:
        rows = reading.execute(f"SELECT {_COLUMNS} FROM keys.subject").fetchall()
        writing.executemany(_MERGE, rows)
    return len(rows)


def refuse_elsewhere(pool: ConnectionPool[Connection[Any]], *, here: bool) -> None:
    """Raises `KeysElsewhere` unless the site's database, which `pool` is of, has the keys, or has given them away, as
    the settings say."""
    with pool.connection() as connection:
        row = connection.execute("SELECT has_table_privilege('keys.subject', 'INSERT')").fetchone()
    if row == (False,) and here:
        raise KeysElsewhere("the keys are in a database of their own: APP__KEYS__DATABASE_URL does not say in which")
    if row == (True,) and not here:
        raise KeysElsewhere("the keys have not been moved to APP__KEYS__DATABASE_URL yet: run `tracker migrate`")


def _ensure_database(url: str) -> None:
    """Make the database if the server has none of the name; who may not gets the server's refusal."""
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError as error:
        if "does not exist" not in str(error):
            raise
        name = str(conninfo_to_dict(url)["dbname"])
        with psycopg.connect(make_conninfo(url, dbname="postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
