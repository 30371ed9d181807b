"""The log cannot be changed: not by the roles that the platform runs as, nor by a slip of its owner."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from runtime.platform import Platform
from runtime.store import new_id
from tests.conftest import as_user
from tests.given import ACTOR
from tests.runtime.notes import Note

COLUMNS = (
    "stream_id, version, part, type, schema_version, command_id, correlation_id, causation_id, actor_id, origin, data"
)
FORBIDDEN = [
    "UPDATE es.event SET data = '{}'",
    "UPDATE es.event SET actor_id = gen_random_uuid() WHERE false",
    "DELETE FROM es.event",
    "DELETE FROM es.event WHERE position = 1",
    "TRUNCATE es.event",
    "TRUNCATE es.event CASCADE",
    "DROP TABLE es.event",
    "DROP TABLE es.event CASCADE",
    "DROP SCHEMA es CASCADE",
    "DROP FUNCTION es.append CASCADE",
    "DROP TRIGGER append_only ON es.event",
    "ALTER TABLE es.event DISABLE TRIGGER append_only",
    "ALTER TABLE es.event DISABLE TRIGGER ALL",
    "ALTER TABLE es.event DROP COLUMN actor_id",
    "ALTER TABLE es.event ADD COLUMN x int",
    "ALTER TABLE es.event RENAME TO event_old",
    "ALTER TABLE es.event SET SCHEMA public",
    "ALTER TABLE es.event OWNER TO CURRENT_USER",
    "CREATE TRIGGER mine BEFORE INSERT ON es.event FOR EACH ROW EXECUTE FUNCTION es.refuse_change()",
    "CREATE RULE mine AS ON INSERT TO es.event DO INSTEAD NOTHING",
    "CREATE TABLE es.child () INHERITS (es.event)",
    "CREATE OR REPLACE FUNCTION es.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "SET session_replication_role = replica",
    "SET SESSION AUTHORIZATION postgres",
    "SET ROLE postgres",
    "SET ROLE pg_write_all_data",
    "COPY es.event TO '/tmp/x'",
    "COPY es.event FROM PROGRAM 'true'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT setval('es.position', 1)",
    "SELECT nextval('es.position')",
    "ALTER SEQUENCE es.position RESTART WITH 1",
    f"INSERT INTO es.event ({COLUMNS}) SELECT {COLUMNS} FROM es.event",
    f"INSERT INTO es.event ({COLUMNS}) SELECT {COLUMNS} FROM es.event ON CONFLICT (position) DO UPDATE SET version = 1",
    "MERGE INTO es.event e USING es.command c ON e.command_id = c.command_id WHEN MATCHED THEN DELETE",
    "MERGE INTO es.event e USING es.command c ON e.command_id = c.command_id WHEN MATCHED THEN UPDATE SET data = ''",
    "WITH gone AS (DELETE FROM es.event RETURNING *) SELECT * FROM gone",
    "SELECT * FROM es.event FOR UPDATE",
    "UPDATE es.command SET reply = ''",
    "DELETE FROM es.command",
    "TRUNCATE es.command",
    "UPDATE es.blob SET data = ''",
    "DELETE FROM es.blob",
    "DO $$ BEGIN LOCK TABLE es.event IN ACCESS EXCLUSIVE MODE; END $$",
    # around the parent, at one of its partitions
    "SELECT * FROM es.event_first",
    f"INSERT INTO es.event_first ({COLUMNS}) SELECT {COLUMNS} FROM es.event",
    "UPDATE es.event_first SET data = '{}'",
    "DELETE FROM es.event_first",
    "TRUNCATE es.event_first",
    "DROP TABLE es.event_first",
    "ALTER TABLE es.event DETACH PARTITION es.event_first",
    "ALTER TABLE es.event_first DISABLE TRIGGER append_only",
    "CREATE TABLE es.mine PARTITION OF es.event FOR VALUES FROM (1000000000) TO (2000000000)",
    "SELECT es.make_event_partition(1000000000, 2000000000)",
    "SELECT es.cover_events(0, 1000000000, 1000)",
    "UPDATE es.event_partition SET ends = 1",
    # what stands beside the events
    "INSERT INTO es.stream VALUES (gen_random_uuid(), 1, 1, 1)",
    "UPDATE es.stream SET version = 0",
    "DELETE FROM es.stream",
    "INSERT INTO es.command SELECT gen_random_uuid(), actor_id, request_sha, reply, 1, 1 FROM es.command",
    "UPDATE es.block SET signature = ''",
    "DELETE FROM es.block",
    "TRUNCATE es.block",
    "INSERT INTO es.redaction VALUES (1, '', '', '{}', 'mine', now(), '')",
    "DELETE FROM es.redaction",
]
#: In the partition that has what there was, and in one that was made later.
PARTITIONS = ["event_first", "event_60000000"]


@pytest.fixture
def history(notes: Platform) -> list[tuple[Any, ...]]:
    """One note in the store, and all that the store holds."""
    notes.store(ACTOR).save(Note.open(new_id()))
    with notes.pool.connection() as connection:
        return connection.execute("SELECT * FROM es.event").fetchall()


@pytest.mark.parametrize("role", ["tracker_app", "tracker_projector"])
def test_no_statement_of_the_platforms_roles_changes_history(
    role: str, database: str, history: list[tuple[Any, ...]]
) -> None:
    passed = []
    with psycopg.connect(as_user(database, role), autocommit=True) as connection:
        assert connection.execute("SELECT current_user, session_user").fetchone() == (role, role)
        # only a warning from PostgreSQL, and without effect, as the statements below show
        connection.execute("GRANT UPDATE, DELETE, TRUNCATE ON es.event TO CURRENT_USER")
        for statement in FORBIDDEN:
            try:
                connection.execute(statement)
            except psycopg.errors.InsufficientPrivilege:
                continue
            passed.append(statement)
        assert connection.execute("SELECT * FROM es.event").fetchall() == history
    assert passed == []
    assert len(FORBIDDEN) >= 20


@pytest.mark.parametrize("table", ["event", "command", "blob"])
@pytest.mark.parametrize("statement", ["UPDATE es.{} SET {}", "DELETE FROM es.{}", "TRUNCATE es.{}"])
@pytest.mark.parametrize("replication_role", ["origin", "replica", "local"])
def test_a_slip_of_the_owner_is_refused_in_every_replication_role(
    owner: psycopg.Connection[Any], history: list[tuple[Any, ...]], table: str, statement: str, replication_role: str
) -> None:
    column = {"event": "data = ''", "command": "reply = ''", "blob": "data = ''"}[table]
    owner.execute(f"SET session_replication_role = {replication_role}")
    with pytest.raises(InsufficientPrivilege, match="append-only"):
        owner.execute(statement.format(table, column).encode())
    assert owner.execute("SELECT * FROM es.event").fetchall() == history


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize("replication_role", ["origin", "replica"])
def test_a_slip_at_a_partition_is_refused_as_well(
    owner: psycopg.Connection[Any], history: list[tuple[Any, ...]], partition: str, replication_role: str
) -> None:
    assert owner.execute("SELECT es.cover_events(0, 65000000, 20000000)").fetchone() == (1,)
    owner.execute(f"SET session_replication_role = {replication_role}".encode())
    for statement in ("UPDATE es.{} SET data = ''", "DELETE FROM es.{}", "TRUNCATE es.{}"):
        with pytest.raises(InsufficientPrivilege, match="append-only"):
            owner.execute(statement.format(partition).encode())
    with pytest.raises(InsufficientPrivilege, match="append-only"):
        owner.execute("TRUNCATE es.event")
    assert owner.execute("SELECT * FROM es.event").fetchall() == history


def test_the_projectors_append_nothing(database: str, notes: Platform) -> None:
    """Policies are commands: they append as the application does."""
    with psycopg.connect(as_user(database, "tracker_projector"), autocommit=True) as connection:
        with pytest.raises(InsufficientPrivilege):
            connection.execute(
                "SELECT es.append(gen_random_uuid(), '', '', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),"
                " 'api', NULL, NULL, '{}', '{}', '{}', '{}', '{}')"
            )


def test_the_application_may_not_read_or_write_the_projectors_side(database: str, notes: Platform) -> None:
    with psycopg.connect(as_user(database, "tracker_app"), autocommit=True) as connection:
        for statement in ("DELETE FROM read.note", "UPDATE es.follower SET position = 0", "CREATE TABLE read.x ()"):
            with pytest.raises(InsufficientPrivilege):
                connection.execute(statement.encode())
    with psycopg.connect(as_user(database, "tracker_projector"), autocommit=True) as connection:
        for statement in ("SELECT * FROM credentials.password", "SELECT * FROM es.command_context"):
            with pytest.raises(InsufficientPrivilege):
                connection.execute(statement.encode())
