"""A whole site on a disk that has no room for a while: the store and its log, uploads, logs, the edge's journal.

`python -m tests.campaigns.disk_full --seconds 10` as root, since it mounts a file system of its own. Commands and
announces go on meanwhile: each is refused in its form or kept, and when there is room again all that was answered is
there, once, and all credit is exact.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg

from runtime.embedded import Postgres
from tests.bittorrent import make_torrent
from tests.site import Api, Site, eventually, running
from tests.test_kills import PIECE, Announcer, check_credit, check_store, first_torrent

CLIENTS = 2
#: Fits the engines and a site that begins; PostgreSQL's log grows by 16 MiB at a time.
DISK_MIB = 512
RECOVERS_WITHIN_S = 90.0
#: Of all parts: those that a full disk ends are started again with growing pauses, not in a loop.
RESTARTS_MAX = 20
LOG_FILES = 64


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A mounted ext4 of its own."""
    image, disk = folder / "disk.img", folder / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(DISK_MIB * 2**20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


class Ballast(threading.Thread):
    """Takes all room, and whatever becomes free, until it is dropped."""

    def __init__(self, disk: Path) -> None:
        super().__init__(daemon=True)
        self._path = disk / "ballast"
        self._dropped = threading.Event()

    def run(self) -> None:
        with self._path.open("wb") as file:
            while not self._dropped.wait(0.1):
                for size in (2**20, 2**12):
                    self._fill(file.fileno(), bytes(size))

    def drop(self) -> None:
        self._dropped.set()
        self.join()
        self._path.unlink()

    def _fill(self, handle: int, block: bytes) -> None:
        while not self._dropped.is_set():
            try:
                os.write(handle, block)
            except OSError:
                return


class Uploader:
    """Uploads one torrent after the other, each once, and notes what it was told."""

    def __init__(self, api: Api, folder: Path) -> None:
        self.api, self.folder = api, folder
        self.told: Counter[str] = Counter()
        self.kept: list[str] = []
        self.number = 0

    def upload(self) -> bool:
        self.number += 1
        file = make_torrent(self.folder, f"full-{self.number}.bin", PIECE)
        data = {"name": f"Full {self.number}", "description": "x" * 9000, "category": "books", "anonymous": "false"}
        headers = {"Idempotency-Key": str(uuid4())}
        try:
            answer = self.api.http.post(
                "/torrents", files={"file": ("x.torrent", file)}, data=data, headers=headers, timeout=30
            )
        except httpx.TransportError as error:
            self.told[type(error).__name__] += 1
            return False
        self.told[str(answer.status_code)] += 1
        if answer.is_success:
            self.kept.append(answer.json()["id"])
            return True
        assert answer.status_code in (503, 507), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        return False


def use_up_the_log(site: Site) -> None:
    """PostgreSQL has the files of its log made ahead: it goes through them until it needs one that has no room."""
    with suppress(psycopg.OperationalError):
        with psycopg.connect(Postgres(site.directory / "var").url(), autocommit=True) as connection:
            for _ in range(LOG_FILES):
                connection.execute("SELECT pg_logical_emit_message(true, 'full', 'x'), pg_switch_wal()")


def full(site: Site, disk: Path, folder: Path, seconds: float) -> str:
    """One shortage under load; raises AssertionError when anything that was answered is not there after it."""
    sysop, members = site.sysop(), [site.register(f"member{n}") for n in range(CLIENTS)]
    torrent_id = first_torrent(sysop, folder)
    for member in members:
        member.position = sysop.position
    clients = [Announcer(site, member, torrent_id, n) for n, member in enumerate(members)]
    uploader, ballast = Uploader(sysop, folder), Ballast(disk)
    for client in clients:
        client.start()
    ballast.start()
    try:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            uploader.upload()
            time.sleep(0.02)
        use_up_the_log(site)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            uploader.upload()
            time.sleep(0.1)
    finally:
        ballast.drop()
    began = time.monotonic()
    eventually(uploader.upload, RECOVERS_WITHIN_S, "uploads pass again")
    recovered = time.monotonic() - began
    for client in clients:
        client.finish()
    for client, member in zip(clients, members, strict=True):
        check_credit(member, client)
    for one in uploader.kept:
        assert sysop.get(f"/torrents/{one}")["description"] == "x" * 9000
    check_store(site)
    ended = [line for line in site.output if "a part ended" in line]
    assert len(ended) <= RESTARTS_MAX, "\n".join(ended)
    assert all("part=postgres" in line for line in ended), "every other part goes on:\n" + "\n".join(ended)
    assert uploader.told["503"] + uploader.told["507"] > 0, f"the disk was not full enough: {uploader.told}"
    return (
        f"uploads while the disk was full: {dict(uploader.told)}, {len(uploader.kept)} answered and kept;"
        f" passing again after {recovered:.1f} s, {len(ended)} restarts, credit exact"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="with some log left, and as long without any")
    seconds = parser.parse_args().seconds
    if os.geteuid() != 0:
        sys.stdout.write("left out: only root can mount a small disk\n")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        with small_disk(folder) as disk, running(disk) as site:
            sys.stdout.write(full(site, disk, folder, seconds) + "\n")


if __name__ == "__main__":
    main()
