"""Base backups of the embedded PostgreSQL, and a database that comes back from one and the log since, to any moment.

To its end nothing that was acknowledged is missing (`runtime.wal`). Unlike the backups of `create` these hold facts and
keys together, in one version of PostgreSQL: they are for disasters of the last weeks, not for years.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from pwd import struct_passwd

import msgspec
import psycopg

from runtime.backup.drafts import alone
from runtime.backup.manifest import BackupBroken, BackupRefused
from runtime.embedded import EngineError, Postgres, engine_account, own_directory
from runtime.wal import current_era, eras, new_era, run_program

SEGMENT_BYTES = 16 * 2**20
#: How long the log may take until the server answers.
RECOVERY_S = 3600.0
#: A segment's file: timeline, and two halves of its number (PostgreSQL manual, "WAL Internals").
_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial)?")
_SEGMENTS_PER_HALF = 2**32 // SEGMENT_BYTES
_START = re.compile(r"^START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)$", re.MULTILINE)


@dataclass(frozen=True)
class Base:
    """One base backup. A moment from `ended_at` on can be reached from it; `first_segment` is where its log begins."""

    name: str
    era: str
    ended_at: datetime
    first_segment: str
    major: int
    key_fingerprint: str

    def folder(self, place: Path) -> Path:
        return place / self.era / "base" / self.name

    def log(self, place: Path) -> Path:
        return place / self.era / "wal"


def take(place: Path, postgres: Postgres, key_fingerprint: str) -> Base:
    """A base backup of the running server, in the present era. Raises `BackupBroken` or `BackupRefused`."""
    era, account = current_era(place), engine_account(postgres.directory)
    bases = era / "base"
    own_directory(bases, account)
    with alone(bases):
        return _take(bases, era.name, account, postgres, key_fingerprint)


def _take(bases: Path, era: str, account: struct_passwd | None, postgres: Postgres, key_fingerprint: str) -> Base:
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    draft = bases / f".{name}"
    options = ["--checkpoint=fast", "--wal-method=stream", "--no-password", "--dbname", postgres.url("postgres")]
    done = run_program("pg_basebackup", "--pgdata", str(draft), *options, account=account)
    if done.returncode:
        shutil.rmtree(draft, ignore_errors=True)
        raise BackupBroken(f"pg_basebackup: {_why(done.stderr)}")
    start = _START.search((draft / "backup_label").read_text())
    assert start is not None
    major = int((draft / "PG_VERSION").read_text())
    made = Base(name, era, datetime.now(UTC), start[1], major, key_fingerprint)
    draft.rename(bases / name)
    _write(bases / f"{name}.json", msgspec.json.encode(made))  # last: without it there is no such backup
    return made


def ensure(place: Path, postgres: Postgres, key_fingerprint: str) -> None:
    """A log without a base backup before it is good for nothing: takes one if the present era has none."""
    era = current_era(place).name
    if all(base.era != era for base in bases(place)):
        take(place, postgres, key_fingerprint)


def bases(place: Path) -> list[Base]:
    """Every base backup that was finished, oldest first. Raises `BackupBroken` for one that cannot be read."""
    found = []
    for path in sorted(place.glob("era-*/base/*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Base))
        except msgspec.MsgspecError:
            raise BackupBroken(f"{path.stem}: {path.name} was changed") from None
    return sorted(found, key=lambda base: base.ended_at)


def choose(place: Path, when: datetime | None) -> Base:
    """The newest base backup from which that moment, or the end, can be reached. Raises `BackupRefused`."""
    found = bases(place)
    fit = [base for base in found if when is None or base.ended_at <= when]
    if not fit:
        raise BackupRefused(f"{place} has no base backup{' from before that' if found else ''}")
    return fit[-1]


def check(place: Path, base: Base) -> int:
    """Whether the base backup and the log since are whole; returns how many segments. Raises `BackupBroken`."""
    here = int(run_program("postgres", "--version").stdout.split()[-1].partition(".")[0])
    if base.major != here:
        raise BackupBroken(f"{base.name}: of PostgreSQL {base.major}, and this is {here}")
    done = run_program("pg_verifybackup", "--format=plain", "--exit-on-error", str(base.folder(place)))
    if done.returncode:
        raise BackupBroken(f"{base.name}: {_why(done.stderr)}")
    return sum(1 for _ in _whole_log(base, base.log(place)))


def recover(place: Path, base: Base, data_dir: Path, when: datetime | None) -> None:
    """Makes `data_dir/postgres` out of the base backup and its log, up to that moment or to the end.

    What is there afterwards has a log of its own, in an era of its own. Raises `BackupRefused`, `BackupBroken`.
    """
    target = data_dir.resolve() / Postgres.name
    if target.exists():
        raise BackupRefused(f"{target} is there: move it away first")
    fresh, account = target.with_name("postgres.new"), engine_account(target)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(base.folder(place), fresh)
    with (fresh / "postgresql.auto.conf").open("a") as file:
        file.writelines(f"{line}\n" for line in _recovery(base.log(place), when))
    (fresh / "recovery.signal").touch()
    for path in (fresh, *fresh.rglob("*")):
        if account is not None:
            os.chown(path, account.pw_uid, account.pw_gid)
    fresh.chmod(0o700)
    new_era(place)  # first: whatever ends this early, a server that starts here must not go on with the log of before
    fresh.rename(target)
    try:
        _promote(data_dir)
    except EngineError as error:
        shutil.rmtree(target)
        if "before configured recovery target" in str(error):
            raise BackupRefused(f"{base.name}: its log ends before that moment") from None
        raise BackupBroken(f"{base.name}: {error}") from None


def _recovery(log: Path, when: datetime | None) -> Iterator[str]:
    """What the receiver had not finished when it was lost is a file of its own, filled up with zeros."""
    source = shlex.quote(str(log)).replace("%", "%%")
    command = f'cp {source}/%f "%p" 2>/dev/null || cp {source}/%f.partial "%p"'
    yield f"restore_command = {_quoted(command)}"
    yield "recovery_target_timeline = 'latest'"
    if when is not None:
        yield f"recovery_target_time = '{when.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f+00}'"
        yield "recovery_target_action = 'promote'"


def _promote(data_dir: Path) -> None:
    postgres = Postgres(data_dir.resolve())
    postgres.start()
    try:
        postgres.wait_ready(RECOVERY_S)
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            while connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
                time.sleep(0.05)
            for name in (
                "restore_command",
                "recovery_target_timeline",
                "recovery_target_time",
                "recovery_target_action",
            ):
                connection.execute(f"ALTER SYSTEM RESET {name}".encode())
    finally:
        postgres.stop()


def _whole_log(base: Base, log: Path) -> Iterator[int]:
    """The numbers of the segments from the base backup on; raises `BackupBroken` at the first that is not there."""
    found: dict[int, Path] = {}
    for path in sorted(log.iterdir()) if log.is_dir() else ():
        if match := _SEGMENT.fullmatch(path.name):
            found[_number(match[2], match[3])] = path
    first = _number(base.first_segment[8:16], base.first_segment[16:])
    last = max(found, default=-1)
    for number in range(first, last + 1):
        if number not in found:
            raise BackupBroken(f"{base.name}: segment {_segment_name(base, number)} of the log is missing")
        if found[number].stat().st_size != SEGMENT_BYTES:
            raise BackupBroken(f"{base.name}: {found[number].name} of the log is cut short")
        yield number
    if last < first:
        raise BackupBroken(f"{base.name}: segment {base.first_segment} of the log is missing")


def _number(high: str, low: str) -> int:
    return int(high, 16) * _SEGMENTS_PER_HALF + int(low, 16)


def _segment_name(base: Base, number: int) -> str:
    high, low = divmod(number, _SEGMENTS_PER_HALF)
    return f"{base.first_segment[:8]}{high:08X}{low:08X}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _why(text: str) -> str:
    lines = [line for line in text.splitlines() if "error:" in line] or text.splitlines() or ["failed without a word"]
    return lines[-1]


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def delete_before(place: Path, oldest: datetime) -> Iterator[str]:
    """Delete base backups from before that moment, the newest excepted, and the log that no other one needs."""
    kept = [base for base in bases(place) if base.ended_at >= oldest] or bases(place)[-1:]
    for base in bases(place):
        if base not in kept:
            (place / base.era / "base" / f"{base.name}.json").unlink()
            shutil.rmtree(base.folder(place))
            yield f"base {base.name} deleted"
    for era in eras(place)[:-1]:
        if all(base.era != era.name for base in kept):
            shutil.rmtree(era)
            yield f"{era.name} deleted"
    for era in eras(place):
        first = min((base.first_segment[8:] for base in kept if base.era == era.name), default=None)
        segments = [path for path in (era / "wal").glob("*") if _SEGMENT.fullmatch(path.name)]
        for path in segments:
            if first is not None and path.name[8:24] < first:
                path.unlink()
