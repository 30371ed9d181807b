"""How a backup is made: one snapshot of everything, between two facts, while the site goes on."""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection, sql
from psycopg.errors import LockNotAvailable

from runtime.backup import copying, erased, manifest
from runtime.backup.drafts import alone
from runtime.backup.manifest import BackupRefused, EdgeHead, File, Manifest
from runtime.backup.tables import SUBJECTS, Mode, Part, Table, migrations, tables
from runtime.journal import heads

#: Appends wait while the snapshot is taken, for milliseconds; who does not get the lock lets them go on.
LOCK_TIMEOUT = "1s"
LOCK_ATTEMPTS = 20
#: A blob belongs to no position. What was made within this time before the last backup may not have been in it yet.
BLOB_OVERLAP = "1 hour"

Progress = Callable[[str, int], None]


def create(
    url: str,
    root: Path,
    data_dir: Path,
    key_encryption: bytes,
    *,
    keys_url: str = "",
    since_last: bool = False,
    progress: Progress = lambda table, rows: None,
) -> Manifest:
    """Makes a backup below `root`: a full one, or what is new since the last one. Raises `BackupRefused`.

    `keys_url` is of the database that has the keys of persons, where that is not the site's.

    What is not finished is not there: the folder gets its name when everything in it is durable.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(alone(root))
        connection, position = stack.enter_context(_snapshot(url))
        # After the facts: whoever is in them had a key before.
        keys = connection
        if keys_url:
            keys = stack.enter_context(_reading(keys_url))
            _begin(keys)
        past = _past(connection, root, fingerprint(key_encryption)) if since_last else []
        now = datetime.now(UTC)
        name = now.strftime("%Y%m%dT%H%M%S.%fZ") + ("-increment" if past else "-full")
        draft = root / f".{name}"
        draft.mkdir(mode=0o700)
        try:
            made = _Draft(connection, keys, draft, past, progress).write(
                name, now, position, fingerprint(key_encryption)
            )
            made = _with_files(made, draft, data_dir / "archive", past)
            manifest.write(draft, made)
            erased.add(root, erased.destroyed(keys))
            draft.rename(root / name)
            _sync(root)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    return made


def fingerprint(key_encryption: bytes) -> str:
    """Tells two keys apart and tells nothing about either."""
    return hmac.digest(key_encryption, b"backup fingerprint", hashlib.sha256).hex()[:16]


def chain_of(root: Path, last: Manifest) -> list[Manifest]:
    """The full backup and the increments that lead to `last`, which is the last of them."""
    found = [last]
    while (previous := found[0].previous) is not None:
        found.insert(0, manifest.read(root, previous))
    return found


class _Draft:
    """The tables of one backup, on their way into its folder."""

    def __init__(
        self,
        connection: Connection[Any],
        keys: Connection[Any],
        folder: Path,
        past: list[Manifest],
        progress: Progress,
    ) -> None:
        self.connection = connection
        self.keys = keys
        self.folder = folder
        self.past = past
        self.progress = progress

    def write(self, name: str, now: datetime, position: int, key_fingerprint: str) -> Manifest:
        previous = self.past[-1] if self.past else None
        written, chain = self._tables(previous)
        last = self._row("SELECT event_id::text, position FROM es.event ORDER BY position DESC LIMIT 1")
        days = self._row("SELECT min(day)::text, max(day)::text FROM journal.segment")
        return Manifest(
            name=name,
            previous=previous.name if previous else None,
            taken_at=now,
            server_version=self.connection.info.server_version,
            migrations=migrations(self.connection),
            after=previous.position if previous else 0,
            position=position,
            last_event=last[0] if last else None,
            last_event_position=last[1] if last else 0,
            chain=chain.hex(),
            edges=[EdgeHead(one.edge_id, one.seq, one.sha256.hex()) for one in heads(self.connection)],
            days=[day for day in days or () if day],
            archived=_archived(self.connection),
            erased=sorted(map(str, erased.destroyed(self.keys))),
            key_fingerprint=key_fingerprint,
            tables=written,
            files=[],
        )

    def _tables(self, previous: Manifest | None) -> tuple[list[manifest.Rows], bytes]:
        written, end = [], bytes.fromhex(previous.chain) if previous else copying.GENESIS
        for table in tables(self.connection):
            if previous and table.mode is Mode.FULL:
                continue
            chain = end if table.name == "es.event" else None
            rows, link = self._table(table, previous, chain)
            end = end if chain is None else link
            written.append(rows)
            if table.name == SUBJECTS:
                subjects = Table(SUBJECTS, Part.STORE, Mode.LATEST, ("subject_id", "created_at"), table.order)
                written.append(self._table(subjects, previous, None)[0])
        return written, end

    def _table(self, table: Table, previous: Manifest | None, chain: bytes | None) -> tuple[manifest.Rows, bytes]:
        folder = self.folder / table.part
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{table.name}.copy.zst"
        new = self._new(table, previous) if previous and table.mode is Mode.GROWS else sql.SQL("true")
        with (self.keys if table.name == SUBJECTS else self.connection).cursor() as cursor:
            rows = copying.written(cursor, table, path, new, chain)
        before = previous.rows(table.name) if previous and table.mode is Mode.GROWS else None
        total = rows.count + (before.total if before else 0)
        if before and table.name == "es.blob":
            total = self._row("SELECT count(*) FROM es.blob")[0]  # type: ignore[index]
        self.progress(table.name, rows.count)
        file = _file(path, self.folder, table.part)
        columns = list(table.columns)
        said = manifest.Rows(table.name, table.mode, columns, file, rows.count, total, rows.sha256)
        return said, rows.chain

    def _new(self, table: Table, previous: Manifest) -> sql.Composable:
        """Which rows of a growing table the previous backup does not have."""
        if table.name == "es.event":
            return sql.SQL("position > {}").format(previous.position)
        if table.name == "es.command":
            return sql.SQL("last_position > {}").format(previous.position)
        if table.name == "es.blob":
            return sql.SQL("created_at > {}::timestamptz - {}::interval").format(previous.taken_at, BLOB_OVERLAP)
        if table.name == "es.block":  # numbered without a hole
            before = previous.rows(table.name)
            return sql.SQL("no > {}").format(before.total if before else 0)
        known = [sql.SQL("edge_id = {} AND seq <= {}").format(head.edge_id, head.seq) for head in previous.edges]
        return sql.SQL("NOT ({})").format(sql.SQL(" OR ").join(known)) if known else sql.SQL("true")

    def _row(self, query: Any) -> tuple[Any, ...] | None:
        return self.connection.execute(query).fetchone()


@contextmanager
def _snapshot(url: str) -> Iterator[tuple[Connection[Any], int]]:
    """A connection that sees exactly the facts up to the position that is given with it, and lets none go into files.

    Nobody appends between the position and the snapshot of the other connection.
    """
    with _reading(url) as reading, psycopg.connect(url) as locking:
        locking.execute("SELECT set_config('lock_timeout', %s, false)", (LOCK_TIMEOUT,))
        locking.commit()
        position = _hold_appends(locking)
        # Before there is a snapshot: a partition that is dropped after it is in neither the tables nor the files of it.
        reading.execute("LOCK TABLE es.event, journal.segment IN ACCESS SHARE MODE")
        _begin(reading)
        locking.rollback()
        yield reading, position


@contextmanager
def _reading(url: str) -> Iterator[Connection[Any]]:
    """A connection whose first statement takes the snapshot that all later ones see."""
    with psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield connection


def _begin(connection: Connection[Any]) -> None:
    for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
        connection.execute("SELECT set_config(%s, '0', false)", (setting,))
    connection.execute("SET TIME ZONE 'UTC'")


def _hold_appends(connection: Connection[Any]) -> int:
    """Lets nobody append until this transaction ends; returns the last position, up to which all is committed.

    Raises `BackupRefused`.
    """
    for _ in range(LOCK_ATTEMPTS):
        try:
            row = connection.execute("SELECT es.hold_appends()").fetchone()
        except LockNotAvailable:
            connection.rollback()
            continue
        assert row is not None
        return int(row[0])
    raise BackupRefused("a long transaction holds es.event, try again later")


def _past(connection: Connection[Any], root: Path, key_fingerprint: str) -> list[Manifest]:
    """The backups that an increment adds to. Raises `BackupRefused` when the site is not their continuation."""
    known = manifest.read_all(root)
    if not known:
        raise BackupRefused(f"{root} has no backup to add to: make a full one first")
    last = known[-1]
    if last.migrations != migrations(connection):
        raise BackupRefused(f"the schema has changed since {last.name}: make a full backup")
    found = connection.execute(
        "SELECT event_id::text FROM es.event WHERE position = %s", (last.last_event_position,)
    ).fetchone()
    if (found[0] if found else None) != last.last_event or last.key_fingerprint != key_fingerprint:
        raise BackupRefused(f"{last.name} is of another history than this site's: make a full backup")
    if set(last.archived) - set(_archived(connection)):
        raise BackupRefused(f"something came back from the archive after {last.name}: make a full backup")
    if any(name.startswith("events ") for name in set(_archived(connection)) - set(last.archived)):
        raise BackupRefused(f"events were archived after {last.name}: make a full backup")
    return chain_of(root, last)


def _archived(connection: Connection[Any]) -> list[str]:
    rows = connection.execute(
        "SELECT edge_id || ' ' || day FROM journal.archived_day"
        " UNION ALL SELECT 'events ' || first_position FROM es.archived_events ORDER BY 1"
    ).fetchall()
    return [str(row[0]) for row in rows]


def _with_files(made: Manifest, draft: Path, source: Path, past: list[Manifest]) -> Manifest:
    """The same with the archive's files that no backup before it has, copied."""
    known = {(file.path, file.sha256) for one in past for file in one.files}
    copied = []
    for path in sorted(path for path in source.rglob("*") if path.is_file() and path.suffix != ".part"):
        target = draft / Part.FILES / path.relative_to(source)
        if (str(target.relative_to(draft)), manifest.sha256_of(path)) in known:
            continue
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        target.chmod(0o600)
        with target.open("rb") as file:
            os.fsync(file.fileno())
        copied.append(_file(target, draft, Part.FILES))
    return Manifest(**{**vars(made), "files": copied})


def _file(path: Path, folder: Path, part: Part) -> File:
    return File(str(path.relative_to(folder)), part, path.stat().st_size, manifest.sha256_of(path))


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(handle)
    os.close(handle)
