"""Addresses that somebody asked a new password for, until a worker has looked at them."""

from __future__ import annotations

from typing import Any

from psycopg import Connection, Cursor

from runtime.mail import sealer
from runtime.settings import Settings
from runtime.store import new_id


def put_aside(db: Connection[Any], settings: Settings, email: str) -> None:
    db.execute(
        "INSERT INTO credentials.reset_request (request_id, sealed) VALUES (%s, %s)",
        (new_id(), sealer(settings).seal(email.encode())),
    )


def take_one(db: Cursor[Any], settings: Settings) -> str | None:
    """The address that has waited longest, None when none does; it is gone with the caller's transaction."""
    row = db.execute(
        "DELETE FROM credentials.reset_request WHERE request_id = (SELECT request_id FROM credentials.reset_request"
        " ORDER BY request_id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING sealed"
    ).fetchone()
    return sealer(settings).open(row[0]).decode() if row else None
