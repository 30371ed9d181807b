"""Which password opens an account: argon2id, with a bound on how much of the machine all hashing together may take."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from domain.errors import DomainError

#: OWASP's floor for argon2id: 2 passes over 19 MiB, about 23 ms.
TIME_COST = 2
MEMORY_KIB = 19_456
#: Hashes computed at once (76 MiB); callers that wait for one of them; how long they wait.
AT_ONCE = 4
WAITING = 16
WAIT_S = 2.0


class Busy(DomainError):
    """Too many callers want the same costly thing at once; another try in a moment will do."""

    status: ClassVar[int] = 503
    retry_after_s: ClassVar[int] = 1


_hasher = PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=1)
#: Verified in place of the hash that a name without an account does not have, so that both cost the same.
_DUMMY = _hasher.hash("no account has this password")
_seats = threading.BoundedSemaphore(AT_ONCE + WAITING)
_stoves = threading.BoundedSemaphore(AT_ONCE)


def hash_password(password: str) -> str:
    """The text to store; raises `Busy`."""
    with turn():
        return _hasher.hash(password)


def verify_password(stored: str | None, password: str) -> bool:
    """Whether the password is right; None (no such account) costs as much as a wrong one. Raises `Busy`."""
    with turn():
        try:
            return _hasher.verify(stored or _DUMMY, password) and stored is not None
        except (VerificationError, InvalidHashError):
            return False


def verify_dummy(password: str) -> None:
    """Take the time of a verification; raises `Busy`."""
    verify_password(None, password)


def needs_rehash(stored: str) -> bool:
    """Whether the hash was made with other costs than today's."""
    return _hasher.check_needs_rehash(stored)


@contextmanager
def turn() -> Iterator[None]:
    """Within it runs what takes long for its caller; raises `Busy`."""
    if not _seats.acquire(blocking=False):
        raise Busy("too many sign-ins at this moment")
    try:
        if not _stoves.acquire(timeout=WAIT_S):
            raise Busy("too many sign-ins at this moment")
        try:
            yield
        finally:
            _stoves.release()
    finally:
        _seats.release()
