"""Data keys of persons: one key each, wrapped by the site's key, so that destroying one erases one person.

Ciphertext is AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce, bound by its associated data to the event and
field that hold it, so that it cannot be moved to another place and still decrypt.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from base64 import b64decode, b64encode
from typing import Any, Protocol
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg import Connection
from psycopg_pool import ConnectionPool

#: What personal text reads as once its key is destroyed.
ERASED = "erased"
#: Marks ciphertext and its scheme in an event's JSON.
PREFIX = "~1:"
#: A destroyed key is forgotten by every process within this time.
CACHE_S = 60.0
CACHE_MAX = 50_000


class Keyring(Protocol):
    """Encrypts personal text under its person's key."""

    def seal(self, subject: UUID, text: str, context: str) -> str: ...

    def open(self, subject: UUID, sealed: str, context: str) -> str: ...


class StoredKeyring:
    """Data keys in `keys.subject`, cached for `CACHE_S` seconds."""

    def __init__(self, pool: ConnectionPool[Connection[Any]], site_key: bytes) -> None:
        self._pool = pool
        self._site = AESGCM(hashlib.sha256(b"wrap" + site_key).digest())
        self._cache: dict[UUID, tuple[AESGCM | None, float]] = {}
        self._lock = threading.Lock()

    def seal(self, subject: UUID, text: str, context: str) -> str:
        key = self._key(subject) or self._new_key(subject)
        nonce = os.urandom(12)
        return PREFIX + b64encode(nonce + key.encrypt(nonce, text.encode(), context.encode())).decode()

    def open(self, subject: UUID, sealed: str, context: str) -> str:
        key = self._key(subject)
        if key is None:
            return ERASED
        raw = b64decode(sealed.removeprefix(PREFIX))
        return key.decrypt(raw[:12], raw[12:], context.encode()).decode()

    def _key(self, subject: UUID) -> AESGCM | None:
        cached = self._cache.get(subject)
        if cached and cached[1] > time.monotonic():
            return cached[0]
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT wrapped_key FROM keys.subject WHERE subject_id = %s", (subject,)
            ).fetchone()
        key = self._unwrap(subject, bytes(row[0])) if row and row[0] else None
        if row:
            self._remember(subject, key)
        return key

    def _new_key(self, subject: UUID) -> AESGCM:
        nonce = os.urandom(12)
        wrapped = nonce + self._site.encrypt(nonce, AESGCM.generate_key(256), subject.bytes)
        with self._pool.connection() as connection:
            connection.execute(
                "INSERT INTO keys.subject (subject_id, wrapped_key) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (subject, wrapped),
            )
        key = self._key(subject)
        if key is None:
            raise RuntimeError("the data key of this person is destroyed: nothing more can be recorded about them")
        return key

    def _unwrap(self, subject: UUID, wrapped: bytes) -> AESGCM:
        return AESGCM(self._site.decrypt(wrapped[:12], wrapped[12:], subject.bytes))

    def _remember(self, subject: UUID, key: AESGCM | None) -> None:
        with self._lock:
            if len(self._cache) >= CACHE_MAX:
                self._cache.clear()
            self._cache[subject] = (key, time.monotonic() + CACHE_S)


class Sealer:
    """Encrypts secrets of the site itself (TOTP seeds, successors of refresh tokens) under one derived key."""

    def __init__(self, site_key: bytes, purpose: str) -> None:
        self._key = AESGCM(hashlib.sha256(purpose.encode() + site_key).digest())

    def seal(self, plain: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._key.encrypt(nonce, plain, None)

    def open(self, sealed: bytes) -> bytes:
        return self._key.decrypt(sealed[:12], sealed[12:], None)
