"""Data keys of persons: one key each, wrapped by the site's key, so that destroying one erases one person.

Keys are cached, and every process asks again and again which ones were destroyed lately: a key that it may still know
it does not use any more `LOOK_S` after the end of the key, whether or not the store answers.

Ciphertext is AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce, bound by its associated data to the event and
field that hold it, so that it cannot be moved to another place and still decrypt. Where data of thousands of persons
lie side by side, a key derived from each person's is used instead, all of them fetched at once.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.base import ERASED
from domain.errors import Conflict

#: Marks ciphertext and its scheme in an event's JSON.
PREFIX = "~1:"
#: How long a process goes on without asking which keys were destroyed.
LOOK_S = 0.5
#: It asks for those of this time; one that has been silent for longer than half of it forgets every key instead.
LATELY_S = 60.0
#: When nobody uses a destroyed key any more: whoever looked just before its end has finished what it began then.
FORGOTTEN_AFTER = timedelta(seconds=1)
CACHE_MAX = 50_000
#: Of derived keys, which take a fifth of the memory.
DERIVED_MAX = 250_000
#: Keys per statement.
PAGE = 5_000


#: A key of 32 bytes of each of these persons (by the 16 bytes of the id); None of whom there is none.
ReadKeys = Callable[[Sequence[bytes]], Sequence[bytes | None]]


def nobodys(subjects: Sequence[bytes]) -> Sequence[None]:
    """The keys for readers who may not open anything."""
    return [None] * len(subjects)


class Keyring(Protocol):
    """Encrypts personal text under its person's key."""

    def seal(self, subject: UUID, text: str, context: str) -> str: ...

    def open(self, subject: UUID, sealed: str, context: str) -> str: ...

    def fetch(self, subjects: Collection[UUID]) -> None: ...


class KeyDestroyed(Conflict):
    """The person is erased: nothing more can be recorded about them."""


class StoredKeyring:
    """Data keys in `keys.subject`, cached until they are destroyed."""

    def __init__(self, pool: ConnectionPool[Connection[Any]], site_key: bytes) -> None:
        self._pool = pool
        self._site = AESGCM(hashlib.sha256(b"wrap" + site_key).digest())
        self._cache: dict[UUID, AESGCM | None] = {}
        self._derived: dict[bytes, bytes | None] = {}  # by the 16 bytes of the id
        self._lock = threading.Lock()
        self._looked_at = -LATELY_S

    def seal(self, subject: UUID, text: str, context: str) -> str:
        return PREFIX + b64encode(self.seal_bytes(subject, text.encode(), context)).decode()

    def open(self, subject: UUID, sealed: str, context: str) -> str:
        plain = self.open_bytes(subject, b64decode(sealed.removeprefix(PREFIX)), context)
        return ERASED if plain is None else plain.decode()

    def fetch(self, subjects: Collection[UUID]) -> None:
        """Look up the keys of these persons at once, who are about to be asked for one by one."""
        self._look()
        wanted = [subject for subject in subjects if subject not in self._cache]
        for start in range(0, len(wanted), PAGE):
            with self._pool.connection() as connection:
                rows = connection.execute(
                    "SELECT subject_id, wrapped_key FROM keys.subject WHERE subject_id = ANY(%s)",
                    (wanted[start : start + PAGE],),
                    binary=True,
                ).fetchall()
            for subject, wrapped in rows:
                self._remember(subject, AESGCM(self._unwrapped(subject, wrapped)) if wrapped else None)

    def seal_bytes(self, subject: UUID, plain: bytes, context: str) -> bytes:
        """Raises `KeyDestroyed`."""
        key = self._key(subject) or self._new_key(subject)
        nonce = os.urandom(12)
        return nonce + key.encrypt(nonce, plain, context.encode())

    def open_bytes(self, subject: UUID, sealed: bytes, context: str) -> bytes | None:
        """What was sealed; None once the key is destroyed."""
        key = self._key(subject)
        return None if key is None else key.decrypt(sealed[:12], sealed[12:], context.encode())

    def read_keys(self, subjects: Sequence[bytes]) -> list[bytes | None]:
        """A key of 32 bytes of each person (by the 16 bytes of the id), derived from the person's data key.

        None for whose key is destroyed, and for who has none yet.
        """
        known = self._known(subjects)
        return [known.get(subject) for subject in subjects]

    def write_keys(self, subjects: Sequence[bytes]) -> list[bytes]:
        """As `read_keys`, to write with: who has no key gets one, and for a destroyed one there is one nobody has."""
        known = self._known(subjects)
        if new := set(subjects) - known.keys():
            self._make_keys(UUID(bytes=subject) for subject in sorted(new))  # as others do who meet the same
            known |= self._known(list(new))
        return [known[subject] or os.urandom(32) for subject in subjects]

    def destroy(self, subject: UUID) -> timedelta:
        """End the key, or see that it is ended; returns how long ago. After `FORGOTTEN_AFTER` no process uses it."""
        with self._pool.connection() as connection:
            row = connection.execute(
                "INSERT INTO keys.subject (subject_id, destroyed_at) VALUES (%s, clock_timestamp())"
                " ON CONFLICT (subject_id) DO UPDATE SET wrapped_key = NULL,"
                " destroyed_at = coalesce(subject.destroyed_at, excluded.destroyed_at)"
                " RETURNING clock_timestamp() - destroyed_at",
                (subject,),
            ).fetchone()
        assert row is not None
        age: timedelta = row[0]
        self._remember(subject, None)
        return age

    def _key(self, subject: UUID) -> AESGCM | None:
        self._look()
        with suppress(KeyError):
            return self._cache[subject]
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT wrapped_key FROM keys.subject WHERE subject_id = %s", (subject,)
            ).fetchone()
        key = AESGCM(self._unwrapped(subject, bytes(row[0]))) if row and row[0] else None
        if row:
            self._remember(subject, key)
        return key

    def _look(self) -> None:
        """Forget the keys that were destroyed since the last look, when that is some time ago."""
        if time.monotonic() - self._looked_at < LOOK_S:
            return
        with self._lock:
            now = time.monotonic()  # before asking: what is destroyed meanwhile is for the next look
            silence = now - self._looked_at
            if silence < LOOK_S:  # another thread has looked
                return
            with self._pool.connection() as connection:
                rows = connection.execute(
                    "SELECT subject_id FROM keys.subject WHERE destroyed_at > now() - make_interval(secs => %s)",
                    (LATELY_S,),
                ).fetchall()
            if silence > LATELY_S / 2:
                self._cache.clear()
                self._derived.clear()
            self._cache.update(dict.fromkeys((subject for (subject,) in rows), None))
            self._derived.update(dict.fromkeys((subject.bytes for (subject,) in rows), None))
            self._looked_at = now

    def _known(self, subjects: Sequence[bytes]) -> dict[bytes, bytes | None]:
        """The derived keys of those who have, or had, a key."""
        self._look()
        derived = self._derived
        with self._lock:  # nobody clears it meanwhile
            known = {subject: derived[subject] for subject in subjects if subject in derived}
        wanted = [UUID(bytes=subject) for subject in set(subjects) - known.keys()]
        for start in range(0, len(wanted), PAGE):
            with self._pool.connection() as connection:
                rows = connection.execute(
                    "SELECT subject_id, wrapped_key FROM keys.subject WHERE subject_id = ANY(%s)",
                    (wanted[start : start + PAGE],),
                    binary=True,
                ).fetchall()
            found = {subject.bytes: wrapped and self._derived_key(subject, wrapped) for subject, wrapped in rows}
            known |= found
            with self._lock:
                if len(derived) + len(found) > DERIVED_MAX:
                    derived.clear()
                derived.update(found)
        return known

    def _derived_key(self, subject: UUID, wrapped: bytes) -> bytes:
        return hashlib.blake2b(b"columns", key=self._unwrapped(subject, wrapped), digest_size=32).digest()

    def _make_keys(self, subjects: Iterable[UUID]) -> None:
        """One for each, unless there is one or there was one."""
        with self._pool.connection() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO keys.subject (subject_id, wrapped_key) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                [(subject, self._wrapped(subject, AESGCM.generate_key(256))) for subject in subjects],
            )

    def _new_key(self, subject: UUID) -> AESGCM:
        self._make_keys([subject])
        key = self._key(subject)
        if key is None:
            raise KeyDestroyed("this person is erased: nothing more can be recorded about them")
        return key

    def _wrapped(self, subject: UUID, key: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._site.encrypt(nonce, key, subject.bytes)

    def _unwrapped(self, subject: UUID, wrapped: bytes) -> bytes:
        return self._site.decrypt(wrapped[:12], wrapped[12:], subject.bytes)

    def _remember(self, subject: UUID, key: AESGCM | None) -> None:
        with self._lock:
            if len(self._cache) >= CACHE_MAX:
                self._cache.clear()
            self._cache[subject] = key
            if key is None:
                self._derived[subject.bytes] = None


class Sealer:
    """Encrypts secrets of the site itself (TOTP seeds, successors of refresh tokens) under one derived key."""

    def __init__(self, site_key: bytes, purpose: str) -> None:
        self._key = AESGCM(hashlib.sha256(purpose.encode() + site_key).digest())

    def seal(self, plain: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._key.encrypt(nonce, plain, None)

    def open(self, sealed: bytes) -> bytes:
        return self._key.decrypt(sealed[:12], sealed[12:], None)
