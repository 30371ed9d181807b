from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from runtime.embedded import Postgres
from runtime.heartbeat import Heard
from runtime.settings import Edge, Server, Settings, Telemetry
from runtime.supervisor import READY_FILE, Child, Supervisor, SupervisorError, announce_ready
from runtime.up import check_ports, roles

ENV = {"PATH": os.defpath}

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


def python(name: str, code: str, **more: object) -> Child:
    return Child(name, [sys.executable, "-c", code], ENV, **more)  # type: ignore[arg-type]


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def named(pid: int, word: str) -> int:
    """The child of `pid` whose command line holds `word`."""
    return next(child for child in children_of(pid) if word in Path(f"/proc/{child}/cmdline").read_text())


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


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


def test_a_crashing_child_is_started_again_each_time_a_little_later() -> None:
    ends: list[float] = []

    def on_exit(_: int) -> None:
        ends.append(time.monotonic())
        if len(ends) == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    supervisor = Supervisor(on_exit=on_exit)
    with supervisor.signals():
        supervisor.start(Child("crashing", ["/bin/sh", "-c", "sleep 0.05; exit 3"], ENV))
        supervisor.watch()
        supervisor.stop()
    gaps = [later - earlier for earlier, later in zip(ends, ends[1:], strict=False)]
    assert [gap > least for gap, least in zip(gaps, (0.1, 0.2, 0.4), strict=True)] == [True] * 3
    assert gaps[2] < 2


BEATING = """
import signal, sys, threading, time
from runtime.heartbeat import beat
open({started!r}, "a").write("started ")
while True:
    beat()
    time.sleep(0.01)
"""


def test_a_child_that_hangs_is_killed_and_started_again(tmp_path: Path) -> None:
    started, heartbeat = tmp_path / "started", tmp_path / "heartbeat"
    ended: list[int] = []

    def on_exit(pid: int) -> None:
        ended.append(pid)

    class Watching(Supervisor):
        """Stops its child as soon as that beats, and itself as soon as the next one does."""

        def _tend(self, running: Any, now: float) -> None:
            super()._tend(running, now)
            if heartbeat.exists() and running.process is not None and running.heard is not None:
                if not ended:
                    os.kill(running.process.pid, signal.SIGSTOP)
                else:
                    os.kill(os.getpid(), signal.SIGTERM)

    supervisor = Watching(on_exit=on_exit, hanging_s=0.3)
    with supervisor.signals():
        supervisor.start(python("beating", BEATING.format(started=str(started)), heartbeat=heartbeat))
        supervisor.watch()
        supervisor.stop()
    assert len(ended) == 1
    assert started.read_text().split() == ["started", "started"]


def test_a_child_that_beats_or_has_yet_to_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat"
    heard = Heard(path, hanging_s=-1)
    assert not heard.is_hanging()
    path.touch()
    assert heard.is_hanging()
    patient = Heard(path, hanging_s=60)
    assert not patient.is_hanging()


def test_parts_stop_in_reverse_order(tmp_path: Path) -> None:
    code = f"""
import signal, sys, pathlib
def stop(*_):
    open({str(tmp_path / "order")!r}, "a").write("NAME ")
    sys.exit()
signal.signal(signal.SIGTERM, stop)
pathlib.Path({str(tmp_path)!r}, "NAME").touch()
signal.pause()
"""
    supervisor = Supervisor()
    for name in ("first", "second", "third"):
        started = tmp_path / name
        supervisor.start(python(name, code.replace("NAME", name), ready=started.exists))
    supervisor.stop()
    assert (tmp_path / "order").read_text().split() == ["third", "second", "first"]


def test_a_part_that_does_not_stop_is_killed_within_the_time(tmp_path: Path) -> None:
    code = (
        f"import signal, pathlib; signal.signal(15, signal.SIG_IGN); pathlib.Path({str(tmp_path / 'up')!r}).touch()\n"
    )
    before = set(children_of(os.getpid()))
    supervisor = Supervisor(stop_timeout_s=1.5)
    with ExitStack() as stack:
        stack.callback(supervisor.stop)
        supervisor.start(Child("kind", ["sleep", "60"], ENV))
        supervisor.start(python("deaf", code + "while True: signal.pause()", ready=(tmp_path / "up").exists))
        pids = set(children_of(os.getpid())) - before
        begun = time.monotonic()
    assert time.monotonic() - begun < 2
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_a_child_that_ends_before_it_answers_fails_the_start() -> None:
    supervisor = Supervisor()
    with pytest.raises(SupervisorError, match=r"^api ended \(exit code 7\) before it answered$"):
        supervisor.start(Child("api", ["/bin/sh", "-c", "exit 7"], ENV, ready=lambda: False))


def test_a_child_that_never_answers_fails_the_start() -> None:
    supervisor = Supervisor()
    with pytest.raises(SupervisorError, match=r"^api did not answer within 0.2 s$"):
        supervisor.start(Child("api", ["sleep", "60"], ENV, ready=lambda: False), timeout_s=0.2)
    supervisor.stop()


def test_an_old_ready_file_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "edge.ready").touch()
    supervisor = Supervisor()
    with pytest.raises(SupervisorError, match="did not answer"):
        supervisor.start(Child("edge", ["sleep", "60"], ENV, ready_file=tmp_path / "edge.ready"), timeout_s=0.2)
    supervisor.stop()


def test_a_role_announces_itself_only_to_a_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(READY_FILE, raising=False)
    announce_ready()
    monkeypatch.setenv(READY_FILE, str(tmp_path / "ready"))
    announce_ready()
    assert [path.name for path in tmp_path.iterdir()] == ["ready"]


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
