"""The secrets in invites: one for each that is open, of which the store has the SHA-256 only."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection, Cursor

from runtime.email_tokens import token_sha


def new_code() -> str:
    """256 random bits as text."""
    return secrets.token_urlsafe(32)


def issue_code(db: Cursor[Any], invite_id: UUID, code: str, now: datetime, *, sent: bool) -> None:
    """Let the code open the invite in place of the one before, which stays where the mail with the new one is not
    `sent`."""
    db.execute(
        "INSERT INTO credentials.invite_code AS c (invite_id, code_sha, issued_at) VALUES (%(id)s, %(sha)s, %(now)s)"
        " ON CONFLICT (invite_id) DO UPDATE SET issued_at = EXCLUDED.issued_at,"
        " code_sha = CASE WHEN %(sent)s THEN EXCLUDED.code_sha ELSE c.code_sha END",
        {"id": invite_id, "sha": token_sha(code), "now": now, "sent": sent},
    )


def invite_of(db: Connection[Any], code: str) -> UUID | None:
    """The invite that the code opens."""
    row = db.execute("SELECT invite_id FROM credentials.invite_code WHERE code_sha = %s", (token_sha(code),)).fetchone()
    return row[0] if row else None


def issued_at(db: Connection[Any], invite_id: UUID) -> datetime | None:
    row = db.execute("SELECT issued_at FROM credentials.invite_code WHERE invite_id = %s", (invite_id,)).fetchone()
    return row[0] if row else None


def forget_code(db: Cursor[Any], invite_id: UUID) -> None:
    db.execute("DELETE FROM credentials.invite_code WHERE invite_id = %s", (invite_id,))
