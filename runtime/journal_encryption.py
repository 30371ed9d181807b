"""Segments that were shipped with addresses in clear, encrypted where they lie: once, some at a time, and declared.

What a segment was sealed as keeps its place in the chain and in the log. What lies there instead has a hash of its own;
the hash of those hashes is in an event, so that nobody can pass a change off as this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

from psycopg import Connection, Cursor
from psycopg.rows import class_row

from runtime import journal_archive
from runtime.journal import COLUMNS, Segment, hash_of_all, replaced

#: Segments of one transaction and one event.
AT_ONCE = 200

#: A payload with everything in it that has to be encrypted.
Encrypt = Callable[[bytes], bytes]
#: What is written in the same transaction as an event.
Beside = Callable[[Cursor[Any]], None]
#: Records that segments of an edge, from the first number to the last, have other hashes now, together with the change.
Declare = Callable[[str, int, int, bytes, Beside], None]


def encrypt_all(
    connection: Connection[Any], root: Path, keep_days: int, now: datetime, encrypt: Encrypt, declare: Declare
) -> Iterator[tuple[str, date, int]]:
    """Encrypts whatever was shipped in clear; gives edge, day and number of segments of each piece.

    May be killed and begun again at any point. Days that lie in files come back into the table, and go into files again
    after it. Raises `BrokenChain` at a segment that is not what was sealed, `ArchiveRefused`.
    """
    for day in _archived_in_clear(connection):
        journal_archive.restore(connection, root, day)
    for edge_id, day in _in_clear(connection):
        while count := _encrypt_some(connection, edge_id, day, encrypt, declare):
            yield edge_id, day, count
    _archive_again(connection, root, keep_days, now)


def days_in_clear(connection: Connection[Any]) -> int:
    """How many days, in the table and in files, have addresses that were shipped in clear."""
    return len({*_archived_in_clear(connection), *(day for _, day in _in_clear(connection))})


def _encrypt_some(connection: Connection[Any], edge_id: str, day: date, encrypt: Encrypt, declare: Declare) -> int:
    """The next segments that follow one another, together with the event that says so; returns how many."""
    with connection.cursor(row_factory=class_row(Segment)) as cursor:
        found = cursor.execute(
            f"SELECT {COLUMNS} FROM journal.segment JOIN journal.shipped_in_clear USING (edge_id)"
            " WHERE edge_id = %s AND day = %s AND seq <= upto_seq AND encrypted_sha256 IS NULL ORDER BY seq LIMIT %s",
            (edge_id, day, AT_ONCE),
        ).fetchall()
    if not found:
        return 0
    first = found[0].seq
    together = [one for _, one in takewhile(lambda pair: pair[1].seq == first + pair[0], enumerate(found))]
    made = [replaced(one, encrypt(one.payload)) for one in together]
    hashes = [one.encrypted_sha256 or b"" for one in made]
    of_all = hash_of_all(hashes)

    def beside(cursor: Cursor[Any]) -> None:
        cursor.execute(
            "SELECT journal.encrypt_segments(%s, %s, %s, %s, %s, %s)",
            (edge_id, day, first, [one.data for one in made], hashes, of_all),
        )

    declare(edge_id, first, made[-1].seq, of_all, beside)
    return len(made)


def _in_clear(connection: Connection[Any]) -> list[tuple[str, date]]:
    return connection.execute(
        "SELECT DISTINCT edge_id, day FROM journal.segment JOIN journal.shipped_in_clear USING (edge_id)"
        " WHERE seq <= upto_seq AND encrypted_sha256 IS NULL ORDER BY day, edge_id"
    ).fetchall()


def _archived_in_clear(connection: Connection[Any]) -> list[date]:
    """Days in files of which not everything was declared."""
    rows = connection.execute(
        "SELECT DISTINCT day FROM journal.archived_day a JOIN journal.shipped_in_clear c USING (edge_id)"
        " WHERE a.first_seq <= c.upto_seq AND least(a.last_seq, c.upto_seq) - a.first_seq + 1 > ("
        "  SELECT coalesce(sum(least(e.last_seq, a.last_seq) - greatest(e.first_seq, a.first_seq) + 1), 0)"
        "  FROM journal.encrypted e"
        "  WHERE e.edge_id = a.edge_id AND e.first_seq <= a.last_seq AND e.last_seq >= a.first_seq)"
        " ORDER BY day"
    )
    return [day for (day,) in rows.fetchall()]


def _archive_again(connection: Connection[Any], root: Path, keep_days: int, now: datetime) -> None:
    """Files of days that are in the table again have addresses in clear: they are written anew, or deleted."""
    held = {manifest.path(root) for manifest in journal_archive.archived(connection)}
    left = [path for path in root.glob("journal/*/*.segments.zst") if path not in held]
    closed = set(journal_archive.closed_days(connection, keep_days, now))
    for day in sorted({date.fromisoformat(path.name.partition(".")[0]) for path in left} & closed):
        journal_archive.archive(connection, root, day, keep_days)
    held = {manifest.path(root) for manifest in journal_archive.archived(connection)}
    for path in left:
        if path not in held:
            path.unlink()
            journal_archive.manifest_of(path).unlink(missing_ok=True)
