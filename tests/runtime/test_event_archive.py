"""Old events leave the table for files, and nobody who reads the log can tell; and none is ever in neither place."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from runtime.append_only import changeable
from runtime.backup.create import create
from runtime.backup.manifest import BackupRefused
from runtime.backup.restore import choose, restore
from runtime.cli.main import EXPECTED
from runtime.embedded import Postgres
from runtime.event_archive import move
from runtime.event_archive.archive import pieces
from runtime.event_archive.files import ArchiveBroken, FrameReader, FrameWriter
from runtime.event_archive.move import ArchiveRefused
from runtime.facts import FactLog
from runtime.platform import Platform
from runtime.rebuild import rebuild, verify
from runtime.rebuild.past import position_at
from runtime.settings import Settings
from tests.audit_chain.sealed import sealed, verified
from tests.conftest import SECRETS, MakePlatform, as_user
from tests.engines import drop_database, fresh_database
from tests.given import Given, everything
from tests.runtime.archived import FIRST, Shell, Site, thirty_events
from tests.runtime.notes import KINDS, Note
from tests.runtime.test_partitions import SIZE, Owner

pytestmark = pytest.mark.engine


@pytest.fixture
def site(make_platform: MakePlatform, owner: Owner) -> Site:
    return thirty_events(make_platform, owner)


def test_nobody_who_reads_can_tell_where_events_lie(site: Site) -> None:
    before, head = site.seen(), verified(site.notes).head
    for bound in (FIRST + SIZE, 2**62):
        assert site.archive(bound)
        after = site.seen()
        for name, value in before.items():
            assert after[name] == value, name
        assert verified(site.notes, archive=site.notes.history.archive).head == head
    assert [row[0] for row in site.in_table()] == list(range(FIRST + 24, FIRST + 30)), (
        "the partition that is written to"
    )
    assert len(before["batches"]) == 30
    of_parts = [{fact.stream_id for fact in facts} for facts in before["by parts"] if facts]
    assert sum(map(len, before["by parts"])) == 30
    assert sum(map(len, of_parts)) == len(set(site.streams)), "each stream is of one part"
    assert len(of_parts) > 1


def test_streams_go_on_from_their_archived_events(site: Site) -> None:
    site.archive()
    for stream_id in site.streams:
        site.notes.history.repository.cache = None
        note = site.notes.history.aggregate(Note, stream_id)
        assert note.lines == 10
        note.close()
        Given(site.notes).aggregates(note)
        assert [fact.version for fact in FactLog(site.notes.history).stream(stream_id)] == [1, 2, 3, 4, 5, 6]
    sealed(site.notes)
    assert verified(site.notes, archive=site.notes.history.archive).unsealed == 0


def test_read_tables_are_rebuilt_from_files(site: Site) -> None:
    live = everything(site.notes, "note"), everything(site.notes, "note_line")
    site.archive()
    rebuild(site.notes, site.projection)
    assert (everything(site.notes, "note"), everything(site.notes, "note_line")) == live
    assert [table.differences for table in verify(site.notes, site.projection)] == [0, 0]


def test_a_moment_of_the_past_is_found_in_files(site: Site) -> None:
    at = site.seen()["batches"][9].at
    site.archive()
    with site.notes.projector_pool.connection() as connection:
        found = position_at(site.notes, connection, at)
        later = position_at(site.notes, connection, datetime.now(UTC) + timedelta(days=1))
    assert FIRST + 9 <= found < FIRST + 30
    assert later >= FIRST + 29


def test_readers_miss_nothing_while_events_move(site: Site) -> None:
    stop, wrong = threading.Event(), list[Any]()

    def read() -> None:
        log = FactLog(site.notes.history)
        while not stop.is_set():
            for stream_id in site.streams:
                versions = [one.originator_version for one in site.recorded(stream_id)]
                if versions != [1, 2, 3, 4, 5]:
                    wrong.append(versions)
            with site.notes.pool.connection() as connection:
                found = [fact.position for fact in log.read(connection, 0, 2**62, None, 100)]
            if found != list(range(FIRST, FIRST + 30)):
                wrong.append(found)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        moved = site.archive()
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert len(moved) == 3
    assert wrong == []


def test_events_come_back_as_they_were(site: Site) -> None:
    rows, seen = site.in_table(), site.seen()
    moved = site.archive()
    with site.notes.projector_pool.connection() as connection:
        with pytest.raises(ArchiveRefused, match="newer events first"):
            move.restore(connection, site.root, moved[0])
        for piece in moved[::-1]:
            assert move.restore(connection, site.root, piece) == piece.events
        assert pieces(connection) == []
    assert site.in_table() == rows
    assert site.seen() == seen
    with pytest.raises(InsufficientPrivilege, match="append-only"):
        site.owner.execute(f"DELETE FROM es.event_{FIRST}".encode())
    assert site.archive() == moved, "the same files again"


def test_events_come_back_into_a_partition_that_was_made_anew(site: Site) -> None:
    """As in a database that was restored from a backup; one with events in it is not replaced."""
    rows, moved = site.in_table(), site.archive()
    for piece in moved:
        site.owner.execute("SELECT es.make_event_partition(%s, %s)", (piece.begins, piece.ends))
    with site.notes.projector_pool.connection() as connection:
        for piece in moved[::-1]:
            move.restore(connection, site.root, piece)
    assert site.in_table() == rows


def test_what_is_not_ready_stays(site: Site) -> None:
    with site.notes.projector_pool.connection() as connection:
        for part in list(move.closed(connection))[:3]:
            assert move.archive(connection, site.root, part) is None, "no events, no file"
        one, other = list(move.closed(connection))[:2]
        with pytest.raises(ArchiveRefused, match="older events are not archived yet"):
            move.archive(connection, site.root, other)
        site.owner.execute("UPDATE es.follower SET position = %s", (FIRST + 3,))
        with pytest.raises(ArchiveRefused, match="a follower has not read"):
            move.archive(connection, site.root, one)
        site.owner.execute("UPDATE es.follower SET position = es.safe_position()")
        site.owner.execute(
            "INSERT INTO es.dead_letter (follower, position, stream_id, parked, attempts)"
            " VALUES ('notes', %s, %s, true, 0)",
            (FIRST + 1, site.streams[0]),
        )
        with pytest.raises(ArchiveRefused, match="there are dead letters"):
            move.archive(connection, site.root, one)
        site.owner.execute("DELETE FROM es.dead_letter")
        with site.owner.transaction(), changeable(site.owner, "es.block"):
            site.owner.execute("DELETE FROM es.block")
        with pytest.raises(ArchiveRefused, match="are not sealed yet"):
            move.archive(connection, site.root, one)
        newest = move._partition(connection, FIRST + 3 * SIZE, FIRST + 4 * SIZE)
        assert newest not in move.closed(connection)
        assert len(site.in_table()) == 30


def test_events_that_are_not_what_was_sealed_stay_in_the_table(site: Site) -> None:
    with site.owner.transaction(), changeable(site.owner, "es.event"):
        site.owner.execute("UPDATE es.event SET origin = 'x' WHERE position = %s", (FIRST + 2,))
    with pytest.raises(ArchiveBroken, match=f"position {FIRST + 2} is not what was sealed"):
        site.archive()
    assert len(site.in_table()) == 30


@pytest.mark.parametrize("role", ["tracker_app", "tracker_projector"])
def test_a_role_cannot_drop_events_without_their_files(site: Site, database: str, role: str) -> None:
    statements = (
        ", ".join(["SELECT 1", *(f"es.drop_events({begins}, '{{}}')" for begins in (-(2**63), 20000000, 40000000))]),
        f"SELECT es.drop_events({FIRST}, '{{}}')",
        "DELETE FROM es.archived_events",
        f"INSERT INTO es.archived_events VALUES ({FIRST}, {FIRST + 7}, 1, 1, 1, now(), '', '')",
    )
    with psycopg.connect(as_user(database, role), autocommit=True) as connection:
        for statement in statements:
            try:
                connection.execute(statement.encode())
            except (InsufficientPrivilege, psycopg.errors.IntegrityError):
                continue
            assert statement == statements[0], "empty partitions may go"
            assert role == "tracker_projector"
    assert len(site.in_table()) == 30


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
@pytest.mark.parametrize("which", ["path", "index"])
def test_a_damaged_file_is_named_and_never_read_over(site: Site, damage: str, which: str) -> None:
    piece = site.archive()[0]
    path: Path = getattr(piece, which)(site.root)
    data = path.read_bytes()
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(data[:-3] if damage == "cut" else data[:20] + bytes([data[20] ^ 1]) + data[21:])
    shell = Shell(site.notes)
    assert shell.refused("events", "archives", "--verify").startswith(str(path))
    if which == "path" or damage != "flip":  # a flipped bit of a frame that is not asked for is for --verify
        site.notes.history.archive._readers.cache_clear()  # type: ignore[union-attr]
        with pytest.raises(ArchiveBroken, match=path.name):
            site.seen()
    assert {ArchiveBroken, ArchiveRefused} <= set(EXPECTED)


def test_the_commands_move_and_count(site: Site) -> None:
    shell = Shell(site.notes)
    assert "say --before" in shell.refused("events", "archive")
    assert "0 partitions archived" in shell("events", "archive", "--older-than", 1)
    assert "nothing is archived" in shell.refused("events", "restore-archive")
    said = shell("events", "archive", "--before", FIRST + 2 * SIZE)
    assert "2 partitions archived" in said
    assert f"8 events, positions {FIRST + 8} to {FIRST + 15}" in said
    assert "2 partitions archived, 0 flaws" in shell("events", "archives", "--verify")
    assert "30 events, 0 not sealed yet" in shell("audit", "verify")
    assert f"position        {FIRST + 1}" in shell("events", "show", FIRST + 1)
    assert shell("events", "tail", "-n", 30).count("\n") == 30
    assert f"8 events, positions {FIRST + 8} to {FIRST + 15} restored" in shell("events", "restore-archive")
    assert "1 partitions archived" in shell("events", "archives")


def test_an_increment_does_not_follow_an_archive(site: Site, database: str, tmp_path: Path) -> None:
    def backup(*, since_last: bool = False) -> object:
        return create(database, tmp_path / "backups", site.notes.settings.data_dir, SECRETS.key_encryption,
                      since_last=since_last)  # fmt: skip

    backup()
    site.archive()
    with pytest.raises(BackupRefused, match="events were archived"):
        backup(since_last=True)
    backup()
    backup(since_last=True)


def test_a_restored_site_reads_what_was_archived(
    site: Site, database: str, postgres: Postgres, settings: Settings, tmp_path: Path
) -> None:
    log = FactLog(site.notes.history)
    site.archive()
    before = [list(log.stream(one)) for one in site.streams]
    create(database, tmp_path / "backups", settings.data_dir, SECRETS.key_encryption)
    url = fresh_database(postgres, "template0")
    restored_dir = tmp_path / "restored"
    restore(url, choose(tmp_path / "backups"), restored_dir, [])
    urls = settings.database.model_copy(update={"url": as_user(url, "tracker_app"), "owner_url": url})
    of_restored = settings.model_copy(update={"database": urls, "data_dir": restored_dir})
    with Platform(of_restored, KINDS, secrets=SECRETS) as platform:
        again = FactLog(platform.history)
        assert [list(again.stream(one)) for one in site.streams] == before
        assert verified(platform, archive=platform.history.archive).events == 30
        with platform.projector_pool.connection() as connection:
            moved = [move.archive(connection, restored_dir / "archive", part) for part in move.closed(connection)]
        assert [piece.events for piece in moved if piece] == [6], "of another size than those of before"
        assert [list(again.stream(one)) for one in site.streams] == before
        assert verified(platform, archive=platform.history.archive).events == 30
    drop_database(postgres, url)


def test_a_frame_is_found_by_any_key(tmp_path: Path) -> None:
    with FrameWriter(tmp_path / "file") as writer:
        for key in (b"b", b"d", b"d", b"f"):
            writer.add(key, key * 3)
    reader = FrameReader(tmp_path / "file")
    found = {key: b"".join(reader.frames(key)) for key in (b"a", b"b", b"c", b"d", b"e", b"f", b"g")}
    assert found == {
        b"a": b"bbbddddddfff",
        b"b": b"bbbddddddfff",
        b"c": b"bbbddddddfff",
        b"d": b"bbbddddddfff",
        b"e": b"dddfff",
        b"f": b"dddfff",
        b"g": b"fff",
    }
    with pytest.raises(TypeError), FrameWriter(tmp_path / "other") as writer:
        writer.add(b"a", "no bytes")  # type: ignore[arg-type]
    assert {path.name for path in tmp_path.iterdir()} == {"file"}
