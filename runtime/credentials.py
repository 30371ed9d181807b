"""What proves an identity besides tokens: password hashes and e-mail tokens, beside the event store, never in it."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import Connection, Cursor

#: How long the link in a confirmation mail works.
EMAIL_TOKEN_LIFE = timedelta(days=1)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


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


def new_email_token(db: Cursor[Any], user_id: UUID, now: datetime) -> str:
    """A token that only the address's owner will see; earlier ones of the user stop working."""
    token = secrets.token_urlsafe(32)
    db.execute("DELETE FROM credentials.email_token WHERE user_id = %s AND used_at IS NULL", (user_id,))
    db.execute(
        "INSERT INTO credentials.email_token (token_sha, user_id, expires_at) VALUES (%s, %s, %s)",
        (_sha(token), user_id, now + EMAIL_TOKEN_LIFE),
    )
    return token


def email_token_user(db: Connection[Any], token: str, now: datetime) -> UUID | None:
    """Whose address the token confirms; None when it is unknown, expired or used."""
    if not _TOKEN.fullmatch(token):
        return None
    row = db.execute(
        "SELECT user_id FROM credentials.email_token WHERE token_sha = %s AND used_at IS NULL AND expires_at > %s",
        (_sha(token), now),
    ).fetchone()
    return row[0] if row else None


def use_email_token(db: Cursor[Any], token: str, now: datetime) -> bool:
    """Burn the token; False when somebody else was faster."""
    used = db.execute(
        "UPDATE credentials.email_token SET used_at = %s WHERE token_sha = %s AND used_at IS NULL", (now, _sha(token))
    )
    return used.rowcount > 0


def _sha(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
