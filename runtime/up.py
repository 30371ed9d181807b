"""`tracker up`: everything on one machine, that is engines, preparation, API, worker, edge; and it stays running."""

from __future__ import annotations

import errno
import http.client
import os
import re
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from prometheus_client import multiprocess

from runtime.backup import physical
from runtime.backup.create import fingerprint
from runtime.backup.manifest import BackupBroken
from runtime.embedded import EngineError, Postgres, Valkey
from runtime.keys_database import KEYS_DATABASE
from runtime.masking import escape_controls, mask_text
from runtime.secrets import SecretsError, ensure
from runtime.settings import PREFIX, Settings, SettingsError, http_url
from runtime.supervisor import Child, Stopped, Supervisor, SupervisorError
from runtime.telemetry import METRICS_DIRECTORY
from runtime.wal import WalReceiver


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
