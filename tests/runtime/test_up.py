"""`tracker up`: a whole platform on one machine, its ports, and the settings of its parts."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from runtime.embedded import Postgres
from runtime.settings import Edge, Server, Settings, Telemetry
from runtime.supervisor import SupervisorError
from runtime.up import check_ports, roles
from tests.runtime.children import ENV, children_of, gone

#: `tracker up` with small processes in the place of the roles; its argument is the data directory.
UP = """
import os, sys
from pathlib import Path
from runtime.configuration import load
from runtime.supervisor import Child
from runtime.up import answers, up

API = '''
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health/ready" else 404)
        self.end_headers()
    def log_message(self, *_): pass
HTTPServer(("127.0.0.1", int(os.environ["APP__SERVER__PORT"])), Handler).serve_forever()
'''
EDGE = '''
import signal
from runtime.supervisor import announce_ready
announce_ready()
signal.pause()
'''

def prepare(settings):
    import psycopg
    with psycopg.connect(settings.database.owner_url) as connection:
        connection.execute("CREATE ROLE tracker_app LOGIN")
    with psycopg.connect(settings.database.url) as connection:
        return [f"prepared as {connection.info.user}"]

def children(settings):
    env = dict(os.environ) | settings.environ()
    health = settings.server.base_url + "/health/ready"
    run = settings.data_dir / "run"
    return [Child("api", [sys.executable, "-c", API], env, lambda: answers(health)),
            Child("edge", [sys.executable, "-c", EDGE], env, None, run / "edge.ready")]

sys.exit(up(load(), prepare, children))
"""


def named(pid: int, word: str) -> int:
    """The child of `pid` whose command line holds `word`."""
    return next(child for child in children_of(pid) if word in Path(f"/proc/{child}/cmdline").read_text())


def eventually(condition: object, timeout_s: float = 10.0) -> bool:
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@contextmanager
def platform(tmp_path: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """`UP` as a process; killed at the end if it still runs."""
    free = {f"APP__{name}": "0" for name in ("SERVER__PORT", "EDGE__HTTP_PORT", "EDGE__UDP_PORT")}
    env = ENV | free | {"APP__TELEMETRY__METRICS_PORT": "0", "APP__DATA_DIR": str(tmp_path)} | variables
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", UP], env=env, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def until_ready(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        if line == "ready\n":
            return lines
        lines.append(line.rstrip())
    raise AssertionError(process.stderr.read() if process.stderr else "")


def test_the_platform_starts_answers_restarts_its_parts_and_stops_cleanly(tmp_path: Path) -> None:
    with platform(tmp_path) as process:
        lines = until_ready(process)
        assert [line.split()[0] for line in lines] == ["API", "tracker", "metrics", "state", "prepared"]
        assert lines[-1] == "prepared as tracker_app"

        edge, postmaster = named(process.pid, "signal.pause"), named(process.pid, "postgres")
        os.kill(edge, signal.SIGKILL)
        os.kill(postmaster, signal.SIGKILL)
        assert eventually(lambda: len(children_of(process.pid)) == 4 and gone(edge) and gone(postmaster))
        assert eventually(lambda: answers_again(tmp_path))

        pids = children_of(process.pid)
        begun = time.monotonic()
        process.terminate()
        assert process.wait(10) == 0
        assert time.monotonic() - begun < 10
        assert all(gone(pid) for pid in pids)
        assert process.stderr is not None
        assert [line for line in process.stderr if "was killed" in line] == []


def answers_again(data_dir: Path) -> bool:
    try:
        with psycopg.connect(Postgres(data_dir).url(user="tracker_app"), connect_timeout=1):
            return True
    except psycopg.OperationalError:
        return False


def test_nothing_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    with platform(tmp_path) as process:
        until_ready(process)
        pids = children_of(process.pid)
        assert len(pids) == 4
        process.kill()
        process.wait()
        assert eventually(lambda: all(gone(pid) for pid in pids))


def test_a_second_platform_over_the_same_state_is_one_clear_line(tmp_path: Path) -> None:
    with platform(tmp_path) as first:
        until_ready(first)
        with platform(tmp_path) as second:
            _, errors = second.communicate(timeout=20)
        assert second.returncode == 1
        assert errors == f"tracker up: postgres: {tmp_path}/postgres is in use by another run\n"
        assert first.poll() is None


def test_a_busy_port_is_one_clear_line_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        with platform(tmp_path, APP__EDGE__HTTP_PORT=port) as process:
            _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors == f"tracker up: APP__EDGE__HTTP_PORT: port {port} on 127.0.0.1: address already in use\n"
    assert not (tmp_path / "postgres").exists()


def test_state_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with platform(tmp_path / "file") as process:
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors == f"tracker up: APP__DATA_DIR: {tmp_path}/file: File exists\n"


def test_a_signal_during_preparation_stops_what_runs(tmp_path: Path) -> None:
    slow = UP.replace("import psycopg\n", "import time; print('preparing', flush=True); time.sleep(60)\n", 1)
    env = ENV | {"APP__DATA_DIR": str(tmp_path)}
    env |= {f"APP__{name}": "0" for name in ("SERVER__PORT", "EDGE__HTTP_PORT", "EDGE__UDP_PORT")}
    env |= {"APP__TELEMETRY__METRICS_ENABLED": "false"}
    with subprocess.Popen([sys.executable, "-c", slow], env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "preparing\n"
        pids = children_of(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_roles_get_every_setting_and_none_of_the_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP__SERVER__PORT", "1")
    settings = Settings(data_dir=tmp_path, server=Server(port=1234))
    api, worker, edge = roles(settings)
    assert [child.argv[-1] for child in (api, worker, edge)] == ["api", "worker", "edge"]
    for child in (api, worker, edge):
        assert child.env["APP__SERVER__PORT"] == "1234"
        assert child.env["PROMETHEUS_MULTIPROC_DIR"] == str(tmp_path / "metrics")
        assert child.heartbeat == tmp_path / "run" / f"{child.name}.heartbeat"


@contextmanager
def taken(kind: socket.SocketKind) -> Iterator[int]:
    with socket.socket(socket.AF_INET, kind) as busy:
        busy.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            busy.listen()
        yield int(busy.getsockname()[1])


@pytest.mark.parametrize(
    ("section", "key", "kind"),
    [
        ("server", "port", socket.SOCK_STREAM),
        ("edge", "http_port", socket.SOCK_STREAM),
        ("edge", "udp_port", socket.SOCK_DGRAM),
        ("telemetry", "metrics_port", socket.SOCK_STREAM),
    ],
)
def test_a_taken_port_is_named_with_its_setting(section: str, key: str, kind: socket.SocketKind) -> None:
    ports: dict[str, dict[str, int]] = {"server": {"port": 0}, "telemetry": {"metrics_port": 0}}
    ports["edge"] = {"http_port": 0, "udp_port": 0}
    with taken(kind) as port:
        ports[section][key] = port
        with pytest.raises(SupervisorError) as error:
            check_ports(Settings.model_validate(ports))
    name = f"APP__{section}__{key}".upper()
    assert str(error.value) == f"{name}: port {port} on 127.0.0.1: address already in use"


def test_two_settings_cannot_share_a_port() -> None:
    with taken(socket.SOCK_STREAM) as port:
        pass
    settings = Settings(server=Server(port=port), edge=Edge(http_port=port), telemetry=Telemetry(metrics_port=0))
    with pytest.raises(SupervisorError, match=f"^APP__EDGE__HTTP_PORT: port {port} "):
        check_ports(settings)


@pytest.mark.parametrize("host", ["192.0.2.1", "no..host"])
def test_a_host_that_is_not_this_machine_is_named_with_its_setting(host: str) -> None:
    settings = Settings(edge=Edge(host=host, http_port=0, udp_port=0), server=Server(port=0))
    with pytest.raises(SupervisorError, match=f"^APP__EDGE__HOST: {host} is not an address of this machine$"):
        check_ports(settings)


def test_port_zero_becomes_a_free_port() -> None:
    wanted = Settings(server=Server(port=0), edge=Edge(http_port=0, udp_port=0), telemetry=Telemetry(metrics_port=0))
    found = check_ports(wanted)
    assert all((found.server.port, found.edge.http_port, found.edge.udp_port, found.telemetry.metrics_port))


def test_a_list_of_hosts_shares_its_ports() -> None:
    wanted = Settings(edge=Edge(host="127.0.0.1, 127.0.0.2", http_port=0, udp_port=0), server=Server(port=0))
    telemetry = Telemetry(metrics_enabled=False)
    found = check_ports(wanted.model_copy(update={"telemetry": telemetry})).edge
    assert found.udp_url == f"udp://127.0.0.1:{found.udp_port}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as busy:
        busy.bind(("127.0.0.2", 0))
        edge = Edge(host="127.0.0.1, 127.0.0.2", http_port=0, udp_port=busy.getsockname()[1])
        with pytest.raises(SupervisorError, match=r"^APP__EDGE__UDP_PORT: port \d+ on 127\.0\.0\.2: address already"):
            check_ports(Settings(edge=edge, server=Server(port=0), telemetry=telemetry))
