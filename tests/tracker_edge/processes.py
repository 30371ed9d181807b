"""Edges as processes of their own over a test's database, and a plain client for them."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote_from_bytes
from uuid import UUID

from domain.announce_keys import announce_key
from runtime.secrets import ensure
from runtime.settings import Settings

START_TIMEOUT_S = 20.0


class EdgeProcess:
    """`tracker edge` with an id and a port of its own, or a port that it shares; `files` is how many it may open."""

    def __init__(
        self, settings: Settings, edge_id: str, port: int, *, files: int | None = None, **changed: object
    ) -> None:
        edge = settings.edge.model_copy(update={"id": edge_id, "http_port": port, "udp_port": port, **changed})
        quiet = settings.telemetry.model_copy(update={"metrics_enabled": False})  # one port, many processes
        self.settings = settings.model_copy(update={"edge": edge, "telemetry": quiet})
        self.id, self.port = edge_id, port
        self.before = ["sh", "-c", f'ulimit -n {files} && exec "$@"', "sh"] if files else []
        self.secret = ensure(self.settings).site
        self.ready = self.settings.data_dir / f"{edge_id}.ready"
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Starts and waits until it serves."""
        self.ready.unlink(missing_ok=True)
        surroundings = {name: value for name, value in os.environ.items() if not name.startswith("APP__")}
        log = (self.settings.data_dir / f"{self.id}.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [*self.before, sys.executable, "-m", "runtime.cli", "edge"],
                env={**surroundings, **self.settings.environ(), "APP_READY_FILE": str(self.ready)},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.ready.exists():
            alive = self.process.poll() is None and time.monotonic() < deadline
            assert alive, (self.settings.data_dir / f"{self.id}.log").read_text()[-2000:]
            time.sleep(0.02)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends the signal; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(20)

    def announce(self, user_id: UUID, torrent_id: UUID, info_hash: bytes, number: int, **changed: object) -> bytes:
        """The body of the answer to one announce over a connection of its own."""
        return request(self.port, announce_path(self.secret, user_id, torrent_id, info_hash, number, **changed))

    def scrape(self, user_id: UUID, torrent_id: UUID, info_hash: bytes) -> bytes:
        key = announce_key(self.secret, user_id, 1, torrent_id)
        return request(self.port, f"/scrape/{key}?info_hash={quote_from_bytes(info_hash)}")


def announce_path(
    secret: bytes, user_id: UUID, torrent_id: UUID, info_hash: bytes, number: int, **changed: object
) -> str:
    """The path of an announce of the user's client `number`; `changed` are its parameters."""
    parameters: dict[str, object] = {"port": 7000 + number % 50000, "uploaded": 0, "downloaded": 0, "left": 0}
    query = "&".join(f"{name}={value}" for name, value in {**parameters, **changed}.items())
    key = announce_key(secret, user_id, 1, torrent_id)
    peer_id = f"-qB5100-{number:012d}"
    return f"/announce/{key}?info_hash={quote_from_bytes(info_hash)}&peer_id={peer_id}&{query}"


def request(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


@contextmanager
def ending(*edges: EdgeProcess) -> Iterator[None]:
    """Kills afterwards whatever still runs."""
    try:
        yield
    finally:
        for edge in edges:
            if hasattr(edge, "process") and edge.process.poll() is None:
                edge.end(signal.SIGKILL)
