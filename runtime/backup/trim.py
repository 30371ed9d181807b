"""How a site that was restored whole goes back to an earlier position: in the log, its chain, and the journals."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import Connection

from runtime import partitions
from runtime.append_only import changeable
from runtime.backup.manifest import BackupRefused
from runtime.event_archive.archive import pieces

_EVENTS_OF_SEGMENTS = "edge_journal.segments_recorded"


def position_at(connection: Connection[Any], when: datetime) -> int:
    """Of the last fact that was stored by then. Raises `BackupRefused`."""
    row = connection.execute("SELECT max(position) FROM es.event WHERE recorded_at <= %s", (when,)).fetchone()
    if row is None or row[0] is None:
        raise BackupRefused(f"there is no fact from before {when:%Y-%m-%d %H:%M:%S %Z}")
    return int(row[0])


def trim(connection: Connection[Any], position: int) -> None:
    """Takes back every command that ended after the position, with all that was recorded beside it.

    A command that it divides goes whole. Whoever ended before it cannot have seen what such a command did: positions
    are drawn after everything that a decision rests on was read. Raises `BackupRefused`.
    """
    connection.execute(
        "CREATE TEMP TABLE undone ON COMMIT DROP AS"
        " SELECT command_id, first_position FROM es.command WHERE last_position > %s",
        (position,),
    )
    connection.execute(
        "CREATE TEMP TABLE unshipped ON COMMIT DROP AS"
        " SELECT d ->> 'edge_id' AS edge_id, (d ->> 'first_seq')::bigint AS seq"
        " FROM (SELECT convert_from(e.data, 'UTF8')::jsonb AS d FROM es.event e JOIN undone USING (command_id)"
        "  JOIN es.event_type t ON t.id = e.type WHERE t.name = %s) AS recorded",
        (_EVENTS_OF_SEGMENTS,),
    )
    _refuse_archived(connection, position)
    connection.execute(
        "CREATE TEMP TABLE cut ON COMMIT DROP AS"
        " SELECT e.stream_id, min(e.version) AS version FROM es.event e JOIN undone USING (command_id) GROUP BY 1"
    )
    with changeable(connection, "es.event", "es.command", "journal.segment"):
        connection.execute(
            "DELETE FROM es.event e USING undone u WHERE e.command_id = u.command_id"
            " AND e.position >= (SELECT min(first_position) FROM undone)"
        )
        connection.execute("DELETE FROM es.command_context c USING undone u WHERE c.command_id = u.command_id")
        connection.execute("DELETE FROM es.command c USING undone u WHERE c.command_id = u.command_id")
        connection.execute(
            "DELETE FROM journal.segment s USING (SELECT edge_id, min(seq) AS seq FROM unshipped GROUP BY 1) AS u"
            " WHERE s.edge_id = u.edge_id AND s.seq >= u.seq"
        )
    _move_heads_back(connection)
    _move_streams_back(connection)
    _unseal(connection)


def _move_heads_back(connection: Connection[Any]) -> None:
    """Each edge's chain ends where its last segment is, in the table or in a file."""
    connection.execute("DELETE FROM journal.head")
    connection.execute(
        "INSERT INTO journal.head (edge_id, seq, sha256) SELECT DISTINCT ON (edge_id) edge_id, seq, sha256 FROM ("
        " SELECT edge_id, seq, sha256 FROM journal.segment"
        " UNION ALL SELECT edge_id, last_seq, last_sha256 FROM journal.archived_day) AS ends"
        " ORDER BY edge_id, seq DESC"
    )


def _move_streams_back(connection: Connection[Any]) -> None:
    """Each stream that lost events ends with the one before them."""
    if not partitions.are_there(connection):
        return
    connection.execute("DELETE FROM es.stream s USING cut c WHERE s.stream_id = c.stream_id AND c.version = 1")
    connection.execute(
        "UPDATE es.stream s SET version = c.version - 1, last_position = coalesce("
        " (SELECT max(e.position) FROM es.event e WHERE e.stream_id = c.stream_id), s.last_position)"
        " FROM cut c WHERE s.stream_id = c.stream_id"
    )


def _unseal(connection: Connection[Any]) -> None:
    """The chain ends before the first event that went; what stays behind it is sealed anew."""
    if connection.execute("SELECT to_regclass('es.block')").fetchone() == (None,):
        return
    with changeable(connection, "es.block", "es.redaction"):
        connection.execute("DELETE FROM es.block WHERE last_position >= (SELECT min(first_position) FROM undone)")
        connection.execute(
            "DELETE FROM es.redaction r WHERE NOT EXISTS (SELECT FROM es.event e WHERE e.position = r.position)"
        )


def _refuse_archived(connection: Connection[Any], position: int) -> None:
    """What is undone has to be in the tables, also the first events of a command that ended later."""
    if connection.execute("SELECT to_regclass('es.archived_events')").fetchone() != (None,):
        held = pieces(connection)
        row = connection.execute("SELECT min(first_position) FROM undone").fetchone()
        if held and row and row[0] is not None and row[0] <= held[-1].last_position:
            raise BackupRefused(f"events after position {position} were archived: take an earlier backup")
    row = connection.execute(
        "SELECT max(a.day) FROM journal.archived_day a JOIN unshipped u USING (edge_id) WHERE u.seq <= a.last_seq"
    ).fetchone()
    if row and row[0]:
        raise BackupRefused(f"announces of {row[0]} were archived after position {position}: take an earlier backup")
