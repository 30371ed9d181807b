"""Brings a database to the newest schema; several processes may ask at once."""

from __future__ import annotations

from importlib.resources import files
from urllib.parse import urlsplit, urlunsplit

from yoyo import get_backend, read_migrations
from yoyo.migrations import MigrationList


def migrate(owner_url: str, folder: str = "") -> int:
    """Apply what is missing, in order; returns how many migrations were applied. `folder` is `keys` for the database
    that has the keys of persons only."""
    with get_backend(_yoyo_url(owner_url)) as backend:
        with backend.lock():
            todo = backend.to_apply(_migrations(folder))
            backend.apply_migrations(todo)
        return len(todo)


def rollback(owner_url: str, count: int) -> int:
    """Undo the last `count` migrations; returns how many were undone."""
    with get_backend(_yoyo_url(owner_url)) as backend:
        with backend.lock():
            todo = backend.to_rollback(_migrations())[:count]
            backend.rollback_migrations(todo)
        return len(todo)


def _migrations(folder: str = "") -> MigrationList:
    """The SQL files; yoyo would take the package's own `__init__.py` for one more."""
    return read_migrations(str(files("migrations").joinpath(folder))).filter(
        lambda migration: migration.id != "__init__"
    )


def _yoyo_url(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(scheme="postgresql+psycopg"))
