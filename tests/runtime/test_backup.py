"""A site comes back from its backups: whole, at a moment of the past, without its keys; and a broken one is named."""

from __future__ import annotations

import dataclasses
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
import zstandard
from typer.testing import CliRunner

import domain
from commands.policies import POLICIES
from domain.announces import decode, encode
from domain.applications import Application
from domain.base import ERASED, SYSTEM
from domain.bonus import Account, AccountKind
from domain.peers import EdgeJournal
from projections import ALL
from projections.applications import applications
from projections.peers import peers
from projections.search import open_sender
from projections.users import users
from runtime import journal_archive
from runtime.audit.block import PURPOSE, Block, signing_key
from runtime.audit.redactions import redact
from runtime.audit.stored import blocks
from runtime.backup import copying, edges, erased, manifest, restore
from runtime.backup.create import create, fingerprint
from runtime.backup.manifest import BackupBroken, BackupRefused, Manifest
from runtime.backup.restore import ERA, Restored, choose
from runtime.backup.tables import Part, tables
from runtime.backup.verify import verify
from runtime.backup_cli import backup_commands
from runtime.cli import erase_again
from runtime.embedded import Postgres
from runtime.journal import GENESIS, Head, heads, seal, segments
from runtime.keyring import KeyDestroyed
from runtime.platform import Platform
from runtime.rebuild import rebuild
from runtime.rebuild import verify as verify_projection
from runtime.settings import Settings
from runtime.store import new_id
from tests.audit_chain.sealed import sealed, verified
from tests.conftest import SECRETS, as_user
from tests.engines import drop_database, fresh_database
from tests.given import NOON, projected, rows_of
from tests.members import Member, Members
from tests.peers.edges import IPV4, ShippingEdge, announce
from tests.runtime.test_journal_archive import announced
from tracker_edge.segments import into_store

pytestmark = pytest.mark.engine

NAMES = [one.name for one in ALL]
KEY = SECRETS.key_encryption


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[str]:
    """The URL of a database that has nothing, not even a schema."""
    url = fresh_database(postgres, "template0")
    yield url
    drop_database(postgres, url)


class Busy:
    """A site with people, uploads and announces of two edges; each `day` brings some of each."""

    def __init__(self, members: Members, url: str, root: Path, data_dir: Path) -> None:
        self.members, self.url, self.root, self.data_dir = members, url, root, data_dir
        self.platform = members.platform
        self.people: list[Member] = []

    def day(self) -> None:
        for _ in range(2):
            member = self.members.join(f"person{len(self.people)}", points=5, password="long enough a password")
            member.uploads(f"Work of {member.username}")
            self.people.append(member)
        for edge_id in ("north", "south"):
            self.announce(edge_id)
            self.announce(edge_id)
        self.members.catch_up()

    def announce(self, edge_id: str) -> None:
        with self.platform.pool.connection() as connection:
            head = next((one for one in heads(connection) if one.edge_id == edge_id), Head(edge_id, 0, GENESIS))
        at = datetime.now(UTC)
        segment = seal(edge_id, head.seq + 1, 1, at, at, head.sha256, encode([announced(head.seq, at)]))
        into_store(lambda: self.platform.store(SYSTEM, "edge"))([segment])

    def backup(self, *, since_last: bool = False) -> Manifest:
        return create(self.url, self.root, self.data_dir, KEY, since_last=since_last)

    @property
    def position(self) -> int:
        with self.platform.pool.connection() as connection:
            return int(connection.execute("SELECT es.safe_position()").fetchone()[0])  # type: ignore[index]

    def destroy_key(self, person: UUID) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(
                "UPDATE keys.subject SET wrapped_key = NULL, destroyed_at = now() WHERE subject_id = %s", (person,)
            )


@pytest.fixture
def busy(members: Members, database: str, root: Path, tmp_path: Path) -> Busy:
    site = Busy(members, database, root, tmp_path / "data")
    site.day()
    return site


OpenRestored = Callable[[str], Platform]


@pytest.fixture
def opened(settings: Settings) -> Iterator[OpenRestored]:
    """Opens the platform over a restored database."""
    platforms: list[Platform] = []

    def open_restored(url: str) -> Platform:
        database = settings.database.model_copy(update={"url": as_user(url, "tracker_app"), "owner_url": url})
        of = settings.model_copy(update={"database": database})
        platforms.append(Platform(of, domain.EVENTS, (*ALL, *POLICIES), secrets=SECRETS))
        return platforms[-1]

    yield open_restored
    for platform in platforms:
        platform.close()


def contents(url: str, *left_out: str) -> dict[str, tuple[int, str]]:
    """Rows and hash of every table."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        connection.execute("SET TIME ZONE 'UTC'")
        found = {one.name: copying.hashed(cursor, one) for one in tables(connection) if one.name not in left_out}
    return {name: (rows.count, rows.sha256) for name, rows in found.items()}


def brought_back(busy: Busy, url: str, data_dir: Path | None = None, **how: Any) -> Restored:
    return restore.restore(url, choose(busy.root, **how), data_dir or busy.data_dir / "restored", NAMES)


def differences(platform: Platform) -> int:
    """What a restored site's read tables differ in from those that its facts make; they caught up first."""
    Members(platform, furnished=True).catch_up()
    return sum(table.differences for one in ALL for table in verify_projection(platform, one))


def count(url: str, query: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


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


def test_edges_are_told_how_their_journals_fit(busy: Busy) -> None:
    for name, seqs in {"north": (7, 8), "south": (3,), "west": (1,), "east": ()}.items():
        directory = busy.data_dir / "edge" / name
        directory.mkdir(parents=True)
        for seq in seqs:
            (directory / f"{seq:016d}.journal").touch()
    with busy.platform.pool.connection() as connection:
        said = {one.edge_id: str(one) for one in edges.standings(connection, busy.data_dir)}
    assert said.keys() == {"north", "south", "west"}
    assert "AHEAD and goes on with 7: segments 3 to 6" in said["north"]
    assert "goes on with 3" in said["south"]
    assert "goes on with 1" in said["west"]
    (busy.data_dir / "edge" / "south" / f"{1:016d}.journal").touch()
    with busy.platform.pool.connection() as connection:
        assert "BEHIND and begins with 1" in str(edges.standings(connection, busy.data_dir)[1])


class Cli:
    """`tracker backup` over this test's database."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def run(self, *arguments: str, into: str = "") -> tuple[int, str]:
        database = {"url": as_user(into, "tracker_app"), "owner_url": into}
        settings = self.settings
        if into:
            settings = settings.model_copy(update={"database": settings.database.model_copy(update=database)})

        def open_platform(of: Settings) -> Platform:
            return Platform(of, domain.EVENTS, (*ALL, *POLICIES))

        app = backup_commands(lambda: settings, lambda found: found, open_platform, ALL, open_sender, erase_again)
        done = CliRunner().invoke(app, list(arguments))
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output


@pytest.fixture
def cli(settings: Settings) -> Cli:
    return Cli(settings)


def test_the_commands_of_an_operator(busy: Busy, cli: Cli, empty: str) -> None:
    code, said = cli.run("create")
    assert code == 0
    name = said.strip().split(":")[0]
    busy.day()
    assert cli.run("create", "--since-last")[0] == 0
    code, said = cli.run("verify")
    assert (code, said.split(", ")[-1].strip()) == (0, "0 flaws")
    assert name in cli.run("list")[1]
    code, said = cli.run("restore", into=empty)
    assert code == 0, said
    assert f"up to position {busy.position}" in said
    assert "north: the store ends at segment 4, no journal here" in said
    assert cli.run("edges")[1].startswith("north: ")
    code, said = cli.run("restore", into=empty)
    assert (code, "the database is not empty" in said) == (1, True)
    assert cli.run("restore", "--to-position", str(10**9), into=empty)[0] == 1
    assert cli.run("verify", "nothing")[0] == 1


def test_keys_of_another_site_are_refused_before_anything_is_done(busy: Busy, cli: Cli, empty: str) -> None:
    busy.backup()
    code, said = cli.run("restore", into=empty)
    assert (code, "secrets are not part of a backup" in said.replace("\n", " ")) == (1, True)
    cli.run("create")
    code, said = cli.run("restore", manifest.read_all(busy.root)[0].name, into=empty)
    assert code == 1
    assert count(empty, "SELECT to_regclass('es.event') IS NULL")


def test_old_keys_are_deleted_before_old_backups(busy: Busy, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = busy.backup(), busy.backup(since_last=True)
    third = busy.backup()

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(days=days)

    days = 31
    monkeypatch.setattr("runtime.backup_cli.datetime", Later)
    where = ("--dir", str(busy.root))
    said = cli.run("prune", *where)[1]
    assert said.splitlines() == [f"{second.name}: keys deleted", f"{first.name}: keys and read deleted"]
    assert manifest.has(busy.root, third, Part.KEYS)
    assert verify(choose(busy.root, first.name)).events > 0, "with the newest keys"
    assert cli.run("prune", *where, "--days", "30")[1].splitlines() == [
        f"{second.name} deleted", f"{first.name} deleted"
    ]  # fmt: skip
    assert [one.name for one in manifest.read_all(busy.root)] == [third.name]


def test_a_fingerprint_tells_keys_apart() -> None:
    assert fingerprint(b"a" * 32) != fingerprint(b"b" * 32)
    assert fingerprint(b"a" * 32) == fingerprint(b"a" * 32)


def test_a_restored_chain_goes_on_and_is_verified(busy: Busy, empty: str, opened: OpenRestored) -> None:
    """From a full backup and increments, each of which has the blocks that were sealed since."""
    sealed(busy.platform)
    busy.backup()
    for _ in range(2):
        busy.day()
        sealed(busy.platform)
        busy.backup(since_last=True)
    kept = verified(busy.platform).head
    assert kept is not None
    assert contents_of_blocks(busy.url) == kept.no
    brought_back(busy, empty)
    restored = opened(empty)
    assert verified(restored, known=[kept]).head == kept
    restored.store(SYSTEM).save(Account.open(AccountKind.BONUS, new_id()))
    assert sealed(restored) == 1
    found = verified(restored, known=[kept])
    assert (found.blocks, found.unsealed) == (kept.no + 1, 0)


def contents_of_blocks(url: str) -> int:
    with psycopg.connect(url) as connection:
        return len(list(blocks(connection)))


def test_a_chain_that_goes_back_in_time_ends_before_what_went(busy: Busy, empty: str, opened: OpenRestored) -> None:
    busy.day()
    wanted = busy.position
    busy.day()
    sealed(busy.platform)
    busy.backup()
    brought_back(busy, empty, position=wanted - 1)
    restored = opened(empty)
    found = verified(restored)
    assert 0 < found.blocks < verified(busy.platform).blocks
    assert found.unsealed > 0, "the block that the moment divides"
    assert sealed(restored) > 0
    assert verified(restored).unsealed == 0
    head = busy_head_at(busy, found.blocks)
    assert verified(restored, known=[head]).events > 0


def busy_head_at(busy: Busy, no: int) -> Block:
    with psycopg.connect(busy.url) as connection:
        return next(one for one in blocks(connection) if one.no == no)


def test_what_was_redacted_after_a_backup_is_so_again_after_a_restore(
    busy: Busy, empty: str, opened: OpenRestored
) -> None:
    sealed(busy.platform)
    busy.backup()
    (position,) = owner_row(busy.url, "SELECT min(position) FROM es.event WHERE data LIKE '%Work of person0%'")
    with psycopg.connect(busy.url, autocommit=True) as owner:
        read, key = busy.platform.history.codec.event, signing_key(busy.platform.site_key(PURPOSE))
        redact(owner, key, read, position, ["name"], "a court")
    assert verified(busy.platform).redacted == 1
    busy.day()
    busy.backup(since_last=True)
    brought_back(busy, empty)
    assert owner_row(empty, "SELECT count(*) FROM es.event WHERE data LIKE '%Work of person0%'") == (0,)
    assert verified(opened(empty)).redacted == 1


def owner_row(url: str, query: str) -> Any:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchone()
