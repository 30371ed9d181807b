"""A database that is lost comes back from a base backup and its log: whole, or at a moment; what is broken is named."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from runtime.backup import physical
from runtime.backup.drafts import alone
from runtime.backup.manifest import BackupBroken, BackupRefused
from runtime.backup.physical import Base
from runtime.embedded import Postgres
from runtime.wal import WalReceiver, current_era, eras
from tests.conftest import memory

pytestmark = pytest.mark.engine


class Server:
    """An embedded PostgreSQL whose log is received in `place`, and what was acknowledged to its clients."""

    def __init__(self, folder: Path) -> None:
        self.data_dir, self.place = folder / "var", folder / "second disk"
        self.acknowledged: list[int] = []
        self.start()
        with self.connect() as connection:
            connection.execute("CREATE TABLE written (n int PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())")

    def start(self) -> None:
        self.postgres = Postgres(self.data_dir, synchronous=True)
        self.postgres.start()
        self.postgres.wait_ready()
        self.receiver = WalReceiver(self.place, self.postgres)
        self.receiver.start()
        self.receiver.wait_ready()

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.postgres.url(), autocommit=True)

    def write(self, *numbers: int) -> None:
        with self.connect() as connection:
            for n in numbers:
                connection.execute("INSERT INTO written (n) VALUES (%s)", (n,))
                self.acknowledged.append(n)

    def base(self) -> Base:
        return physical.take(self.place, self.postgres, "fingerprint")

    def now(self) -> datetime:
        with self.connect() as connection:
            row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        assert isinstance(row[0], datetime)
        return row[0].astimezone(UTC)

    def lose(self) -> None:
        """kill -9 of both, and the first disk is gone."""
        for engine in (self.receiver, self.postgres):
            assert engine.process is not None
            engine.process.send_signal(signal.SIGKILL)
        self.stop()
        shutil.rmtree(self.data_dir)

    def stop(self) -> None:
        self.receiver.stop()
        self.postgres.stop()

    def recover(self, when: datetime | None = None) -> None:
        base = physical.choose(self.place, when)
        physical.check(self.place, base)
        physical.recover(self.place, base, self.data_dir, when)
        self.start()

    def written(self) -> list[object]:
        with self.connect() as connection:
            return [n for (n,) in connection.execute("SELECT n FROM written ORDER BY n").fetchall()]


@pytest.fixture
def server() -> Iterator[Server]:
    with TemporaryDirectory(dir=memory(), ignore_cleanup_errors=True) as folder:
        made = Server(Path(folder))
        yield made
        made.stop()


def test_nothing_that_was_acknowledged_is_lost_with_the_disk(server: Server) -> None:
    """Four writers are killed in the middle with the server, at no moment of theirs."""
    server.base()
    enough, lock = threading.Event(), threading.Lock()

    def write(first: int) -> None:
        with server.connect() as connection:
            for n in range(first, first + 100_000):
                try:
                    connection.execute("INSERT INTO written (n) VALUES (%s)", (n,))
                except psycopg.OperationalError:
                    return
                with lock:
                    server.acknowledged.append(n)
                if len(server.acknowledged) > 400:
                    enough.set()

    writers = [threading.Thread(target=write, args=(number * 100_000,)) for number in range(4)]
    for writer in writers:
        writer.start()
    assert enough.wait(60)
    server.lose()
    for writer in writers:
        writer.join()
    server.recover()
    found = set(server.written())
    assert set(server.acknowledged) - found == set()
    assert len(found) - len(server.acknowledged) <= 4, "at most what each was told nothing about"


def test_a_database_comes_back_at_a_moment_and_goes_on_from_there(server: Server) -> None:
    server.write(1, 2)
    server.base()
    server.write(3, 4)
    moment = server.now()
    server.write(5)
    server.base()
    server.write(6)
    server.lose()
    server.recover(moment)
    assert server.written() == [1, 2, 3, 4], "from the base backup before the last"
    server.write(7)
    server.base()
    server.write(8)
    assert len(eras(server.place)) == 2, "two histories share no log"
    server.lose()
    server.recover()
    assert server.written() == [1, 2, 3, 4, 7, 8]


def test_a_recovery_that_is_killed_on_its_way_leaves_two_histories_two_logs(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it left starts as a server: with a log of its own, whatever it has read so far."""
    base = server.base()
    server.write(1)
    server.lose()

    class Killed(BaseException):
        pass

    def killed(data_dir: Path) -> None:
        raise Killed

    monkeypatch.setattr(physical, "_promote", killed)
    with pytest.raises(Killed):
        physical.recover(server.place, base, server.data_dir, None)
    assert (server.data_dir / Postgres.name).exists()
    assert current_era(server.place).name != base.era


def test_commits_wait_while_the_second_place_is_away(server: Server) -> None:
    server.receiver.stop()
    done = threading.Event()

    def write() -> None:
        server.write(1)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    with server.connect() as connection:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        while connection.execute(waiting).fetchone() == (0,):
            assert not done.is_set()
    assert not done.is_set()
    server.receiver.start()
    writer.join(30)
    assert done.is_set()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def second_segment(place: Path, base: Base) -> Path:
    return sorted(path for path in base.log(place).iterdir() if base.first_segment < path.name < "F")[0]


DAMAGES: tuple[tuple[Callable[[Path], None], str, str], ...] = (
    (Path.unlink, "segment", "of the log is missing"),
    (cut, "segment", "of the log is cut short"),
    (flip, "global/pg_control", "pg_control"),
    (cut, "backup_label", "backup_label"),
    (Path.unlink, "PG_VERSION", "PG_VERSION"),
    (empty, "backup_manifest", "manifest"),
    (empty, "itself", "was changed"),
)


def test_what_is_broken_is_named_before_anything_is_done(server: Server) -> None:
    base = server.base()
    for n in range(3):
        server.write(n)
        with server.connect() as connection:
            connection.execute("SELECT pg_switch_wal()")
    server.write(9)
    server.lose()
    folder = base.folder(server.place)
    special = {"segment": second_segment(server.place, base), "itself": folder.with_name(f"{base.name}.json")}
    for damage, name, said in DAMAGES:
        path = special.get(name, folder / name)
        saved = path.read_bytes()
        damage(path)
        with pytest.raises(BackupBroken, match=said) as error:
            physical.check(server.place, physical.choose(server.place, None))
        assert base.name in str(error.value), name
        path.write_bytes(saved)
    assert physical.check(server.place, base) >= 4
    with pytest.raises(BackupBroken, match="of PostgreSQL 9, and this is"):
        physical.check(server.place, Base(**{**vars(base), "major": 9}))
    with pytest.raises(BackupRefused, match="no base backup from before that"):
        physical.choose(server.place, base.ended_at - timedelta(days=1))
    with pytest.raises(BackupRefused, match="ends before that moment"):
        physical.recover(server.place, base, server.data_dir, datetime.now(UTC) + timedelta(days=1))
    assert not (server.data_dir / "postgres").exists()
    (server.data_dir / "postgres").mkdir()
    with pytest.raises(BackupRefused, match="move it away first"):
        physical.recover(server.place, base, server.data_dir, None)


def test_old_base_backups_go_with_their_log(server: Server) -> None:
    first = server.base()
    server.write(1)
    with server.connect() as connection:
        connection.execute("SELECT pg_switch_wal()")
    server.write(2)
    second = server.base()
    assert list(physical.delete_before(server.place, first.ended_at)) == []
    assert list(physical.delete_before(server.place, second.ended_at)) == [f"base {first.name} deleted"]
    assert physical.bases(server.place) == [second]
    assert min(path.name for path in second.log(server.place).iterdir()) >= second.first_segment
    assert list(physical.delete_before(server.place, second.ended_at + timedelta(days=9))) == [], "the newest stays"
    assert physical.check(server.place, second) > 0


def test_what_a_killed_base_backup_has_left_goes_with_the_next_one(server: Server) -> None:
    bases = server.base().folder(server.place).parent
    with alone(bases), pytest.raises(BackupRefused, match="another backup is being made"):
        server.base()
    left = bases / ".20250101T000000.000000Z"
    (left / "base").mkdir(parents=True)
    (left / "PG_VERSION").write_text("18")
    server.base()
    assert not left.exists()
    assert len(physical.bases(server.place)) == 2


def test_another_database_in_the_place_of_a_lost_one_gets_a_log_of_its_own(server: Server) -> None:
    """As after a restore from the other backups: the lost one can still be recovered from what is there of it."""
    server.write(1)
    base = server.base()
    server.write(2)
    server.lose()
    server.acknowledged.clear()
    server.start()
    assert current_era(server.place).name != base.era
    with server.connect() as connection:
        connection.execute("CREATE TABLE written (n int PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())")
    server.write(7)
    server.stop()
    server.start()
    assert len(eras(server.place)) == 2, "it is the same database as before"
    server.base()
    server.write(8)
    server.lose()
    server.recover()
    assert server.written() == [7, 8]
    server.lose()
    physical.recover(server.place, base, server.data_dir, None)
    server.start()
    assert server.written() == [1, 2]
