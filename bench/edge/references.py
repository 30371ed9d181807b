"""What the edge is measured against in the same run: nginx with a fixed reply, opentracker."""

from __future__ import annotations

import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.catalogue import Catalogue
from runtime.children import spawn

BODY_BYTES = 400
START_TIMEOUT_S = 10.0
NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ default_type text/plain; return 200 "{body}"; }} }}
}}
"""
#: Debian builds it with a list of the torrents that it serves.
OPENTRACKER = "listen.udp 127.0.0.1:{port}\nlisten.tcp 127.0.0.1:{port}\naccess.whitelist {folder}/torrents\n"


def missing() -> dict[str, str]:
    """The references that are not installed, and how to get them."""
    packages = {"nginx": "nginx-light", "opentracker": "opentracker"}
    return {name: f"Debian: apt-get install {package}" for name, package in packages.items() if not _found(name)}


@contextmanager
def nginx(folder: Path, port: int) -> Iterator[None]:
    """One worker that answers everything with 400 bytes."""
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, body="x" * BODY_BYTES))
    with _running([_found("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")], port, folder / "nginx.log"):
        yield


@contextmanager
def opentracker(folder: Path, port: int, catalogue: Catalogue) -> Iterator[None]:
    """An opentracker that serves the catalogue's torrents."""
    (folder / "opentracker.conf").write_text(OPENTRACKER.format(port=port, folder=folder))
    hashes = (info_hash.hex() for torrent in catalogue.torrents for info_hash in torrent.hashes)
    (folder / "torrents").write_text("".join(f"{info_hash}\n" for info_hash in hashes))
    (folder / "torrents").chmod(0o644)
    folder.chmod(0o755)  # it reads the list as another user
    with _running([_found("opentracker"), "-f", str(folder / "opentracker.conf")], port, folder / "opentracker.log"):
        yield


@contextmanager
def _running(command: list[str], port: int, log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = spawn(command, output, signal.SIGTERM)
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} does not start: {log.read_text()}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _found(name: str) -> str:
    """The program, also where only root looks; empty when it is not installed."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin") or ""
