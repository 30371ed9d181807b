"""What proves an identity besides tokens: password hashes, beside the event store, never in it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection, Cursor


def password_hash(db: Connection[Any] | Cursor[Any], user_id: UUID) -> str | None:
    """The stored argon2id text, or None."""
    row = db.execute("SELECT hash FROM credentials.password WHERE user_id = %s", (user_id,)).fetchone()
    return row[0] if row else None


def set_password_hash(db: Cursor[Any], user_id: UUID, stored: str, now: datetime) -> None:
    db.execute(
        "INSERT INTO credentials.password (user_id, hash, changed_at) VALUES (%s, %s, %s)"
        " ON CONFLICT (user_id) DO UPDATE SET hash = EXCLUDED.hash, changed_at = EXCLUDED.changed_at",
        (user_id, stored, now),
    )


def forget_password(db: Cursor[Any], user_id: UUID) -> None:
    """No password opens the account until a new one is set."""
    db.execute("DELETE FROM credentials.password WHERE user_id = %s", (user_id,))


def living_sessions(db: Connection[Any], user_id: UUID, now: datetime) -> list[UUID]:
    """The ids of the user's sessions that are neither ended nor expired."""
    rows = db.execute(
        "SELECT session_id FROM credentials.session WHERE user_id = %s AND revoked_at IS NULL AND expires_at > %s"
        " ORDER BY session_id",
        (user_id, now),
    ).fetchall()
    return [row[0] for row in rows]


def session_started(db: Connection[Any], session_id: UUID) -> datetime | None:
    """When the session began, None for one that is unknown."""
    row = db.execute("SELECT started_at FROM credentials.session WHERE session_id = %s", (session_id,)).fetchone()
    return row[0] if row else None
