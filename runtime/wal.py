"""The write-ahead log of the embedded PostgreSQL in a second place, at the latest when a commit is acknowledged.

`folder` is best on another disk. Each life of a database has an era of its own in it: base backups, and the log from
the first of them on. A recovered database begins a new era, so that no two histories share a log.
"""

from __future__ import annotations

import pwd
import signal
import struct
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from runtime.children import spawn
from runtime.embedded import STANDBY, Engine, EngineError, Postgres, own_directory, postgres_program

SLOT = "tracker_wal"
#: An identifier as this machine has numbers, and where it ends in a segment.
_IDENTIFIER, _HEAD_BYTES = struct.Struct("=Q"), 32


class WalReceiver(Engine):
    """`pg_receivewal` into `era/wal`; while it runs PostgreSQL answers a commit when it has confirmed the commit's log.

    While it does not, commits wait: it is one of the parts that a supervisor starts again.
    """

    name = "wal"
    socket_name = ""
    pid_file = "none"
    stop_signal = signal.SIGINT
    death_signal = signal.SIGKILL

    def __init__(self, folder: Path, postgres: Postgres) -> None:
        super().__init__(_era_of(folder, postgres.directory))
        self.place = folder
        self._postgres = postgres

    def argv(self) -> list[str]:
        return [*self._command(), "--synchronous", "--no-loop"]

    def prepare(self, account: pwd.struct_passwd | None) -> None:
        own_directory(self.directory, account)
        with open(self.log, "ab") as log:
            argv = [*self._command(), "--create-slot", "--if-not-exists"]
            made = spawn(argv, log, signal.SIGKILL, account=account, cwd=self.directory)
            if made.wait() != 0:
                raise EngineError(f"wal: no replication slot: see {self.log}")

    def is_ready(self) -> bool:
        try:
            with psycopg.connect(self._postgres.url("postgres"), autocommit=True, connect_timeout=2) as connection:
                query = "SELECT FROM pg_stat_replication WHERE application_name = %s AND sync_state = 'sync'"
                return connection.execute(query, (STANDBY,)).rowcount > 0
        except psycopg.OperationalError:
            return False

    def _command(self) -> list[str]:
        url = f"{self._postgres.url('postgres')}&application_name={STANDBY}"
        program = str(postgres_program("pg_receivewal"))
        return [program, "--directory", str(self.directory), "--slot", SLOT, "--dbname", url]


def current_era(folder: Path) -> Path:
    """The era that the log goes to; a first one is made."""
    found = eras(folder)
    return found[-1] if found else new_era(folder)


def _era_of(folder: Path, database: Path) -> Path:
    """The present era, or a new one when its log is of another database: one that was lost, and restored otherwise."""
    era = current_era(folder)
    return era if _writer(era / WalReceiver.name) in (None, _identifier(database)) else new_era(folder)


def _identifier(database: Path) -> int | None:
    """What PostgreSQL tells this database from all others by (pg_control.h); None where there is none yet."""
    try:
        return int(_IDENTIFIER.unpack_from((database / "global" / "pg_control").read_bytes())[0])
    except FileNotFoundError:
        return None


def _writer(log: Path) -> int | None:
    """The same of who wrote a log: it is in the head of each segment (xlog_internal.h, XLogLongPageHeaderData)."""
    for path in log.glob("[0-9A-F]" * 24 + "*"):
        with path.open("rb") as segment:
            head = segment.read(_HEAD_BYTES)
        if any(head):
            return int(_IDENTIFIER.unpack_from(head, _HEAD_BYTES - _IDENTIFIER.size)[0])
    return None


def eras(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(path for path in folder.glob("era-*") if path.is_dir())


def new_era(folder: Path) -> Path:
    """Where the log of the next life goes."""
    era = folder / f"era-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    era.mkdir(mode=0o700, parents=True)
    return era


def run_program(
    name: str, *arguments: str, account: pwd.struct_passwd | None = None
) -> subprocess.CompletedProcess[str]:
    """One of PostgreSQL's programs, until it ends."""
    return subprocess.run(
        [str(postgres_program(name)), *arguments],
        capture_output=True,
        text=True,
        check=False,
        user=None if account is None else account.pw_uid,
        group=None if account is None else account.pw_gid,
        extra_groups=None if account is None else [],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        cwd="/",
    )
