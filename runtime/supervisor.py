"""How `tracker up` runs everything on one machine: engines, preparation, API, worker, edge; and keeps it running."""

from __future__ import annotations

import errno
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import psycopg
import structlog
from prometheus_client import multiprocess

from runtime.backup import physical
from runtime.backup.create import fingerprint
from runtime.backup.manifest import BackupBroken
from runtime.children import end, spawn
from runtime.embedded import EngineError, Postgres, Valkey
from runtime.heartbeat import HANGING_S, HEARTBEAT_FILE, Heard
from runtime.keys_database import KEYS_DATABASE
from runtime.masking import escape_controls, mask_text
from runtime.secrets import SecretsError, ensure
from runtime.settings import PREFIX, Settings, SettingsError, http_url
from runtime.telemetry import METRICS_DIRECTORY
from runtime.wal import WalReceiver

#: Names the file that a role touches once it serves; see `announce_ready`.
READY_FILE = "APP_READY_FILE"

FIRST_DELAY_S = 0.1
MAX_DELAY_S = 10.0
HEALTHY_AFTER_S = 30.0

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
#: Of the time to stop, what each part still to be stopped keeps for itself.
STOP_RESERVE_S = 1.0
POLL_S = 0.05

log = structlog.get_logger("supervisor")


class SupervisorError(Exception):
    """The platform cannot start; `str(error)` is one line that says why."""


class Stopped(BaseException):
    """A signal asked to stop while something was being prepared."""


class Part(Protocol):
    """What a supervisor keeps running; an embedded engine is one, a `Child` too."""

    @property
    def name(self) -> str: ...

    @property
    def stop_signal(self) -> signal.Signals: ...

    def start(self) -> subprocess.Popen[bytes]: ...

    def is_ready(self) -> bool: ...


@dataclass(frozen=True)
class Child:
    """A process of ours. `ready` tells whether it serves; a `ready_file` is removed before each start, and so is the
    file of its `heartbeat`, which it touches every second."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    ready: Callable[[], bool] | None = None
    ready_file: Path | None = None
    heartbeat: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM

    def start(self) -> subprocess.Popen[bytes]:
        env = dict(self.env)
        if self.ready_file is not None:
            self.ready_file.unlink(missing_ok=True)
            env[READY_FILE] = str(self.ready_file)
        if self.heartbeat is not None:
            self.heartbeat.unlink(missing_ok=True)
            env[HEARTBEAT_FILE] = str(self.heartbeat)
        return spawn(self.argv, None, signal.SIGKILL, env=env)

    def is_ready(self) -> bool:
        return (self.ready_file is None or self.ready_file.exists()) and (self.ready is None or self.ready())


@dataclass
class _Running:
    """A part, its process, and when to try again after the process ended."""

    part: Part
    process: subprocess.Popen[bytes] | None
    started_at: float
    delay_s: float = FIRST_DELAY_S
    retry_at: float | None = None
    heard: Heard | None = None


@dataclass
class Supervisor:
    """Starts parts in order, restarts those that end or hang, stops them in reverse order. Single-threaded."""

    on_exit: Callable[[int], None] = lambda pid: None  # told of every process that ended
    stop_timeout_s: float = STOP_TIMEOUT_S
    hanging_s: float = HANGING_S
    _running: list[_Running] = field(default_factory=list)
    _stopping: bool = False
    _interruptible: bool = False

    def start(self, *parts: Part, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Start parts side by side and wait for all; raises `SupervisorError` when one ends or stays silent."""
        started = []
        for part in parts:
            started.append(_Running(part, None, time.monotonic()))
            self._running.append(started[-1])
            self._begin(started[-1])
        for running in started:
            self._await(running, timeout_s)

    def _await(self, running: _Running, timeout_s: float) -> None:
        part, process, deadline = running.part, running.process, running.started_at + timeout_s
        while not part.is_ready():
            self._check_stop()
            if process is not None and process.poll() is not None:
                raise SupervisorError(f"{part.name} ended ({_how(process)}) before it answered")
            if time.monotonic() > deadline:
                raise SupervisorError(f"{part.name} did not answer within {timeout_s:g} s")
            time.sleep(POLL_S)
        self._check_stop()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Within this block a signal raises `Stopped` at once."""
        self._check_stop()
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    def watch(self) -> None:
        """Keep every part running until a signal asks to stop."""
        while not self._stopping:
            for running in self._running:
                self._tend(running, time.monotonic())
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Stop all parts in reverse order within `stop_timeout_s`; what does not stop in its time is killed."""
        deadline = time.monotonic() + self.stop_timeout_s
        for left, running in reversed(list(enumerate(self._running))):
            if running.process is not None and running.process.poll() is None:
                patience = deadline - left * STOP_RESERVE_S - time.monotonic()
                if not end(running.process, running.part.stop_signal, patience):
                    log.warning("a part did not stop in its time and was killed", part=running.part.name)
        self._running.clear()

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Take SIGTERM, SIGINT and SIGHUP as the wish to stop."""

        def asked(number: int, _: object) -> None:
            self._stopping = True
            if self._interruptible:
                raise Stopped

        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = [(number, signal.signal(number, asked)) for number in numbers]
        try:
            yield
        finally:
            for number, handler in before:
                signal.signal(number, handler)

    def _check_stop(self) -> None:
        if self._stopping:
            raise Stopped

    def _tend(self, running: _Running, now: float) -> None:
        if running.retry_at is not None:
            if now >= running.retry_at:
                self._restart(running, now)
        elif running.process is not None and running.process.poll() is not None:
            self.on_exit(running.process.pid)
            self._ended(running, _how(running.process), now)
        elif running.process is not None and running.heard is not None and running.heard.is_hanging():
            log.error("a part hangs and is killed", part=running.part.name, silent_s=self.hanging_s)
            running.heard = None
            running.process.kill()

    def _begin(self, running: _Running) -> None:
        running.process = running.part.start()
        heartbeat = getattr(running.part, "heartbeat", None)
        running.heard = Heard(heartbeat, self.hanging_s) if heartbeat else None

    def _ended(self, running: _Running, how: str, now: float) -> None:
        if now - running.started_at >= HEALTHY_AFTER_S:
            running.delay_s = FIRST_DELAY_S
        running.retry_at = now + running.delay_s
        log.error("a part ended", part=running.part.name, how=how, restart_in_s=running.delay_s)
        running.delay_s = min(running.delay_s * 2, MAX_DELAY_S)

    def _restart(self, running: _Running, now: float) -> None:
        running.process, running.retry_at, running.started_at = None, None, now
        try:
            self._begin(running)
        except (EngineError, OSError, subprocess.SubprocessError) as error:
            self._ended(running, str(error), now)


def announce_ready() -> None:
    """Tell the supervisor, if there is one, that this role serves: called by the worker and the edge."""
    if path := os.environ.get(READY_FILE):
        Path(path).touch()


def up(
    settings: Settings,
    prepare: Callable[[Settings], Iterable[str] | None],
    make_roles: Callable[[Settings], Sequence[Child]] | None = None,
) -> int:
    """Run the whole platform until a signal comes; returns the exit code.

    `prepare` brings the schema and the default data up to date: it gets settings whose URLs are filled in
    (`database.url` for tracker_app, `database.owner_url` for the owner) and returns lines to print. `make_roles` is
    `roles` unless given.
    """
    settings = settings.model_copy(update={"data_dir": settings.data_dir.resolve()})
    supervisor = Supervisor(on_exit=lambda pid: _forget_metrics(pid, settings.data_dir / "metrics"))
    place = settings.backup.wal_dir
    postgres = None if settings.database.url else Postgres(settings.data_dir, synchronous=bool(place))
    receiver = WalReceiver(Path(place).resolve(), postgres) if place and postgres else None
    if place and not receiver:
        sys.stderr.write(f"tracker up: {PREFIX}BACKUP__WAL_DIR: a server of your own keeps its log itself\n")
        return 1
    valkey = None if settings.redis.url else Valkey(settings.data_dir)
    engines = [engine for engine in (postgres, valkey) if engine is not None]
    with ExitStack() as stack:
        stack.enter_context(supervisor.signals())
        for engine in engines:
            stack.callback(engine.stop)  # releases its directory, after the supervisor has stopped it
        if receiver is not None:
            stack.callback(receiver.stop)
        stack.callback(supervisor.stop)
        try:
            settings = check_ports(_with_engines(settings, postgres, valkey))
            _make_directories(settings.data_dir)
            ensure(settings)
            supervisor.start(*engines)
            if receiver is not None:
                supervisor.start(receiver)  # before the first commit, which waits for it
            with supervisor.interruptible():
                lines = list(prepare(settings) or ())
                if postgres is not None and receiver is not None:
                    physical.ensure(receiver.place, postgres, fingerprint(ensure(settings).key_encryption))
            supervisor.start(*(make_roles or roles)(settings))
            _say(*_addresses(settings), *lines, "ready")
            supervisor.watch()
        except Stopped:
            return 0
        except (SupervisorError, EngineError, SecretsError, SettingsError, BackupBroken, psycopg.Error) as error:
            sys.stderr.write(f"tracker up: {_one_line(error)}\n")
            return 1
    return 0


def roles(settings: Settings) -> list[Child]:
    """The API, the worker and the edge or edges, each with these settings in its environment."""
    count = settings.edge.processes
    run = settings.data_dir / "run"
    env = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | settings.environ()
    if settings.telemetry.metrics_enabled:
        env[METRICS_DIRECTORY] = str(settings.data_dir / "metrics")

    def role(name: str, ready: Callable[[], bool] | None, ready_file: Path | None) -> Child:
        argv = [sys.executable, "-m", "runtime.cli", name]
        return Child(name, argv, env, ready, ready_file, run / f"{name}.heartbeat")

    def edge(number: int) -> Child:
        own = env | {f"{PREFIX}EDGE__ID": f"{settings.edge.id}-{number}"}
        argv = [sys.executable, "-m", "runtime.cli", "edge"]
        files = (run / f"edge-{number}.ready", run / f"edge-{number}.heartbeat")
        return Child(f"edge-{number}", argv, own, None, *files)

    health = http_url(_reachable(settings.server.host), settings.server.port) + "/health/ready"
    return [
        role("api", lambda: answers(health), None),
        role("worker", None, run / "worker.ready"),
        *([role("edge", None, run / "edge.ready")] if count == 1 else [edge(number + 1) for number in range(count)]),
    ]


def answers(url: str) -> bool:
    """Whether `url` (http) answers 200 now."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=2.0)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def check_ports(settings: Settings) -> Settings:
    """Settings with a free port for every 0; raises `SupervisorError` naming the first setting whose port is taken."""
    server, edge, telemetry = settings.server, settings.edge, settings.telemetry
    with ExitStack() as held:

        def port(name: str, host: str, wanted: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
            return int(held.enter_context(_bound(name, host, wanted, kind)).getsockname()[1])

        api = port("SERVER__PORT", server.host, server.port)
        http_port, udp_port = edge.http_port, edge.udp_port
        for host in edge.hosts:
            http_port = port("EDGE__HTTP_PORT", host, http_port)
            udp_port = port("EDGE__UDP_PORT", host, udp_port, socket.SOCK_DGRAM)
        metrics = telemetry.metrics_port
        if telemetry.metrics_enabled:
            metrics = port("TELEMETRY__METRICS_PORT", telemetry.metrics_host, metrics)
    return settings.model_copy(
        update={
            "server": server.model_copy(update={"port": api}),
            "edge": edge.model_copy(update={"http_port": http_port, "udp_port": udp_port}),
            "telemetry": telemetry.model_copy(update={"metrics_port": metrics}),
        }
    )


def _bound(name: str, host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    with ExitStack() as stack:
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0]
            bound = stack.enter_context(socket.socket(family, kind))
            if kind == socket.SOCK_STREAM:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: TIME_WAIT is free
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # IPv4 has sockets of its own
            bound.bind(address)
            if kind == socket.SOCK_STREAM:
                bound.listen(1)
        except (OSError, UnicodeError) as error:
            raise _refused(name, host, port, error) from None
        stack.pop_all()
        return bound


def _refused(name: str, host: str, port: int, error: OSError | UnicodeError) -> SupervisorError:
    """A host that is no name or address of ours (a UnicodeError: not even a name) is blamed on the host's setting."""
    if isinstance(error, UnicodeError | socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        host_name = re.sub(r"(HTTP_|UDP_)?PORT$", "HOST", name)
        return SupervisorError(f"{PREFIX}{host_name}: {host} is not an address of this machine")
    return SupervisorError(f"{PREFIX}{name}: port {port} on {host}: {(error.strerror or 'cannot be used').lower()}")


def _with_engines(settings: Settings, postgres: Postgres | None, valkey: Valkey | None) -> Settings:
    """Settings with every URL filled in."""
    database, redis = settings.database, settings.redis
    if postgres is not None:
        settings = with_embedded(settings, postgres)
        database = settings.database
    if valkey is not None:
        redis = redis.model_copy(update={"url": valkey.url()})
    database = database.model_copy(update={"owner_url": database.owner_url or database.url})
    return settings.model_copy(update={"database": database, "redis": redis})


def with_embedded(settings: Settings, postgres: Postgres) -> Settings:
    """Settings that name the databases of an embedded server: the site's, and that of the keys unless they name one."""
    urls = {"url": postgres.url(user="tracker_app"), "owner_url": postgres.url()}
    keys = settings.keys
    if not keys.database_url:
        own = {"database_url": postgres.url(KEYS_DATABASE, "tracker_app"), "owner_url": postgres.url(KEYS_DATABASE)}
        keys = keys.model_copy(update=own)
    return settings.model_copy(update={"database": settings.database.model_copy(update=urls), "keys": keys})


def _make_directories(data_dir: Path) -> None:
    """Raises `SupervisorError` when the data directory cannot be written to."""
    metrics = data_dir / "metrics"
    try:
        for path in (data_dir, data_dir / "run", metrics):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for values in metrics.glob("*.db"):  # counters of the last run would be added to this one's
            values.unlink()
    except OSError as error:
        raise SupervisorError(f"{PREFIX}DATA_DIR: {error.filename}: {error.strerror}") from None


def _forget_metrics(pid: int, directory: Path) -> None:
    with suppress(OSError):
        multiprocess.mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]


def _addresses(settings: Settings) -> Iterator[str]:
    edge, telemetry = settings.edge, settings.telemetry
    yield f"API      {settings.server.base_url}"
    yield f"tracker  {edge.base_url}/announce  {edge.udp_url}"
    if telemetry.metrics_enabled:
        yield f"metrics  {http_url(telemetry.metrics_host, telemetry.metrics_port)}/metrics"
    yield f"state    {settings.data_dir}"


def _say(*lines: str) -> None:
    """Whoever read our output may have gone (`tracker up | head`); that is no reason to end."""
    with suppress(BrokenPipeError):
        for line in lines:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()


def _one_line(error: Exception) -> str:
    """Our own errors name settings and never values; a driver's may quote a URL."""
    text = str(error).strip()
    return escape_controls(mask_text(text) if isinstance(error, psycopg.Error) else text)


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _how(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
