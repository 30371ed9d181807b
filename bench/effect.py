"""How long after its answer a staff command holds: at the API for sessions and keys, at the edge over HTTP and UDP.

One idle site, everything on this machine. After each command all four are asked in turn until each answers otherwise
than before, so that the slowest is seen as it is and the others a few milliseconds late.
"""

from __future__ import annotations

import argparse
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import quote_from_bytes, urlsplit

import httpx
from bencodepy import decode

from tests.bittorrent import make_torrent
from tests.site import Api, Site, running

#: The promise; longer is told, not judged: this is a benchmark.
BOUND_MS = 1000
#: What the members' group may do in the rounds that take downloading from it.
WITHOUT_LEECHING = ["site.login", "announce.seed", "requests.open"]

#: Nobody resets a passkey more often: then it is another member's turn.
RESETS_A_DAY = 5

#: Whether a way in is open, by its name.
Ways = Mapping[str, Callable[[], bool]]


class Client:
    """A torrent client that announces the same torrent over and over, with something left to download."""

    def __init__(self, api: Api, torrent_id: str, number: int) -> None:
        self._http = httpx.Client(timeout=5)
        self._info_hash = bytes.fromhex(api.get(f"/torrents/{torrent_id}")["info_hash_v1"])
        self._peer_id = f"-qB5100-{number:012d}".encode()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.take(api, torrent_id)

    def take(self, api: Api, torrent_id: str) -> None:
        """Downloads the torrent file, with the announce key of now."""
        torrent: Any = decode(api.get(f"/torrents/{torrent_id}/download"))
        self._url = torrent[b"announce"].decode()
        host = urlsplit(self._url)
        self._udp.settimeout(5)
        self._udp.connect((host.hostname, host.port))
        self._connection_id = self._ask(bytes.fromhex("000004172710198000000000") + b"conn")[8:16]

    def over_http(self) -> bool:
        query = f"info_hash={quote_from_bytes(self._info_hash)}&peer_id={quote_from_bytes(self._peer_id)}&port=7000"
        answer = self._http.get(f"{self._url}?{query}&uploaded=0&downloaded=0&left=9&compact=1&event=started")
        return b"failure reason" not in answer.content

    def over_udp(self) -> bool:
        """BEP 15 with the path of the announce URL as an option (BEP 41)."""
        path = urlsplit(self._url).path.encode()
        counters = struct.pack(">QQQIIIiH", 0, 9, 0, 2, 0, 1, -1, 7000)
        tail = b"\x02" + bytes([len(path)]) + path
        asked = self._connection_id + b"\0\0\0\x01anno" + self._info_hash + self._peer_id + counters + tail
        return self._ask(asked)[:4] == b"\0\0\0\x01"

    def _ask(self, datagram: bytes) -> bytes:
        self._udp.send(datagram)
        return self._udp.recv(4096)


class Member:
    """A member with a session, an API key, and a torrent client."""

    def __init__(self, site: Site, name: str, torrent_id: str, position: int, number: int) -> None:
        self.api, self.name, self._torrent_id = site.register(name), name, torrent_id
        self.api.position, self.id = position, self.api.id
        self._key = httpx.Client(base_url=site.url + "/api/v1", timeout=5)
        self.take_key()
        self.client = Client(self.api, torrent_id, number)

    def sign_in(self) -> None:
        """Again, after what has ended the session and the keys."""
        self.api.login(self.name)
        self.take_key()

    def take_key(self) -> None:
        made = self.api.post("/users/me/api-keys", {"name": "bench", "scopes": ["read", "write"]})
        self._key.headers["Authorization"] = f"Bearer {made['key']}"

    @property
    def edge(self) -> Ways:
        return {"edge HTTP": self.client.over_http, "edge UDP": self.client.over_udp}

    @property
    def all(self) -> Ways:
        keys = {"session": self.api.http, "API key": self._key}
        return {name: partial(self._may_leech, http) for name, http in keys.items()} | dict(self.edge)

    def _may_leech(self, http: httpx.Client) -> bool:
        """Whether a route that needs `announce.leech` gets as far as the member's tokens, of which there are none."""
        return http.post(f"/torrents/{self._torrent_id}/freeleech-token").status_code == 409


def until(ways: Ways, wanted: bool) -> dict[str, float]:
    """Milliseconds until each of these is open, or shut."""
    began, found = time.perf_counter(), dict[str, float]()
    while len(found) < len(ways):
        for name, is_open in ways.items():
            if name not in found and is_open() == wanted:
                found[name] = (time.perf_counter() - began) * 1000
    return found


def rights(sysop: Api, member: Member, group: list[str]) -> Iterator[tuple[str, dict[str, float]]]:
    """The group and the member's own rights: what each change takes or gives holds at all four."""
    permission = f"/users/{member.id}/permissions/announce.leech"
    sysop.send("PUT", "/groups/member/permissions", 200, json={"permissions": WITHOUT_LEECHING})
    yield "group loses a right", until(member.all, wanted=False)
    sysop.send("PUT", permission, 200, json={"granted": True, "reason": "for a moment"})
    yield "right granted", until(member.all, wanted=True)
    sysop.delete(permission, {"reason": "over"})
    yield "grant withdrawn", until(member.all, wanted=False)
    sysop.send("PUT", "/groups/member/permissions", 200, json={"permissions": group})
    yield "group gets a right", until(member.all, wanted=True)
    sysop.send("PUT", permission, 200, json={"granted": False, "reason": "for a moment"})
    yield "right denied", until(member.all, wanted=False)
    sysop.delete(permission, {"reason": "over"})
    yield "denial withdrawn", until(member.all, wanted=True)


def shutting_out(sysop: Api, member: Member) -> Iterator[tuple[str, dict[str, float]]]:
    """Bans, disabling and a new passkey."""
    ban = sysop.post(f"/users/{member.id}/bans", {"kind": "download", "reason": "for a moment"})
    yield "download ban", until(member.all, wanted=False)
    sysop.delete(f"/bans/{ban['id']}", {"reason": "over"})
    yield "download ban lifted", until(member.all, wanted=True)
    ban = sysop.post(f"/users/{member.id}/bans", {"kind": "account", "reason": "for a moment"})
    yield "account ban", until(member.all, wanted=False)
    sysop.delete(f"/bans/{ban['id']}", {"reason": "over"})
    yield "account ban lifted", until(member.edge, wanted=True)
    sysop.post(f"/users/{member.id}/disable", {"reason": "for a moment"})
    yield "account disabled", until(member.all, wanted=False)
    sysop.post(f"/users/{member.id}/enable", {"reason": "over"})
    yield "account enabled", until(member.edge, wanted=True)
    member.sign_in()
    member.api.post("/users/me/passkey/reset")
    yield "passkey reset", until(member.edge, wanted=False)


def client_rule(sysop: Api, member: Member) -> Iterator[tuple[str, dict[str, float]]]:
    rule = {"kind": "deny", "name": "qBittorrent 5.1.0", "peer_id_pattern": "-qB5100-", "reason": "for a moment"}
    made = sysop.post("/tracker/client-rules", rule)
    yield "client rule made", until(member.edge, wanted=False)
    sysop.delete(f"/tracker/client-rules/{made['id']}")
    yield "client rule withdrawn", until(member.edge, wanted=True)


def measure(site: Site, folder: Path, count: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds by change and way in."""
    sysop = site.sysop()
    file = make_torrent(folder, "film.bin", 16384)
    fields = {"name": "Film", "description": "", "category": "books", "tags": "", "anonymous": "false"}
    torrent_id = str(sysop.post("/torrents", files={"file": ("x.torrent", file)}, data=fields)["id"])
    group = next(one["permissions"] for one in sysop.get("/groups")["items"] if one["slug"] == "member")
    found: dict[str, dict[str, list[float]]] = {}
    for number in range(count):
        if number % RESETS_A_DAY == 0:
            member = Member(site, f"member{number}", torrent_id, sysop.position, number)
        until(member.all, wanted=True)
        for changes in (rights(sysop, member, group), client_rule(sysop, member), shutting_out(sysop, member)):
            for name, took in changes:
                for way, took_ms in took.items():
                    found.setdefault(name, {}).setdefault(way, []).append(took_ms)
        member.client.take(member.api, torrent_id)
    return found


def show(found: dict[str, dict[str, list[float]]], line: Callable[[str], None] = print) -> None:
    for name, ways in found.items():
        for way, took in sorted(ways.items()):
            line(f"{name:22} {way:10} {told(took)} = {max(took) / BOUND_MS:.2f} of the bound")
    line(f"everything: {told([one for ways in found.values() for took in ways.values() for one in took])}")


def told(took_ms: list[float]) -> str:
    p99 = quantiles(took_ms, n=100, method="inclusive")[-1] if len(took_ms) > 1 else took_ms[0]
    return f"{len(took_ms):4} times: p50 {median(took_ms):6.1f} ms, p99 {p99:6.1f} ms, longest {max(took_ms):6.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as site:
        show(measure(site, Path(folder), options.rounds))


if __name__ == "__main__":
    main()
