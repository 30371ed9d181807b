"""How long after its answer a staff command holds at the edge: a client rule, a ban, a reset passkey, a closed torrent.

One idle site, everything on this machine; announces are asked one after the other until the answer changes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from bencodepy import decode

from tests.bittorrent import make_torrent
from tests.site import Api, Site, running

#: The promise; longer is told, not judged: this is a benchmark.
BOUND_MS = 1000


class Client:
    """A torrent client that announces the same torrent over and over."""

    def __init__(self, api: Api, torrent_id: str, number: int) -> None:
        self._http = httpx.Client(timeout=5)
        self._hash = bytes.fromhex(api.get(f"/torrents/{torrent_id}")["info_hash_v1"])
        self._query = f"&peer_id=-qB5100-{number:012d}&port=7000&uploaded=0&downloaded=0&left=0&compact=1&event=started"
        self.take(api, torrent_id)

    def take(self, api: Api, torrent_id: str) -> None:
        """Downloads the torrent file, with the announce key of now."""
        torrent: Any = decode(api.get(f"/torrents/{torrent_id}/download"))
        self._url = torrent[b"announce"].decode() + "?info_hash=" + "".join(f"%{byte:02x}" for byte in self._hash)

    def refused(self) -> bool:
        return b"failure reason" in self._http.get(self._url + self._query).content

    def until(self, refused: bool) -> float:
        """Milliseconds until the answer is of that kind."""
        began = time.perf_counter()
        while self.refused() != refused:
            time.sleep(0.001)
        return (time.perf_counter() - began) * 1000


def upload(sysop: Api, folder: Path, number: int) -> str:
    file = make_torrent(folder, f"{number}.bin", 16384)
    fields = {"name": f"Film {number}", "description": "", "category": "books", "tags": "", "anonymous": "false"}
    return str(sysop.post("/torrents", files={"file": ("x.torrent", file)}, data=fields)["id"])


def rounds(sysop: Api, member: Api, torrent_id: str, number: int) -> Iterator[tuple[str, float]]:
    """One round: each change, how long until it held, and back again."""
    client = Client(member, torrent_id, number)
    client.until(refused=False)
    rule = {"kind": "deny", "name": "qBittorrent 5.1.0", "peer_id_pattern": "-qB5100-", "reason": "for a moment"}
    made = sysop.post("/tracker/client-rules", rule)
    yield "client rule made", client.until(refused=True)
    sysop.delete(f"/tracker/client-rules/{made['id']}")
    yield "client rule withdrawn", client.until(refused=False)
    ban = sysop.post(f"/users/{member.id}/bans", {"kind": "account", "reason": "for a moment"})
    yield "account banned", client.until(refused=True)
    sysop.delete(f"/bans/{ban['id']}", {"reason": "over"})
    yield "ban lifted", client.until(refused=False)
    member.login("member")  # the ban has ended the session
    member.post("/users/me/passkey/reset")
    yield "passkey reset", client.until(refused=True)
    client.take(member, torrent_id)
    yield "new passkey known", client.until(refused=False)


def measure(site: Site, folder: Path, count: int) -> dict[str, list[float]]:
    sysop, member = site.sysop(), site.register("member")
    torrent_id = upload(sysop, folder, 0)
    member.position = sysop.position
    found: dict[str, list[float]] = {}
    for number in range(count):
        for name, took_ms in rounds(sysop, member, torrent_id, number):
            found.setdefault(name, []).append(took_ms)
    return found


def show(found: dict[str, list[float]], line: Callable[[str], None] = print) -> None:
    for name, took in found.items():
        worst = max(took)
        line(f"{name:22} p50 {median(took):6.1f} ms, max {worst:6.1f} ms = {worst / BOUND_MS:.2f} of the bound")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as site:
        show(measure(site, Path(folder), options.rounds))


if __name__ == "__main__":
    main()
