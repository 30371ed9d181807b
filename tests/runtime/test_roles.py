"""Six roles, each with the least: what passes for whom, statement by statement and table by table.

The roles by a letter: o the owner, who migrates; a appends (the application), p projects, q answers queries, u audits,
b makes backups.
"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from runtime.platform import Platform
from runtime.roles import APP_ROLE, AUDIT_ROLE, BACKUP_ROLE, PROJECTOR_ROLE, QUERY_ROLE
from tests.conftest import as_user

Owner = psycopg.Connection[tuple[Any, ...]]

ROLES = {
    "o": "postgres",
    "a": APP_ROLE,
    "p": PROJECTOR_ROLE,
    "q": QUERY_ROLE,
    "u": AUDIT_ROLE,
    "b": BACKUP_ROLE,
}

_APPEND = (
    "SELECT es.append(gen_random_uuid(), '', '', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'api', NULL,"
    " NULL, ARRAY[gen_random_uuid()], '{1}', '{1}', '{1}', ARRAY['{}'::bytea])"
)

#: Each with those for whom it passes. The owner here is a superuser, who is refused nothing.
STATEMENTS = {
    # facts
    "SELECT data FROM es.event": "oapqub",
    "SELECT name FROM es.event_type": "oapqub",
    "SELECT version FROM es.stream": "oapqub",
    "SELECT last_value FROM es.position": "oapqub",
    "SELECT es.safe_position()": "oapqub",
    _APPEND: "oa",
    "INSERT INTO es.event_type (name) VALUES ('a.b')": "oap",
    "UPDATE es.event_type SET ignored = true": "op",
    "UPDATE es.event_type SET name = ''": "o",
    "SELECT reply FROM es.command": "oapb",
    "SELECT ip, user_agent FROM es.command_context": "oab",
    "INSERT INTO es.command_context (command_id) VALUES (gen_random_uuid())": "o",
    "SELECT nextval('es.position')": "o",
    "SELECT root FROM es.block": "oapqub",
    "INSERT INTO es.block SELECT * FROM es.block WHERE false": "op",
    "INSERT INTO es.redaction SELECT * FROM es.redaction WHERE false": "o",
    "SELECT data FROM es.blob": "oapqb",
    "INSERT INTO es.blob (sha256, data) VALUES ('', '')": "oap",
    "SELECT data FROM es.snapshot": "oapb",
    "DELETE FROM es.snapshot": "oa",
    # followers and their tables
    "SELECT position FROM es.follower": "oapqb",
    "UPDATE es.follower SET position = 0": "op",
    "SELECT error FROM es.dead_letter": "oapqb",
    "DELETE FROM es.dead_letter": "op",
    "SELECT username, email FROM read.account": "oapqb",
    "UPDATE read.account SET username = ''": "op",
    "DELETE FROM read.ban": "op",
    "SELECT * FROM read.ban FOR UPDATE": "op",
    "CREATE TABLE read.mine ()": "op",
    "CREATE SCHEMA mine": "op",
    "CREATE TABLE public.mine ()": "o",
    "SELECT es.maintain_events(20000000, 0)": "op",
    "SELECT es.hold_appends()": "ob",
    "LOCK TABLE es.event IN SHARE MODE": "o",
    # the journal of announces
    "SELECT data FROM journal.segment": "oapub",
    "SELECT user_id FROM journal.unregistered_hash": "oaqb",
    "DELETE FROM journal.unregistered_hash": "oa",
    # what proves identities, and keys
    "SELECT hash FROM credentials.password": "oab",
    "UPDATE credentials.password SET hash = ''": "oa",
    "SELECT sealed_seed FROM credentials.totp": "oab",
    "SELECT code_sha FROM credentials.recovery_code": "oab",
    "SELECT token_sha, sealed_successor FROM credentials.refresh_token": "oab",
    "SELECT user_id FROM credentials.session": "oab",
    "SELECT key_sha FROM credentials.api_key": "oab",
    "SELECT * FROM credentials.mail": "oab",
    "SELECT wrapped_key FROM keys.subject": "oapb",
    "UPDATE keys.subject SET wrapped_key = NULL, destroyed_at = now()": "oa",
    "SELECT es.forget_person(gen_random_uuid())": "oa",
    # beyond the site
    "SELECT rolpassword FROM pg_authid": "o",
    "SELECT pg_read_file('PG_VERSION')": "o",
    "COPY (SELECT 1) TO PROGRAM 'true'": "o",
    "ALTER ROLE tracker_query SUPERUSER": "o",
    "SET ROLE tracker_app": "oa",
    "SET ROLE tracker_projector": "op",
    "SET ROLE pg_read_all_data": "o",
    "CREATE ROLE mine": "o",
}


@pytest.fixture
def history(platform: Platform, owner: Owner) -> None:
    """A type that an event may be of."""
    owner.execute("INSERT INTO es.event_type (name) VALUES ('test.happened')")


@pytest.mark.usefixtures("history")
def test_each_statement_passes_for_whom_it_should_and_for_nobody_else(database: str) -> None:
    assert len(STATEMENTS) >= 40
    differing = []
    for letter, role in ROLES.items():
        with psycopg.connect(as_user(database, role)) as connection:
            for statement, expected in STATEMENTS.items():
                if _passes(connection, statement) != (letter in expected):
                    differing.append((letter, statement))
    assert differing == []


def _passes(connection: psycopg.Connection[Any], statement: str) -> bool:
    """Whether this is allowed; nothing of it stays."""
    with connection.transaction(force_rollback=True):
        try:
            with connection.transaction():
                connection.execute(statement.encode())
        except InsufficientPrivilege:
            return False
    return True


#: Who selects, inserts, updates, deletes; "" where nobody but the owner does. Read tables are all alike: `READ`.
READ = {"S": "apqb", "I": "p", "U": "p", "D": "p"}
_CREDENTIALS = {"S": "ab", "I": "a", "U": "a", "D": "a"}
TABLES: dict[str, dict[str, str]] = {
    "es.archived_events": {"S": "apqub"},
    "es.attempt": {"S": "apqb", "I": "p", "U": "p", "D": "p"},
    "es.blob": {"S": "apqb", "I": "ap"},
    "es.block": {"S": "apqub", "I": "p"},
    "es.command": {"S": "apb"},
    "es.command_context": {"S": "ab"},
    "es.dead_letter": {"S": "apqb", "I": "p", "U": "p", "D": "p"},
    "es.drift": {"S": "apqb", "I": "p", "U": "p"},
    "es.event": {"S": "apqub"},
    "es.event_partition": {"S": "apqub"},
    "es.event_type": {"S": "apqub", "I": "ap"},
    "es.follower": {"S": "apqb", "I": "p", "U": "p"},
    "es.follower_setting": {"S": "apqb", "I": "p", "U": "p", "D": "p"},
    "es.rebuild": {"S": "apqb", "I": "ap", "U": "ap", "D": "p"},
    "es.redaction": {"S": "apqub"},
    "es.search_index": {"S": "apqb", "I": "p", "U": "p"},
    "es.snapshot": {"S": "apb", "I": "a", "D": "a"},
    "es.standby": {"S": "apqb", "I": "p", "U": "p", "D": "p"},
    "es.stream": {"S": "apqub"},
    "journal.archived_day": {"S": "apub"},
    "journal.encrypted": {"S": "apub"},
    "journal.head": {"S": "apub"},
    "journal.segment": {"S": "apub", "I": "a"},
    "journal.shipped_in_clear": {"S": "apub"},
    "journal.unregistered_hash": {"S": "aqb", "I": "a", "U": "a", "D": "a"},
    "keys.subject": {"S": "apb", "I": "ap"},
    "credentials.api_key": _CREDENTIALS,
    "credentials.email_token": _CREDENTIALS,
    "credentials.export": _CREDENTIALS,
    "credentials.guess": _CREDENTIALS,
    "credentials.invite_code": _CREDENTIALS,
    "credentials.known_device": _CREDENTIALS,
    "credentials.mail": _CREDENTIALS,
    "credentials.mail_bound": _CREDENTIALS,
    "credentials.mail_delivered": _CREDENTIALS,
    "credentials.notice": _CREDENTIALS,
    "credentials.password": _CREDENTIALS,
    "credentials.recovery_code": _CREDENTIALS,
    "credentials.refresh_token": _CREDENTIALS,
    "credentials.reset_request": _CREDENTIALS,
    "credentials.session": _CREDENTIALS,
    "credentials.totp": _CREDENTIALS,
}
_RIGHTS = {"S": "SELECT", "I": "INSERT", "U": "UPDATE", "D": "DELETE"}
_ALL_TABLES = (
    "SELECT c.oid, n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition"
    " AND n.nspname IN ('es', 'journal', 'keys', 'credentials', 'read') ORDER BY 2"
)


def test_every_table_is_open_to_whom_it_should_and_to_nobody_else(owner: Owner) -> None:
    """A new table needs a row above, but for a read table."""
    found, differing = owner.execute(_ALL_TABLES).fetchall(), []
    for oid, name in found:
        expected = READ if name.startswith("read.") else TABLES.get(name)
        allowed = {right: _holders(owner, oid, privilege) for right, privilege in _RIGHTS.items()}
        if expected is None or allowed != {right: set(expected.get(right, "")) for right in _RIGHTS}:
            differing.append((name, allowed))
    assert differing == []
    assert TABLES.keys() <= {name for _, name in found}
    assert sum(name.startswith("read.") for _, name in found) > 50


def _holders(owner: Owner, table: int, privilege: str) -> set[str]:
    """Who may do that to the whole table; rights to single columns are in `STATEMENTS`."""
    found = set()
    for letter, role in ROLES.items():
        row = owner.execute("SELECT has_table_privilege(%s, %s::oid, %s)", (role, table, privilege)).fetchone()
        if letter != "o" and row == (True,):
            found.add(letter)
    return found


def test_what_partitions_hold_is_reached_by_their_parent_only(owner: Owner) -> None:
    """Whoever may read all that a schema has, today and tomorrow, may read them, too."""
    partitions = owner.execute(
        "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relispartition"
        " AND c.relkind = 'r' AND n.nspname IN ('es', 'journal')"
    ).fetchall()
    assert len(partitions) >= 4
    for (oid,) in partitions:
        assert _holders(owner, oid, "SELECT") <= {"b", "u"}
        assert not any(_holders(owner, oid, privilege) for privilege in ("INSERT", "UPDATE", "DELETE"))


#: Functions that do more than their caller may, with those who may call them.
DEFINERS = {
    "es.append": "a",
    "es.begin_event_restore": "p",
    "es.cover_events": "",
    "es.drop_events": "p",
    "es.end_hanging_runner": "p",
    "es.finish_event_restore": "p",
    "es.forget_person": "a",
    "es.hold_appends": "b",
    "es.maintain_command_context": "p",
    "es.maintain_events": "p",
    "es.make_event_partition": "",
    "journal.begin_restore": "p",
    "journal.drop_day": "p",
    "journal.encrypt_segments": "a",
    "journal.extend_chain": "",
    "journal.finish_restore": "p",
    "journal.maintain_segments": "p",
}


def test_functions_that_do_more_than_their_caller_may_are_called_by_whom_they_are_for(owner: Owner) -> None:
    """Each resolves names where nobody else can put any."""
    found = owner.execute(
        "SELECT p.oid, n.nspname || '.' || p.proname, p.proconfig FROM pg_proc p"
        " JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.prosecdef ORDER BY 2"
    ).fetchall()
    callers = {}
    for oid, name, configuration in found:
        assert any(one.startswith("search_path=") and one.endswith("pg_temp") for one in configuration), name
        may = "SELECT has_function_privilege(%s, %s::oid, 'EXECUTE')"
        letters = [one for one, role in ROLES.items() if one != "o" and owner.execute(may, (role, oid)).fetchone()[0]]  # type: ignore[index]
        callers[name] = "".join(letters)
    assert callers == DEFINERS


def test_a_read_table_of_tomorrow_is_shown_and_one_of_a_rebuild_is_not(owner: Owner) -> None:
    owner.execute("SET ROLE tracker_projector; CREATE SCHEMA rebuild_x; CREATE TABLE rebuild_x.made ()")
    owner.execute("CREATE TABLE read.made (); RESET ROLE")
    oids = owner.execute("SELECT 'read.made'::regclass::oid, 'rebuild_x.made'::regclass::oid").fetchone()
    assert oids is not None
    assert "q" in _holders(owner, oids[0], "SELECT")
    assert "q" not in _holders(owner, oids[1], "SELECT")


@pytest.mark.parametrize(
    ("pool", "role", "writes"),
    [
        ("pool", APP_ROLE, True),
        ("projector_pool", PROJECTOR_ROLE, True),
        ("query_pool", QUERY_ROLE, False),
        ("audit_pool", AUDIT_ROLE, False),
    ],
)
def test_a_platform_acts_as_the_role_of_each_pool(platform: Platform, pool: str, role: str, *, writes: bool) -> None:
    with getattr(platform, pool).connection() as connection:
        row = connection.execute(
            "SELECT session_user, current_user, current_setting('transaction_read_only')"
        ).fetchone()
        assert row == (role, role, "off" if writes else "on")


def test_a_platform_logs_in_where_it_was_told_to(platform: Platform, owner: Owner) -> None:
    """A role may have a password, and a server, of its own."""
    owner.execute("DROP ROLE IF EXISTS test_reader")
    owner.execute(sql.SQL("CREATE ROLE test_reader LOGIN IN ROLE {}").format(sql.Identifier(QUERY_ROLE)))
    url = platform.settings.database.url.replace(APP_ROLE, "test_reader")
    database = platform.settings.database.model_copy(update={"query_url": url})
    settings = platform.settings.model_copy(update={"database": database})
    with Platform(settings, (), secrets=platform.secrets) as other, other.query_pool.connection() as connection:
        assert connection.execute("SELECT session_user, current_user").fetchone() == ("test_reader", QUERY_ROLE)
    owner.execute("DROP ROLE test_reader")
