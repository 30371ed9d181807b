"""What a backup says about itself, and whether its files are what it says."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from runtime.backup.tables import Mode, Part

_NAME = "manifest.json"
_SEAL = "manifest.sha256"


class BackupRefused(Exception):
    """What was asked for cannot be done, and nothing was changed; `str(error)` is one line that says why."""


class BackupBroken(Exception):
    """A backup is not what was written; `str(error)` is one line that names the backup and the piece."""


@dataclass(frozen=True)
class File:
    """One file of a backup; `path` is relative to the backup."""

    path: str
    part: Part
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Rows:
    """A table's rows in a file: how many, and their hash before compression. `total` counts the whole table."""

    table: str
    mode: Mode
    columns: list[str]
    file: File
    rows: int
    total: int
    content_sha256: str


@dataclass(frozen=True)
class EdgeHead:
    """The end of an edge's journal in the store; `sha256` is hex."""

    edge_id: str
    seq: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """One backup. It has every fact up to `position`; a `previous` one is needed for those up to `after`."""

    name: str
    previous: str | None
    taken_at: datetime
    server_version: int
    migrations: list[str]
    after: int
    position: int
    last_event: str | None  # the id of the last fact: which history this is
    last_event_position: int
    chain: str  # hex: each event's row hashed with the hash before it, from the first one on
    edges: list[EdgeHead]
    days: list[str]  # the first and the last day of announces in the table
    archived: list[str]  # `EDGE DAY` of announces that lay in files
    erased: list[str]  # whose keys were destroyed by then
    key_fingerprint: str  # of the key that wraps the data keys
    tables: list[Rows]
    files: list[File]

    @property
    def full(self) -> bool:
        return self.previous is None

    def rows(self, table: str, part: Part | None = None) -> Rows | None:
        """What the backup has of the table, in that part of it."""
        return next((r for r in self.tables if r.table == table and part in (None, r.file.part)), None)

    def all_files(self) -> list[File]:
        return [*(rows.file for rows in self.tables), *self.files]


def has(root: Path, manifest: Manifest, part: Part) -> bool:
    """Whether the part is there: it may have been deleted before the others."""
    return (root / manifest.name / part).is_dir() or all(file.part is not part for file in manifest.all_files())


def write(directory: Path, manifest: Manifest) -> None:
    """Beside its files, durable."""
    text = msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"
    for name, data in ((_NAME, text), (_SEAL, hashlib.sha256(text).hexdigest().encode() + b"\n")):
        with os.fdopen(os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def read(root: Path, name: str) -> Manifest:
    """The manifest of a backup. Raises `BackupRefused` when there is none of the name, `BackupBroken`."""
    directory = root / name
    if Path(name).name != name or not directory.is_dir():
        raise BackupRefused(f"{root} has no backup called {name!r}")
    try:
        text, seal = (directory / _NAME).read_bytes(), (directory / _SEAL).read_text().strip()
    except OSError as error:
        raise BackupBroken(f"{name}: {Path(error.filename).name}: {error.strerror}") from None
    if hashlib.sha256(text).hexdigest() != seal:
        raise BackupBroken(f"{name}: {_NAME} was changed")
    try:
        return msgspec.json.decode(text, type=Manifest)
    except msgspec.ValidationError:
        raise BackupRefused(f"{name}: made by another version of this program") from None


def read_all(root: Path) -> list[Manifest]:
    """Every backup, oldest first; those being made are not there yet. Raises `BackupBroken`."""
    names = [path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted((read(root, name) for name in names), key=lambda one: (one.taken_at, one.position))


def check_files(root: Path, manifest: Manifest, parts: Iterable[Part]) -> None:
    """Raises `BackupBroken` naming the first file that is missing or not what was written."""
    wanted = set(parts)
    for file in manifest.all_files():
        if file.part not in wanted:
            continue
        path, where = root / manifest.name / file.path, f"{manifest.name}: {file.path}"
        if not path.is_file():
            raise BackupBroken(f"{where} is missing")
        if path.stat().st_size != file.bytes:
            raise BackupBroken(f"{where} has {path.stat().st_size} bytes instead of {file.bytes}")
        if sha256_of(path) != file.sha256:
            raise BackupBroken(f"{where} was changed")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def forget(root: Path, manifest: Manifest, part: Part) -> bool:
    """Deletes a part of a backup, for good; returns whether there was one."""
    directory = root / manifest.name / part
    if not directory.is_dir():
        return False
    shutil.rmtree(directory)
    return True


def delete(root: Path, manifest: Manifest) -> None:
    """Deletes the whole backup; half-deleted it is none."""
    gone = root / f".{manifest.name}"
    (root / manifest.name).rename(gone)
    shutil.rmtree(gone)
