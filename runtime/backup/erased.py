"""Whom a site has erased: a list beside the backups and in none of them, so that no restore brings a key back.

It holds the ids of destroyed data keys and when they were destroyed, and no more. Every backup adds to it, nothing
takes from it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg import Connection

NAME = "erased.list"


def destroyed(connection: Connection[Any]) -> dict[UUID, datetime]:
    """The keys that this database knows as destroyed."""
    rows = connection.execute("SELECT subject_id, destroyed_at FROM keys.subject WHERE destroyed_at IS NOT NULL")
    return dict(rows.fetchall())


def listed(root: Path) -> dict[UUID, datetime]:
    """The list; a last line that a crash has torn is none."""
    path = root / NAME
    if not path.exists():
        return {}
    lines = [line.split() for line in path.read_text().split("\n")[:-1]]
    return {UUID(who): datetime.fromisoformat(at) for who, at in lines}


def add(root: Path, erased: Mapping[UUID, datetime]) -> int:
    """Whom the list does not have yet, durable; returns how many. Others who add wait meanwhile."""
    with _held(root) as directory:
        known = listed(root)
        new = [f"{who} {at.isoformat()}\n" for who, at in sorted(erased.items()) if who not in known]
        if new:
            whole = "".join(f"{who} {at.isoformat()}\n" for who, at in known.items()) + "".join(new)
            draft = root / f".{NAME}"
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(whole)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, root / NAME)
            os.fsync(directory)
    return len(new)


def reapply(connection: Connection[Any], erased: Mapping[UUID, datetime]) -> int:
    """Destroys these keys again; returns how many were there."""
    count = 0
    for who, at in erased.items():
        row = connection.execute("SELECT wrapped_key IS NOT NULL FROM keys.subject WHERE subject_id = %s", (who,))
        count += row.fetchone() == (True,)
        connection.execute(
            "INSERT INTO keys.subject (subject_id, destroyed_at) VALUES (%s, %s)"
            " ON CONFLICT (subject_id) DO UPDATE SET wrapped_key = NULL,"
            " destroyed_at = coalesce(keys.subject.destroyed_at, excluded.destroyed_at)",
            (who, at),
        )
    return count


@contextmanager
def _held(root: Path) -> Iterator[int]:
    """The directory, which nobody else who adds to its list has meanwhile."""
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield directory
    finally:
        os.close(directory)
