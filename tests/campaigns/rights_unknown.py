"""The projections that say who may do what stand still, and a member is banned: when does the site let nobody in?

`python -m tests.campaigns.rights_unknown`: a minute. Within 30 s nobody can tell the ban from a delay; after that the
edge takes no new session and the API nothing that needs a right, until the projections run again.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote_from_bytes

import httpx
from bencodepy import decode

from runtime.knowledge import RIGHTS_KNOWN_FOR_S
from tests.site import Api, Site, running
from tests.test_kills import first_torrent

#: An edge looks once a second, and so does the thread that asks the store.
SLACK_S = 5.0
STOPPED = ("announce_access", "groups")


class Figures(NamedTuple):
    """Seconds after the change until newcomers and rights were refused, and after the restart until the change held."""

    edge_closed_s: float
    api_closed_s: float
    ban_held_s: float


class Client:
    """Announces of one member's clients."""

    def __init__(self, api: Api, torrent_id: str) -> None:
        torrent: Any = decode(api.get(f"/torrents/{torrent_id}/download"))
        self._url = torrent[b"announce"].decode()
        self._hash = quote_from_bytes(bytes.fromhex(api.get(f"/torrents/{torrent_id}")["info_hash_v1"]))

    def answer(self, number: int) -> str:
        """What client `number` is told: nothing where it is answered with peers."""
        query = (
            f"info_hash={self._hash}&peer_id=-KT2250-{number:012d}&port=7000&uploaded=0&downloaded=0&left=0&compact=1"
        )
        told: Any = decode(httpx.get(f"{self._url}?{query}").content)
        return str(told.get(b"failure reason", b"").decode())


def until(question: Callable[[], bool], timeout_s: float = RIGHTS_KNOWN_FOR_S + SLACK_S) -> float:
    """Seconds until it is so; raises AssertionError when that takes too long."""
    began = time.monotonic()
    while not question():
        assert time.monotonic() - began < timeout_s, "it does not come to that"
        time.sleep(0.1)
    return time.monotonic() - began


def refused(api: Api, path: str) -> str:
    answer = api.http.get(path)
    return "" if answer.is_success else str(answer.json()["code"])


def outage(site: Site, folder: Path) -> Figures:
    sysop, member, other = site.sysop(), site.register("member"), site.register("other")
    torrent_id = first_torrent(sysop, folder)
    member.position = other.position = sysop.position
    client, others = Client(member, torrent_id), Client(other, torrent_id)
    until(lambda: not client.answer(1) and not others.answer(2))
    for name in STOPPED:
        assert site.tracker("projections", "pause", name, "--live").returncode == 0
    sysop.post(f"/users/{member.id}/bans", {"kind": "account", "reason": "while nobody looks"})
    sysop.send("PUT", "/groups/vip/permissions", 200, json={"permissions": ["site.login"]})
    began = time.monotonic()
    newcomers = iter(range(100, 10_000))
    until(lambda: "cannot check rights" in client.answer(next(newcomers)))
    edge_closed_s = time.monotonic() - began
    assert not others.answer(2), "who was there goes on"
    until(lambda: refused(other, "/torrents") == "rights_unknown")
    api_closed_s = time.monotonic() - began
    assert refused(sysop, "/tracker/announce-rules") == "rights_unknown"
    assert refused(other, "/users/me") == ""
    for name in STOPPED:
        assert site.tracker("projections", "resume", name, "--live").returncode == 0
    held = until(lambda: "disabled" in client.answer(1))
    until(lambda: not others.answer(next(newcomers)) and not refused(other, "/torrents"))
    return Figures(edge_closed_s, api_closed_s, held)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as site:
        figures = outage(site, Path(folder))
    sys.stdout.write(
        f"rights unknown: the edge let nobody new in after {figures.edge_closed_s:.1f} s, the API refused after"
        f" {figures.api_closed_s:.1f} s, the ban held {figures.ban_held_s:.1f} s after the projections went on\n"
    )


if __name__ == "__main__":
    main()
