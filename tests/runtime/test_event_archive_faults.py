"""Archived events at the edges of partitions, while others read or move them, and after a change of their files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runtime import facts as facts_module
from runtime.audit import stored
from runtime.audit.block import PURPOSE, signing_key
from runtime.audit.redactions import RedactionRefused, redact
from runtime.backup import manifest
from runtime.backup.create import create
from runtime.backup.manifest import BackupRefused
from runtime.backup.restore import Restored, choose, restore
from runtime.db import Writer
from runtime.dead_letters import dead_letters
from runtime.embedded import Postgres
from runtime.event_archive import move
from runtime.event_archive.archive import EventArchive, pieces
from runtime.event_archive.files import fingerprint
from runtime.event_archive.move import ArchiveRefused
from runtime.facts import Fact, FactLog
from runtime.follow import Step
from runtime.projection import Projection
from runtime.rebuild import rebuild
from runtime.store import new_id
from tests.audit_chain.sealed import sealed, verified
from tests.conftest import SECRETS, MakePlatform
from tests.engines import drop_database, fresh_database
from tests.given import Given, everything, projected, rows_of
from tests.runtime.archived import FIRST, Shell, Site, thirty_events
from tests.runtime.notes import Note
from tests.runtime.test_partitions import SIZE, Owner, make_ahead

pytestmark = pytest.mark.engine


@pytest.fixture
def site(make_platform: MakePlatform, owner: Owner) -> Site:
    return thirty_events(make_platform, owner)


def closings(name: str = "closings") -> Projection:
    """One that asks for events of which there are none."""
    projection = Projection(name)

    @projection.on(Note.Closed)
    def closed(fact: Fact[Note.Closed], db: Writer) -> None:
        raise AssertionError("nobody closed a note")

    return projection


def test_a_command_at_the_edge_of_a_partition_is_found_whole(site: Site) -> None:
    """Half of what it wrote lies in a file, half in the table."""
    make_ahead(site.owner)
    given = Given(site.notes)
    given.aggregates(Note.open(new_id()))
    first, second = Note.open(new_id()), Note.open(new_id())
    last = given.aggregates(first, second)
    assert last == FIRST + 4 * SIZE, "the second event is the first of its partition"
    sealed(site.notes)
    projected(site.notes, site.projection)
    site.archive(FIRST + 4 * SIZE)
    log = FactLog(site.notes.history)
    with site.notes.pool.connection() as connection:
        for one in (first, second):
            assert log.streams_beside(connection, one.id, ["note.opened"]) == sorted([first.id, second.id])


def test_who_knows_the_archived_versions_asks_no_file(site: Site) -> None:
    """As one that has a snapshot: each command would read all of a long stream otherwise."""
    moved, stream = site.archive(), site.streams[0]
    archived = sum(stream == one.stream_id for one in read_all(site, moved[-1].last_position))
    assert 0 < archived < 5
    for piece in moved:
        piece.path(site.root).unlink()
    assert [one.originator_version for one in site.recorded(stream, gt=archived)] == list(range(archived + 1, 6))
    assert [one.originator_version for one in site.recorded(stream, desc=True, limit=1)] == [5]
    assert site.recorded(stream, gt=5) == []


def read_all(site: Site, upto: int) -> list[Any]:
    with site.notes.pool.connection() as connection:
        return EventArchive(site.root).between(connection, -1, upto)


def test_files_that_took_the_place_of_others_are_read(site: Site, owner: Owner) -> None:
    """A redaction reaches archived events by way of the table; readers remember where frames began in the old file."""
    moved = site.archive()
    site.seen()
    with site.notes.projector_pool.connection() as connection:
        for piece in moved[::-1]:
            move.restore(connection, site.root, piece)
    key = signing_key(site.notes.site_key(PURPOSE))
    redact(owner, key, site.notes.history.codec.event, FIRST + 2, ["author"], "by order")
    with site.notes.projector_pool.connection() as connection:
        again = move.archive(connection, site.root, next(move.closed(connection)))
    assert again is not None
    assert again.events_sha256 != moved[0].events_sha256
    site.archive()
    log = FactLog(site.notes.history)
    with site.notes.pool.connection() as connection:
        found = log.at(connection, list(range(FIRST, FIRST + 2 * SIZE)))
    assert [one.position for one in found] == list(range(FIRST, FIRST + 2 * SIZE))


def test_a_new_follower_reads_files_in_pieces(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds its row meanwhile: a runner that is silent for long is taken for one that hangs."""
    site.archive()
    monkeypatch.setattr(facts_module, "ARCHIVED_AT_ONCE", 4)
    looked_at, rows = list[int](), EventArchive.rows

    def counted(*args: Any) -> Iterator[bytes]:
        found = list(rows(*args))
        looked_at.append(len(found))
        return iter(found)

    monkeypatch.setattr(EventArchive, "rows", counted)
    site.owner.execute("INSERT INTO es.follower (name, position) VALUES ('closings', %s)", (FIRST - 1,))
    assert site.notes.engine().drain(closings()) is Step.IDLE
    assert max(looked_at) == 4
    assert sum(looked_at) == 24
    assert rows_of(site.notes, "SELECT position FROM es.follower WHERE name = 'closings'") == [(FIRST + 29,)]
    looked_at.clear()
    live = everything(site.notes, "note_line")
    rebuild(site.notes, site.projection)
    assert max(looked_at) == 4, "somebody may want to know how far it is, or that it ends"
    assert everything(site.notes, "note_line") == live


def test_a_follower_waits_before_an_archived_event_that_its_code_does_not_know(
    site: Site, make_platform: MakePlatform
) -> None:
    """As after a way back to older code: what lies in files is no reason to pass over it."""
    site.archive()
    older = make_platform((Note.Opened, Note.Closed), (closings(),))
    site.owner.execute("INSERT INTO es.follower (name, position) VALUES ('closings', %s)", (FIRST - 1,))
    assert older.engine().drain(older.followers[0]) is Step.WAITING
    found = rows_of(older, "SELECT position, failed_position FROM es.follower WHERE name = 'closings'")
    assert found == [(FIRST + 5, FIRST + 6)], "the first line of the first note"


def test_events_that_move_while_the_log_is_verified_are_neither_missed_nor_read_twice(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move, "LOCK_ATTEMPTS", 1)
    tried = list[str]()

    def then_moves(connection: psycopg.Connection[Any]) -> Any:
        found = pieces(connection)
        try:
            site.archive()
        except ArchiveRefused as error:
            tried.append(str(error))
        return found

    monkeypatch.setattr(stored, "pieces", then_moves)
    assert verified(site.notes, archive=site.notes.history.archive).events == 30
    assert any("reads the log" in one for one in tried)


def test_an_archive_keeps_nobody_waiting_behind_a_reader(
    site: Site, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup reads for hours; commands that came after it would wait as long behind a partition that wants to go."""
    monkeypatch.setattr(move, "LOCK_ATTEMPTS", 1)
    with psycopg.connect(database) as reader:
        reader.execute("SELECT count(*) FROM es.event")
        with pytest.raises(ArchiveRefused, match="somebody reads the log"):
            site.archive()
        assert len(site.in_table()) == 30
    assert len(site.archive()) == 3


def test_two_do_not_move_events_at_the_same_time(site: Site) -> None:
    assert len(site.archive(FIRST + SIZE)) == 1
    with site.notes.projector_pool.connection() as connection, move.alone(connection):
        with pytest.raises(ArchiveRefused, match="somebody else moves events"):
            site.archive()
        assert "somebody else moves events" in Shell(site.notes).refused("events", "restore-archive")
    assert len(site.archive()) == 2


def test_no_event_moves_while_a_backup_is_made(
    site: Site, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be in neither place: its partition gone from the table, its file unknown to the snapshot."""
    monkeypatch.setattr(move, "LOCK_ATTEMPTS", 1)
    tried = list[str]()

    def then_moves(table: str, rows: int) -> None:
        if not tried:
            with pytest.raises(ArchiveRefused) as refused:
                site.archive()
            tried.append(str(refused.value))

    made = create(
        database, tmp_path / "backups", site.notes.settings.data_dir, SECRETS.key_encryption, progress=then_moves
    )
    assert tried
    events = made.rows("es.event")
    assert events is not None
    assert events.rows == 30


class Backups:
    """Those of the site, and a database that one of them comes back into."""

    def __init__(self, site: Site, url: str, empty: str, folder: Path) -> None:
        self.site, self.url, self.empty, self.folder = site, url, empty, folder

    def make(self, *, since_last: bool = False) -> None:
        data_dir = self.site.notes.settings.data_dir
        create(self.url, self.folder / "backups", data_dir, SECRETS.key_encryption, since_last=since_last)

    def bring_back(self, name: str | None = None, position: int | None = None) -> Restored:
        return restore(self.empty, choose(self.folder / "backups", name, position), self.folder / "restored", [])


@pytest.fixture
def backups(site: Site, database: str, postgres: Postgres, tmp_path: Path) -> Iterator[Backups]:
    url = fresh_database(postgres, "template0")
    yield Backups(site, database, url, tmp_path)
    drop_database(postgres, url)


def test_a_file_that_changed_between_two_backups_is_the_later_one(site: Site, owner: Owner, backups: Backups) -> None:
    """As after a redaction: the increment has another file of the same name."""
    moved = site.archive(FIRST + SIZE)
    backups.make()
    with site.notes.projector_pool.connection() as connection:
        move.restore(connection, site.root, moved[0])
        key = signing_key(site.notes.site_key(PURPOSE))
        redact(owner, key, site.notes.history.codec.event, FIRST + 2, ["author"], "by order")
        (again,) = site.archive(FIRST + SIZE)
    backups.make(since_last=True)
    assert backups.bring_back().events == 22
    assert fingerprint(again.path(backups.folder / "restored" / "archive")) == again.events_sha256


def test_a_site_comes_back_at_the_edge_of_its_archive_unless_a_command_lies_across(
    site: Site, backups: Backups
) -> None:
    make_ahead(site.owner)
    given = Given(site.notes)
    given.aggregates(Note.open(new_id()))
    last = given.aggregates(*(Note.open(new_id()) for _ in range(3)))
    edge = FIRST + 4 * SIZE
    assert last == edge + 1, "one of its events is on the other side"
    sealed(site.notes)
    projected(site.notes, site.projection)
    site.archive(FIRST + SIZE)
    backups.make()
    site.archive(edge)
    backups.make()
    before, after = (one.name for one in manifest.read_all(backups.folder / "backups"))
    with pytest.raises(BackupRefused, match=f"events after position {edge} were archived"):
        backups.bring_back(after, edge)
    assert backups.bring_back(before, FIRST + SIZE - 1).events == 0
    with psycopg.connect(backups.empty) as connection:
        assert connection.execute("SELECT count(*) FROM es.stream").fetchone() == (6,)


def test_a_dead_letter_of_an_archived_event_is_named_and_forgotten(site: Site) -> None:
    """Of a projection that is younger than the archive."""
    site.archive()
    person = site.streams[0]
    site.owner.execute(
        "INSERT INTO es.dead_letter (follower, position, stream_id, parked, error, attempts)"
        " VALUES ('younger', %s, %s, false, 'KeyError: Ada', 3), ('younger', %s, %s, false, 'KeyError: Ben', 3)",
        (FIRST, person, FIRST + 29, new_id()),
    )
    assert {one.position: one.topic for one in dead_letters(site.notes)} == {
        FIRST: "note.opened",
        FIRST + 29: "note.line_added",
    }
    site.owner.execute("SELECT es.forget_person(%s)", (person,))
    assert [one.error for one in dead_letters(site.notes)] == ["erased", "KeyError: Ben"]


def test_an_archived_event_is_brought_back_before_it_is_redacted(site: Site, owner: Owner) -> None:
    site.archive()
    key = signing_key(site.notes.site_key(PURPOSE))
    with pytest.raises(RedactionRefused, match="lies in a file: tracker events restore-archive"):
        redact(owner, key, site.notes.history.codec.event, FIRST + 2, ["author"], "by order")


def test_an_age_beyond_all_dates_is_refused(site: Site) -> None:
    shell = Shell(site.notes)
    assert "0 partitions archived" in shell("events", "archive", "--older-than", 36_500)
    shell("events", "archive", "--older-than", 36_501, code=2)
