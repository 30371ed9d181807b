"""Archives of everything about a person, between the worker that makes one and the person who fetches it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection, Cursor

from runtime.keyring import StoredKeyring

_CONTEXT = "personal archive"


def keep_archive(db: Cursor[Any], keyring: StoredKeyring, user_id: UUID, archive: bytes, until: datetime) -> None:
    """Instead of the one before, sealed with the person's data key."""
    db.execute(
        "INSERT INTO credentials.export (user_id, sealed, until) VALUES (%s, %s, %s)"
        " ON CONFLICT (user_id) DO UPDATE SET sealed = excluded.sealed, until = excluded.until",
        (user_id, keyring.seal_bytes(user_id, archive, _CONTEXT), until),
    )


def kept_archive(db: Connection[Any], keyring: StoredKeyring, user_id: UUID, now: datetime) -> bytes | None:
    """The person's archive; None when there is none, or its time is over."""
    row = db.execute(
        "SELECT sealed FROM credentials.export WHERE user_id = %s AND until > %s", (user_id, now)
    ).fetchone()
    return None if row is None else keyring.open_bytes(user_id, bytes(row[0]), _CONTEXT)


def forget_archives(db: Connection[Any], now: datetime) -> int:
    """Delete those whose time is over; returns how many."""
    return db.execute("DELETE FROM credentials.export WHERE until <= %s", (now,)).rowcount
