"""A site comes back from its backups: whole, at a moment of the past, without its keys; and a broken one is named."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

import domain
from domain.announces import decode
from domain.applications import Application
from domain.base import ERASED, SYSTEM
from domain.bonus import Account, AccountKind
from domain.peers import EdgeJournal
from projections import ALL
from projections.applications import applications
from projections.peers import peers
from projections.users import users
from runtime import journal_archive
from runtime.backup import erased, restore
from runtime.backup.manifest import BackupRefused
from runtime.backup.restore import ERA, choose
from runtime.backup.tables import Part
from runtime.backup.verify import verify
from runtime.embedded import Postgres
from runtime.journal import segments
from runtime.keyring import KeyDestroyed
from runtime.rebuild import rebuild
from runtime.rebuild import verify as verify_projection
from runtime.store import new_id
from tests.engines import drop_database, fresh_database
from tests.given import NOON, projected, rows_of
from tests.members import Members
from tests.peers.edges import IPV4, ShippingEdge, announce
from tests.runtime.backups import NAMES, Busy, OpenRestored, brought_back, contents, count, differences
from tests.runtime.test_journal_archive import KEEP_DAYS, chain
from tracker_edge.segments import into_store

pytestmark = pytest.mark.engine


def test_a_full_backup_brings_back_every_row(busy: Busy, empty: str, opened: OpenRestored) -> None:
    made = busy.backup()
    before = contents(busy.url)
    done = brought_back(busy, empty)
    assert contents(empty) == before
    assert (done.position, done.rebuild) == (busy.position, False)
    assert made.position == busy.position
    restored = opened(empty)
    assert differences(restored) == 0
    assert restored.history.aggregate(domain.users.User, busy.people[0].id).username == "person0"
    with restored.pool.connection() as connection:
        assert [head.seq for head in journal_archive.verify_all(connection, busy.data_dir)] == [2, 2]


def test_the_restored_site_goes_on_behind_every_position_of_the_lost_one(
    busy: Busy, empty: str, opened: OpenRestored
) -> None:
    busy.backup()
    brought_back(busy, empty)
    lost = busy.position
    site = Busy(Members(opened(empty), furnished=True), empty, busy.root, busy.data_dir)
    site.people = list(busy.people)
    site.day()
    assert count(empty, f"SELECT min(position) FROM es.event WHERE position > {lost}") > lost + ERA
    assert differences(site.platform) == 0
    busy.day()
    busy.backup()
    with pytest.raises(BackupRefused, match="is of another history"):
        site.backup(since_last=True)


def test_append_only_tables_are_so_again_after_a_restore(busy: Busy, empty: str) -> None:
    busy.backup()
    brought_back(busy, empty, position=busy.position - 1)
    for table in ("es.event", "es.command", "es.blob", "journal.segment"):
        for statement in (f"DELETE FROM {table}", f"TRUNCATE {table}"):
            with psycopg.connect(empty) as owner, pytest.raises(psycopg.errors.InsufficientPrivilege):
                owner.execute(statement.encode())
    with psycopg.connect(empty) as owner, pytest.raises(psycopg.errors.IntegrityConstraintViolation):
        owner.execute(
            "INSERT INTO journal.segment (edge_id, seq, day, announces, first_at, last_at, sha256, previous, data)"
            " SELECT edge_id, seq + 9, day, announces, first_at, last_at, sha256, previous, data FROM journal.segment"
        )


def test_increments_bring_back_what_came_after_the_full_backup(busy: Busy, empty: str, opened: OpenRestored) -> None:
    busy.backup()
    for _ in range(2):
        busy.day()
        made = busy.backup(since_last=True)
    events = made.rows("es.event")
    assert events is not None
    assert 0 < events.rows < events.total
    assert not any(one.file.part is Part.READ for one in made.tables)
    assert verify(choose(busy.root)).events == events.total
    before = contents(busy.url)
    done = brought_back(busy, empty)
    assert not done.rebuild
    after = contents(empty)
    assert {name for name in before if before[name] != after[name] and not name.startswith("read.")} == {"es.follower"}
    assert differences(opened(empty)) == 0
    assert contents(empty, "es.follower", "es.event_type") == contents(busy.url, "es.follower", "es.event_type")


@pytest.mark.parametrize("only_full", [False, True], ids=["with increments", "from one full backup"])
def test_a_site_comes_back_at_any_position(busy: Busy, empty: str, opened: OpenRestored, *, only_full: bool) -> None:
    """From increments the read tables come along; those of a later full backup are ahead and are built anew."""
    if not only_full:
        busy.backup()
    busy.day()
    wanted, then = busy.position, contents(busy.url)
    busy.day()
    busy.backup(since_last=not only_full)
    done = brought_back(busy, empty, position=wanted)
    assert done.position == wanted
    assert done.rebuild == only_full
    restored = opened(empty)
    if done.rebuild:
        for one in ALL:
            rebuild(restored, one)
    assert differences(restored) == 0
    now = contents(empty)
    same = {name for name in then if name.startswith(("es.", "journal.", "read."))} - {"es.follower", "es.blob"}
    assert {name for name in same if now[name] != then[name]} == set()
    assert now["es.blob"][0] >= then["es.blob"][0]
    assert now["credentials.password"] == contents(busy.url)["credentials.password"], "the newest known"
    with restored.pool.connection() as connection:
        assert [head.seq for head in journal_archive.verify_all(connection, busy.data_dir)] == [4, 4]


def test_every_position_gives_a_whole_history(busy: Busy, postgres: Postgres) -> None:
    """No command is divided, no announce is recorded without its segment, no segment without its fact."""
    busy.backup()
    for position in range(busy.position - 24, busy.position, 4):
        url = fresh_database(postgres, "template0")
        done = brought_back(busy, url, position=position)
        assert position - 8 < done.position <= position
        for question in (
            "SELECT count(*) FROM (SELECT stream_id FROM es.event GROUP BY 1 HAVING max(version) <> count(*)) AS s",
            "SELECT count(*) FROM (SELECT command_id FROM es.event EXCEPT SELECT command_id FROM es.command) AS s",
            "SELECT count(*) FROM (SELECT command_id FROM es.command EXCEPT SELECT command_id FROM es.event) AS s",
            "SELECT (SELECT count(*) FROM journal.segment) - (SELECT count(*) FROM es.event e JOIN es.event_type t"
            f" ON t.id = e.type WHERE t.name = '{EdgeJournal.SegmentsRecorded.TOPIC}')",
        ):
            assert count(url, question) == 0, (position, question)
        drop_database(postgres, url)


def test_backups_under_writers_lose_and_double_nothing(busy: Busy) -> None:
    """Each ends between two facts, though positions are drawn before they are committed."""
    enough, positions = threading.Event(), list[int]()

    def write() -> None:
        while not enough.is_set():
            positions.append(busy.people[0].store.save(Account.open(AccountKind.BONUS, new_id())).position)

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    try:
        made = [busy.backup(since_last=number > 0) for number in range(6)]
    finally:
        enough.set()
        for writer in writers:
            writer.join()
    for one in made:
        events = one.rows("es.event")
        assert events is not None
        stored = f"SELECT count(*) FROM es.event WHERE position <= {one.position}"
        assert events.total == count(busy.url, stored)
        assert one.last_event_position <= one.position
    assert made[0].position < made[-1].position <= max(positions)
    assert verify(choose(busy.root)).chain == made[-1].chain


def test_a_moment_is_as_good_as_a_position(busy: Busy, empty: str) -> None:
    wanted, when = busy.position, datetime.now(UTC)
    busy.day()
    busy.backup()
    long_ago, target = when - timedelta(days=1), busy.data_dir / "restored"
    with pytest.raises(BackupRefused, match="no fact from before"):
        restore.restore(empty, choose(busy.root, when=long_ago), target, NAMES, when=long_ago)
    done = restore.restore(empty, choose(busy.root, when=when), target, NAMES, when=when)
    assert done.position == wanted, "what failed has left nothing behind"


def test_a_site_that_is_there_is_not_overwritten(busy: Busy) -> None:
    busy.backup()
    before = contents(busy.url)
    with pytest.raises(BackupRefused, match="the database is not empty"):
        brought_back(busy, busy.url)
    assert contents(busy.url) == before


def test_without_keys_persons_read_as_erased_and_get_no_new_key(busy: Busy, empty: str, opened: OpenRestored) -> None:
    made = busy.backup()
    shutil.rmtree(busy.root / made.name / Part.KEYS)
    with pytest.raises(BackupRefused, match="the keys are not there"):
        choose(busy.root)
    done = brought_back(busy, empty, with_keys=False)
    assert done.rebuild
    restored = opened(empty)
    rebuild(restored, users)
    person = busy.people[0].id
    assert restored.history.aggregate(domain.users.User, person).username == ERASED
    assert count(empty, "SELECT count(*) FROM read.account WHERE username LIKE 'person%'") == 0
    with pytest.raises(KeyDestroyed):
        restored.keyring.seal(person, "text", "place")


def test_who_was_erased_after_a_backup_stays_so(busy: Busy, empty: str, opened: OpenRestored) -> None:
    """The list lies beside the backups: neither an old backup nor the keys in it bring anybody back, member or not."""
    stranger, waiting = (_applied(busy, name) for name in ("stranger", "waiting"))
    old = busy.backup()
    gone, stays = busy.people
    for person in (gone.id, stranger):
        busy.destroy_key(person)
    new = busy.backup()
    shutil.rmtree(busy.root / new.name)
    assert set(erased.listed(busy.root)) == {gone.id, stranger}
    done = brought_back(busy, empty, name=old.name)
    assert (done.erased, done.rebuild) == (2, True), "the backup's read tables show whom they must not"
    restored = opened(empty)
    for projection in (users, applications):
        rebuild(restored, projection)
    assert restored.history.aggregate(domain.users.User, gone.id).username == ERASED
    assert restored.history.aggregate(domain.users.User, stays.id).username == "person1"
    assert count(empty, "SELECT count(*) FROM read.account WHERE username = 'person0'") == 0
    addresses = dict(rows_of(restored, "SELECT applicant_id, email FROM read.application"))
    assert addresses == {stranger: ERASED, waiting: "waiting@example.org"}


def _applied(busy: Busy, name: str) -> UUID:
    """Somebody who wrote to be let in; the id that the account would have."""
    person = new_id()
    busy.platform.store(SYSTEM).save(Application.file(new_id(), person, f"{name}@example.org", "I seed. " * 9, []))
    busy.members.catch_up()
    return person


def test_addresses_of_who_was_erased_after_a_backup_stay_away(
    busy: Busy, empty: str, opened: OpenRestored, tmp_path: Path
) -> None:
    """Segments come back as they were, with all that is in them; what opens it does not."""
    gone, stays = busy.people
    edge = ShippingEdge(busy.platform, "west")
    now_s = (datetime.now(UTC) - NOON).total_seconds()
    edge.ship([announce(now_s, user=member.id, up=member.id.int % 1000) for member in busy.people])
    busy.members.catch_up()
    old = busy.backup()
    busy.destroy_key(gone.id)
    shutil.rmtree(busy.root / busy.backup().name)
    done = brought_back(busy, empty, name=old.name)
    assert (done.erased, done.rebuild) == (1, True)
    restored = opened(empty)
    with restored.projector_pool.connection() as connection:
        [west] = segments(connection, "west")
        assert len(list(journal_archive.verify_all(connection, tmp_path))) == 3
    assert west.sha256 == edge.previous
    read = [(one.user_id, one.uploaded, one.address) for one in decode(west.payload, restored.keyring.read_keys)]
    assert read == [(gone.id.bytes, gone.id.int % 1000, b""), (stays.id.bytes, stays.id.int % 1000, IPV4)]
    projected(restored, peers)
    kept = rows_of(restored, "SELECT user_id, ipv4 FROM read.peer WHERE ipv4 IS NOT NULL AND user_id = ANY (%s)", [
        [gone.id, stays.id]
    ])  # fmt: skip
    assert kept == [(stays.id, IPV4)]
    assert sum(table.differences for table in verify_projection(restored, peers)) == 0


def test_whom_the_operator_names_is_erased_too(busy: Busy, empty: str) -> None:
    busy.backup()
    done = brought_back(busy, empty, also_erased=[busy.people[0].id])
    assert (done.erased, done.rebuild) == (1, True)
    assert count(empty, "SELECT count(*) FROM keys.subject WHERE wrapped_key IS NULL") == 1


def test_a_list_with_a_torn_end_keeps_what_is_whole(tmp_path: Path, busy: Busy) -> None:
    busy.root.mkdir()
    people = {member.id: datetime.now(UTC) for member in busy.people}
    assert erased.add(busy.root, people) == 2
    assert erased.add(busy.root, people) == 0
    path = busy.root / erased.NAME
    path.write_text(path.read_text()[:-5])
    assert len(erased.listed(busy.root)) == 1


def test_announces_that_came_late_for_an_archived_day_come_back(
    busy: Busy, empty: str, opened: OpenRestored, tmp_path: Path
) -> None:
    """They lie in the table, and the rest of their day in a file."""
    away, ship = chain("away"), into_store(lambda: busy.platform.store(SYSTEM, "edge"))
    ship(away[:1])
    busy.members.catch_up()
    with busy.platform.projector_pool.connection() as connection:
        [day] = journal_archive.closed_days(connection, KEEP_DAYS, datetime.now(UTC))
        journal_archive.archive(connection, busy.data_dir / "archive", day, KEEP_DAYS)
    ship(away[1:3])
    busy.backup()
    brought_back(busy, empty, tmp_path)
    with opened(empty).projector_pool.connection() as connection:
        assert list(segments(connection, "away")) == away[1:3]
        found = {head.edge_id: head.seq for head in journal_archive.verify_all(connection, tmp_path / "archive")}
        assert found == {"away": 3, "north": 2, "south": 2}
        assert journal_archive.restore(connection, tmp_path / "archive", day) == 1
        assert list(segments(connection, "away")) == away[:3]


def test_a_moment_before_announces_that_lie_in_files_cannot_be_gone_back_to(busy: Busy, empty: str) -> None:
    """However old the announces are: what counts is when the store got them."""
    away, ship = chain("away"), into_store(lambda: busy.platform.store(SYSTEM, "edge"))
    ship(away[:1])
    before = busy.position
    ship(away[1:2])
    after = busy.position
    busy.members.join("somebody who came later")
    busy.members.catch_up()
    with busy.platform.projector_pool.connection() as connection:
        [day] = journal_archive.closed_days(connection, KEEP_DAYS, datetime.now(UTC))
        journal_archive.archive(connection, busy.data_dir / "archive", day, KEEP_DAYS)
    busy.backup()
    with pytest.raises(BackupRefused, match=f"announces of {day} were archived after position {before}"):
        brought_back(busy, empty, position=before)
    assert brought_back(busy, empty, position=after).position == after


def test_who_is_noted_at_once_by_many_is_noted(tmp_path: Path) -> None:
    """Workers, the command line and a backup write the list beside each other."""
    people = [new_id() for _ in range(40)]
    barrier = threading.Barrier(4)

    def note(some: Sequence[UUID]) -> None:
        barrier.wait()
        for person in some:
            erased.add(tmp_path, {person: datetime.now(UTC)})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(note, [people[n::4] for n in range(4)]))
    assert erased.listed(tmp_path).keys() == set(people)
