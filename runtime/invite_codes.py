"""The secrets in invites: one for each that is open, of which the store has the SHA-256 only."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection, Cursor

from runtime.email_tokens import token_sha


def new_code(db: Cursor[Any], invite_id: UUID, now: datetime) -> str:
    """256 random bits as text; the code that the invite had before is void."""
    code = secrets.token_urlsafe(32)
    db.execute(
        "INSERT INTO credentials.invite_code (invite_id, code_sha, issued_at) VALUES (%s, %s, %s)"
        " ON CONFLICT (invite_id) DO UPDATE SET code_sha = EXCLUDED.code_sha, issued_at = EXCLUDED.issued_at",
        (invite_id, token_sha(code), now),
    )
    return code


def invite_of(db: Connection[Any], code: str) -> UUID | None:
    """The invite that the code opens."""
    row = db.execute("SELECT invite_id FROM credentials.invite_code WHERE code_sha = %s", (token_sha(code),)).fetchone()
    return row[0] if row else None


def issued_at(db: Connection[Any], invite_id: UUID) -> datetime | None:
    row = db.execute("SELECT issued_at FROM credentials.invite_code WHERE invite_id = %s", (invite_id,)).fetchone()
    return row[0] if row else None


def forget_code(db: Cursor[Any], invite_id: UUID) -> None:
    db.execute("DELETE FROM credentials.invite_code WHERE invite_id = %s", (invite_id,))
