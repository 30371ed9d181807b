"""Tokens that only whoever reads a mailbox sees: what a link in a mail proves, once and for a while.

The store has their SHA-256 only; 256 random bits need no slower hash.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection, Cursor

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
#: Tokens that are used or too old are deleted after so long.
KEPT = timedelta(days=1)


class Bearer(NamedTuple):
    """Whom the token was sent to, and what it is about beside that."""

    user_id: UUID
    subject_id: UUID | None


def new_token(
    db: Cursor[Any], user_id: UUID, purpose: str, now: datetime, life: timedelta, subject_id: UUID | None = None
) -> str:
    """A token for one purpose; those from before work on, unless the caller voids them."""
    token = secrets.token_urlsafe(32)
    db.execute(
        "INSERT INTO credentials.email_token (token_sha, user_id, purpose, subject_id, issued_at, expires_at)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (token_sha(token), user_id, purpose, subject_id, now, now + life),
    )
    return token


def bearer(db: Connection[Any], token: str, purpose: str, now: datetime) -> Bearer | None:
    """None when the token is unknown, of another purpose, expired or used."""
    if not _TOKEN.fullmatch(token):
        return None
    row = db.execute(
        "SELECT user_id, subject_id FROM credentials.email_token"
        " WHERE token_sha = %s AND purpose = %s AND used_at IS NULL AND expires_at > %s",
        (token_sha(token), purpose, now),
    ).fetchone()
    return Bearer(*row) if row else None


def use_token(db: Cursor[Any], token: str, now: datetime) -> bool:
    """Burn the token; False when somebody else was faster."""
    used = db.execute(
        "UPDATE credentials.email_token SET used_at = %s WHERE token_sha = %s AND used_at IS NULL",
        (now, token_sha(token)),
    )
    return used.rowcount > 0


def void_tokens(db: Cursor[Any], user_id: UUID, *purposes: str, but: str = "") -> None:
    """None of the user's tokens for these purposes works any more, `but` one."""
    db.execute(
        "DELETE FROM credentials.email_token"
        " WHERE user_id = %s AND purpose = ANY (%s) AND used_at IS NULL AND token_sha <> %s",
        (user_id, list(purposes), token_sha(but)),
    )


def issued_since(db: Cursor[Any], user_id: UUID, purpose: str, since: datetime) -> bool:
    """Whether the user was sent such a token lately."""
    row = db.execute(
        "SELECT EXISTS (SELECT FROM credentials.email_token WHERE user_id = %s AND purpose = %s AND issued_at > %s)",
        (user_id, purpose, since),
    ).fetchone()
    return row == (True,)


def forget_old_tokens(db: Connection[Any], now: datetime) -> None:
    db.execute("DELETE FROM credentials.email_token WHERE least(expires_at, used_at) < %s", (now - KEPT,))


def token_sha(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
