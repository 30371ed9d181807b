from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from runtime.embedded import MAX_SOCKET_PATH, EngineError, Postgres, Valkey
from tests.engines import drop_database, fresh_database, start_postgres, start_valkey

OWNER = """
import sys, time
from pathlib import Path
from runtime.embedded import Postgres, Valkey
with Postgres(Path(sys.argv[1]), durable=False) as postgres, Valkey(Path(sys.argv[1])) as valkey:
    print(postgres.process.pid, valkey.process.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    engine = start_postgres(tmp_path_factory.mktemp("engine"), durable=True)
    yield engine
    engine.stop()


def ask(postgres: Postgres, query: str) -> object:
    with psycopg.connect(postgres.url()) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


def kill(engine: Postgres | Valkey) -> None:
    assert engine.process is not None
    engine.process.kill()
    engine.process.wait()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("setting", "value"),
    [("fsync", "on"), ("synchronous_commit", "on"), ("full_page_writes", "on"), ("data_checksums", "on")]
    + [("listen_addresses", ""), ("server_encoding", "UTF8"), ("TimeZone", "UTC"), ("max_connections", "100")],
)
def test_postgresql_keeps_what_it_acknowledged_and_listens_to_this_machine_only(
    postgres: Postgres, setting: str, value: str
) -> None:
    assert ask(postgres, f"SHOW {setting}") == value


def test_letters_beyond_ascii_fold_and_have_trigrams(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url()) as connection:
        connection.execute("CREATE EXTENSION pg_trgm")
        found = connection.execute("SELECT lower('ÄŽ Привет'), similarity('Привет', 'Приветы') > 0.5").fetchone()
        connection.rollback()
    assert found == ("äž привет", True)


def test_the_server_does_not_run_as_root_and_nobody_else_may_enter_its_directories(postgres: Postgres) -> None:
    assert postgres.process is not None
    uid = os.stat(f"/proc/{postgres.process.pid}").st_uid
    assert uid != 0
    for directory in (postgres.directory, postgres.socket_dir):
        assert (directory.stat().st_mode & 0o777, directory.stat().st_uid) == (0o700, uid)


def test_a_copy_of_a_database_has_its_tables_and_can_be_dropped(postgres: Postgres) -> None:
    template = fresh_database(postgres, "template1")
    with psycopg.connect(template) as connection:
        connection.execute("CREATE TABLE here (id int)")
        name = connection.info.dbname
    url = fresh_database(postgres, name)
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO here VALUES (1)")
        connection.commit()
        drop_database(postgres, url)
    drop_database(postgres, template)
    assert ask(postgres, "SELECT count(*) FROM pg_database WHERE datname LIKE 'test%'") == 0


def test_a_second_run_over_the_same_directory_is_one_clear_line(postgres: Postgres) -> None:
    with pytest.raises(EngineError, match=r"^postgres: \S+ is in use by another run$"):
        Postgres(postgres.directory.parent).start()
    assert ask(postgres, "SELECT 1") == 1


def test_committed_rows_survive_the_kill_of_the_server(tmp_path: Path) -> None:
    with Postgres(tmp_path) as postgres:
        with psycopg.connect(postgres.url()) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        kill(postgres)
        postgres.start()
        postgres.wait_ready()
        assert ask(postgres, "SELECT answer FROM kept") == 42


def test_engines_of_a_killed_run_end_and_the_next_run_takes_over(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        assert [alive(pid) for pid in pids] == [True, True]
        owner.kill()
    with Postgres(tmp_path, durable=False) as postgres, Valkey(tmp_path):  # at once, while the old ones still stop
        assert ask(postgres, "SELECT 1") == 1
        assert [alive(pid) for pid in pids] == [False, False]


def test_a_run_that_left_no_more_than_its_notes_is_no_obstacle(tmp_path: Path) -> None:
    with Postgres(tmp_path, durable=False) as postgres:
        kill(postgres)
        pid_file = postgres.directory / "postmaster.pid"
        lines = pid_file.read_text().splitlines(keepends=True)
    with subprocess.Popen(["sleep", "60"]) as stranger:  # has the number of the dead server now
        pid_file.write_text("".join([f"{stranger.pid}\n", *lines[1:]]))
        with Postgres(tmp_path, durable=False) as postgres:
            assert ask(postgres, "SELECT 1") == 1
        assert stranger.poll() is None
        stranger.kill()


def test_a_half_made_data_directory_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "PG_VERSION").write_text("18\n")
    with Postgres(tmp_path, durable=False) as postgres:
        assert ask(postgres, "SELECT 1") == 1


def test_sockets_stay_short_however_long_the_data_directory_is(tmp_path: Path) -> None:
    engine = Valkey(tmp_path / ("d" * 120) / ("e" * 120))
    with engine:
        assert len(os.fsencode(engine.socket_dir / "valkey.sock")) <= MAX_SOCKET_PATH
        assert Redis.from_url(engine.url()).ping()
    assert not engine.socket_dir.exists()


def test_a_long_temporary_directory_is_not_used_for_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/tmp/" + "t" * 100)
    assert len(os.fsencode(Postgres(tmp_path).socket_dir / ".s.PGSQL.5432")) <= MAX_SOCKET_PATH


def test_a_directory_that_somebody_else_prepared_for_our_sockets_is_refused(tmp_path: Path) -> None:
    engine = Valkey(tmp_path)
    engine.socket_dir.symlink_to(tmp_path)
    try:
        with pytest.raises(EngineError, match="is not a directory of ours"):
            engine.start()
    finally:
        engine.socket_dir.unlink()


@pytest.mark.parametrize("engine", [Postgres, Valkey])
def test_a_data_directory_that_cannot_be_made_is_one_clear_line(
    tmp_path: Path, engine: type[Postgres | Valkey]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError) as error:
        engine(tmp_path / "file" / "var").start()
    assert str(error.value).startswith(f"{engine.name}: {tmp_path}/file")
    assert "\n" not in str(error.value)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with Postgres(tmp_path, durable=False) as postgres:
        pass
    (postgres.directory / "PG_VERSION").write_text("9\n")
    with pytest.raises(EngineError, match=r"^postgres ended: .*FATAL") as error:
        postgres.__enter__()
    assert "\n" not in str(error.value)


def test_why_a_server_ended_is_not_what_it_answered_us_after_that(tmp_path: Path) -> None:
    """On a busy machine our question comes between its reason and its end."""
    server = Postgres(tmp_path)
    server.log.write_text(
        "12:00 FATAL:  recovery ended before configured recovery target was reached\n"
        "12:01 FATAL:  the database system is in recovery mode\n"
    )
    with pytest.raises(EngineError, match="before configured recovery target"):
        server.wait_ready()


def test_valkey_keeps_nothing_and_answers_again_after_a_kill(tmp_path: Path) -> None:
    valkey = start_valkey(tmp_path)
    with Redis.from_url(valkey.url()) as client:
        client.set("wake-up", "1")
        kill(valkey)
        valkey.start()
        valkey.wait_ready()
        assert client.get("wake-up") is None
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-lru"}
    valkey.stop()
    assert valkey.process is None


def test_stopping_takes_moments_and_twice_is_once(tmp_path: Path) -> None:
    postgres = start_postgres(tmp_path)
    with psycopg.connect(postgres.url()):
        begun = time.monotonic()
        postgres.stop()
        assert time.monotonic() - begun < 5
    postgres.stop()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgres.url())


def test_a_server_that_does_not_stop_in_its_time_is_killed(tmp_path: Path) -> None:
    valkey = start_valkey(tmp_path)
    process = valkey.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    valkey.stop(timeout_s=0.2)
    assert process.returncode == -signal.SIGKILL
