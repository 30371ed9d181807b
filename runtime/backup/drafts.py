"""Folders of backups that are being made: hidden by a dot until everything in them is durable."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.backup.manifest import BackupRefused


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """One backup at a time in this folder; what killed ones have left is removed. Raises `BackupRefused`."""
    lock = os.open(root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for left in (path for path in root.glob(".*Z*") if path.is_dir()):
            shutil.rmtree(left)
        yield
    except BlockingIOError:
        raise BackupRefused(f"another backup is being made in {root}") from None
    finally:
        os.close(lock)
