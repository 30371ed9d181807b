"""A backup that is broken, forged, or of another site is named before anybody relies on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import zstandard

from domain.announces import encode
from domain.base import SYSTEM
from runtime import journal_archive
from runtime.backup import manifest
from runtime.backup.create import create
from runtime.backup.manifest import BackupBroken, BackupRefused, Manifest
from runtime.backup.restore import choose
from runtime.backup.verify import verify
from runtime.journal import heads, seal, segments
from tests.runtime.backups import Busy, brought_back
from tests.runtime.test_journal_archive import announced
from tracker_edge.segments import into_store

pytestmark = pytest.mark.engine


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty_it(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip, "was changed"),
        (truncate, "bytes instead of"),
        (empty_it, "bytes instead of"),
        (Path.unlink, "is missing"),
    ],
    ids=["flipped", "truncated", "emptied", "missing"],
)
@pytest.mark.parametrize(
    "file", ["store/es.event.copy.zst", "keys/keys.subject.copy.zst", "read/read.account.copy.zst"]
)
def test_a_damaged_file_is_named(busy: Busy, damage: Callable[[Path], None], said: str, file: str) -> None:
    made = busy.backup()
    damage(busy.root / made.name / file)
    with pytest.raises(BackupBroken, match=f"{made.name}: {file}.*{said}"):
        choose(busy.root)


def test_a_damaged_manifest_is_named(busy: Busy) -> None:
    made = busy.backup()
    truncate(busy.root / made.name / "manifest.json")
    with pytest.raises(BackupBroken, match=r"manifest\.json was changed"):
        choose(busy.root)
    (busy.root / made.name / "manifest.sha256").unlink()
    with pytest.raises(BackupBroken, match=r"manifest\.sha256: No such file"):
        choose(busy.root)


def forge(busy: Busy, made: Manifest, table: str, change: Callable[[bytes], bytes]) -> None:
    """Change the rows of a file and seal the backup again, as somebody with access to the folder may."""
    rows = made.rows(table)
    assert rows is not None
    folder = busy.root / made.name
    path = folder / rows.file.path
    data = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
    path.write_bytes(zstandard.ZstdCompressor().compress(change(data)))
    file = dataclasses.replace(rows.file, bytes=path.stat().st_size, sha256=manifest.sha256_of(path))
    changed = [dataclasses.replace(one, file=file) if one is rows else one for one in made.tables]
    for name in ("manifest.json", "manifest.sha256"):
        (folder / name).unlink()
    manifest.write(folder, dataclasses.replace(made, tables=changed))


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        (
            "es.event",
            lambda data: data.replace(b'"free"', b'"fred"').replace(b"cli", b"clj", 1),
            "chain|not what it was",
        ),
        ("es.command", lambda data: data[:19] + b"\xff\xff", "0 rows instead of"),
        ("read.user_group", lambda data: data.replace(b"member", b"nember", 1), "not what it was"),
        ("es.event", lambda data: data[:-9], "does not take it"),
    ],
    ids=["an event", "no commands", "a read table", "cut"],
)
def test_a_forged_backup_is_found_by_restoring_it(
    busy: Busy, table: str, change: Callable[[bytes], bytes], said: str
) -> None:
    made = busy.backup()
    forge(busy, made, table, change)
    with pytest.raises(BackupBroken, match=said):
        verify(choose(busy.root))


def test_a_backup_of_a_newer_program_is_refused(busy: Busy, empty: str) -> None:
    made = busy.backup()
    for name in ("manifest.json", "manifest.sha256"):
        (busy.root / made.name / name).unlink()
    newer = dataclasses.replace(made, migrations=[*made.migrations, "9999_later"])
    manifest.write(busy.root / made.name, newer)
    with pytest.raises(BackupRefused, match="newer version of this program: it has migration 9999_later"):
        brought_back(busy, empty)


def test_an_increment_needs_the_same_history_and_schema(busy: Busy) -> None:
    with pytest.raises(BackupRefused, match="no backup to add to"):
        busy.backup(since_last=True)
    busy.backup()
    with pytest.raises(BackupRefused, match="another history"):
        create(busy.url, busy.root, busy.data_dir, b"z" * 32, since_last=True)
    with psycopg.connect(busy.url) as owner:
        owner.execute("DELETE FROM public._yoyo_migration WHERE migration_id = (SELECT max(migration_id)"
                      " FROM public._yoyo_migration)")  # fmt: skip
    with pytest.raises(BackupRefused, match="the schema has changed"):
        busy.backup(since_last=True)


def test_a_backup_that_fails_leaves_nothing(busy: Busy, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device", "backups")

    monkeypatch.setattr("runtime.backup.create.manifest.write", full)
    with pytest.raises(OSError, match="No space left"):
        busy.backup()
    assert [path.name for path in busy.root.iterdir()] == [".lock"]


def test_archived_days_come_along_as_files(busy: Busy, empty: str, owner: Any, tmp_path: Path) -> None:
    platform = busy.platform
    with platform.pool.connection() as connection:
        head = next(one for one in heads(connection) if one.edge_id == "north")
    at = datetime.now(UTC) - timedelta(days=40)
    old = seal("north", head.seq + 1, 1, at, at, head.sha256, encode([announced(9, at)]))
    into_store(lambda: platform.store(SYSTEM, "edge"))([old])
    busy.announce("north")
    busy.members.catch_up()
    busy.backup()
    with platform.projector_pool.connection() as connection:
        journal_archive.archive(connection, busy.data_dir / "archive", at.date(), 30)
    busy.day()
    made = busy.backup(since_last=True)
    assert [Path(file.path).name for file in made.files] == [
        f"{at:%Y-%m-%d}.manifest.json",
        f"{at:%Y-%m-%d}.segments.zst",
    ]
    assert verify(choose(busy.root)).edges == 2
    data = tmp_path / "elsewhere"
    brought_back(busy, empty, data)
    with psycopg.connect(empty) as connection:
        assert [head.seq for head in journal_archive.verify_all(connection, data / "archive")] == [6, 4]
        assert [one.seq for one in segments(connection, "north")] == [1, 2, 4, 5, 6]
    with platform.projector_pool.connection() as connection:
        journal_archive.restore(connection, busy.data_dir / "archive", at.date())
    with pytest.raises(BackupRefused, match="came back from the archive"):
        busy.backup(since_last=True)
