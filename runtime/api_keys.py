"""API keys where they open something: their hashes beside the event store, by which a request is let in.

A key is 32 random bytes, so its plain SHA-256 gives nothing away. A row exists as long as the key opens, and a
while after it has expired.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import Connection, Cursor

#: What makes a leaked key findable by its looks.
PREFIX = "utp_"
#: `last_used_at` is as exact as this, so that a busy key costs one write a minute.
USE_NOTED_EVERY = timedelta(minutes=1)
#: Expired keys are shown to their owner for so long.
EXPIRED_KEEP = timedelta(days=30)

_KEY = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}", re.ASCII)


def new_key() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def key_sha(key: str) -> bytes | None:
    """What is stored of a key; None for what cannot be one."""
    return hashlib.sha256(key.encode()).digest() if _KEY.fullmatch(key) else None


def count_keys(db: Cursor[Any], user_id: UUID, now: datetime) -> int:
    """How many living keys the user has, while nobody else adds one: until this transaction ends, others wait here."""
    db.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"api keys of {user_id}",))
    row = db.execute(
        "SELECT count(*) FROM credentials.api_key WHERE user_id = %s AND (expires_at IS NULL OR expires_at > %s)",
        (user_id, now),
    ).fetchone()
    assert row is not None
    return int(row[0])


def keep_key(
    db: Cursor[Any],
    key_id: UUID,
    user_id: UUID,
    key: str,
    scopes: Collection[str],
    now: datetime,
    expires_at: datetime | None = None,
) -> None:
    """From the commit on the key opens what its scopes say, until it expires."""
    db.execute(
        "INSERT INTO credentials.api_key (key_id, user_id, key_sha, scopes, issued_at, expires_at)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (key_id, user_id, key_sha(key), list(scopes), now, expires_at),
    )


def living_keys(db: Connection[Any], user_id: UUID) -> list[UUID]:
    """The ids of the user's keys."""
    rows = db.execute("SELECT key_id FROM credentials.api_key WHERE user_id = %s ORDER BY key_id", (user_id,))
    return [row[0] for row in rows.fetchall()]


def forget_key(db: Cursor[Any], key_id: UUID) -> None:
    """From the commit on the key opens nothing."""
    db.execute("DELETE FROM credentials.api_key WHERE key_id = %s", (key_id,))


def forget_keys(db: Cursor[Any], user_id: UUID) -> None:
    """The same for every key of a user."""
    db.execute("DELETE FROM credentials.api_key WHERE user_id = %s", (user_id,))


def forget_expired_keys(db: Connection[Any], now: datetime) -> int:
    """Remove what expired long ago; returns how many keys."""
    return db.execute("DELETE FROM credentials.api_key WHERE expires_at < %s", (now - EXPIRED_KEEP,)).rowcount


def note_use(db: Connection[Any], key_id: UUID, now: datetime) -> None:
    """Remember that the key was used, unless another request did within the minute."""
    db.execute(
        "UPDATE credentials.api_key SET last_used_at = %s"
        " WHERE key_id = %s AND (last_used_at IS NULL OR last_used_at <= %s)",
        (now, key_id, now - USE_NOTED_EVERY),
    )
