"""A whole site for tests and benchmarks: `tracker up` in a directory of its own, and clients of its sockets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import psutil

T = TypeVar("T")

PASSWORD = "correct horse battery staple"
START_TIMEOUT_S = 90.0
#: Kills of database and API in a row leave nobody to answer for half a minute, and longer on a busy machine.
PATIENCE_S = 90.0
GRAPHQL = "/graphql"


def free_ports(count: int) -> list[int]:
    """Distinct ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def eventually(question: Callable[[], T | None], timeout_s: float = 20.0, why: str = "") -> T:
    """The first answer that is not empty; fails after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"still waiting after {timeout_s} s: {why or question}"
        time.sleep(0.05)


class Site:
    """One `tracker up`. `kill(role)` is kill -9 of that process; the supervisor brings it back."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.directory = directory
        self.http_port, self.edge_port, self.metrics_port = free_ports(3)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("APP__")},
            "APP__DATA_DIR": str(directory / "var"),
            "APP__SERVER__PORT": str(self.http_port),
            "APP__EDGE__HTTP_PORT": str(self.edge_port),
            "APP__EDGE__UDP_PORT": str(self.edge_port),
            "APP__TELEMETRY__METRICS_PORT": str(self.metrics_port),
            "APP__EDGE__ALLOW_PRIVATE_ADDRESSES": "true",
            **settings,
        }
        self.output: list[str] = []
        self.clients: list[httpx.Client] = []
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.edge_url = f"http://127.0.0.1:{self.edge_port}"

    def start(self) -> float:
        """Start and wait for `ready`; returns the seconds that it took."""
        began = time.monotonic()
        self._ready = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runtime.cli", "up"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        while not self._ready.wait(0.05):
            alive = self.process.poll() is None and time.monotonic() - began < START_TIMEOUT_S
            assert alive, "the site did not start:\n" + "\n".join(self.output[-40:])
        return time.monotonic() - began

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.process.wait(15)

    def end(self) -> None:
        """Stop, or kill with all children; whatever state the site is in."""
        children = psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
        for child in children:
            if child.is_running():
                child.kill()
        self.reader.join(5)
        for client in self.clients:
            client.close()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def tracker(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run `tracker ARGUMENTS` beside the running site."""
        return subprocess.run(
            [sys.executable, "-m", "runtime.cli", *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def pid(self, role: str) -> int | None:
        """The process of api, worker, edge, postgres or valkey."""
        for child in psutil.Process(self.process.pid).children():
            try:
                line = child.cmdline()
            except psutil.Error:
                continue
            if line and (line[-1] == role or Path(line[0]).name.startswith(role)):
                return child.pid
        return None

    def kill(self, role: str) -> int:
        """kill -9 the process of a role; returns the pid that it had."""
        pid = eventually(lambda: self.pid(role), why=f"{role} runs")
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill_and_wait(self, role: str) -> None:
        """kill -9, and wait until the supervisor has started another one."""
        gone = self.kill(role)
        eventually(lambda: self.pid(role) not in (None, gone), 30, f"{role} is restarted")

    def sysop(self, username: str = "sysop") -> Api:
        """Make the first sysop on the machine and log in."""
        made = self.tracker(
            "users", "create", "--username", username, "--email", f"{username}@example.org", "--group", "sysop",
            stdin=PASSWORD + "\n",
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        return self.login(username)

    def register(self, username: str) -> Api:
        Api(self).post(
            "/auth/register", {"username": username, "email": f"{username}@example.org", "password": PASSWORD}
        )
        return self.login(username)

    def login(self, username: str) -> Api:
        return Api(self).login(username)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line.rstrip("\n"))
            if line.strip() == "ready":
                self._ready.set()


class Api:
    """One caller. A command has an id and is repeated until it is answered; queries wait for the caller's commands."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.http = httpx.Client(base_url=site.url + "/api/v1", timeout=20)
        site.clients.append(self.http)
        self.position = 0
        self.id = ""

    def login(self, username: str) -> Api:
        tokens = self.post("/auth/login", {"username": username, "password": PASSWORD})
        self.http.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        self.id = self.get("/users/me")["id"]
        return self

    def post(self, path: str, body: object = None, *, expect: int | None = None, **options: Any) -> Any:
        return self.send("POST", path, expect, **({"json": body} if body is not None else {}), **options)

    def delete(self, path: str, body: object = None) -> Any:
        return self.send("DELETE", path, None, **({"json": body} if body is not None else {}))

    def get(self, path: str, **params: Any) -> Any:
        return self.send("GET", path, None, params=params)

    def ask(self, document: str, **variables: str) -> Any:
        """The data of a GraphQL document that is answered in full."""
        answer = self.post(f"{self.site.url}{GRAPHQL}", {"query": document, "variables": variables}, expect=200)
        assert "errors" not in answer, answer
        return answer["data"]

    def send(self, method: str, path: str, expect: int | None, **options: Any) -> Any:
        """One request, repeated under the same command id while the site is away or catching up."""
        asks = method == "GET" or path.endswith(GRAPHQL)
        headers = {"X-Min-Position": str(self.position)} if asks else {"Idempotency-Key": str(uuid4())}
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = self.http.request(method, path, headers=headers, **options)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code != 503:
                break
            assert time.monotonic() < deadline, f"{method} {path}: no answer"
            time.sleep(0.1)
        assert answer.status_code == expect if expect else answer.is_success, f"{method} {path}: {answer.text}"
        if "json" not in answer.headers.get("content-type", ""):
            return answer.content
        shown = answer.json()
        if isinstance(shown, dict) and isinstance(shown.get("position"), int):
            self.position = max(self.position, shown["position"])
        return shown


@contextmanager
def running(directory: Path, **settings: str) -> Iterator[Site]:
    """A started site that is stopped, or killed with all of its children, afterwards."""
    site = Site(directory, **settings)
    site.start()
    try:
        yield site
    finally:
        site.end()
