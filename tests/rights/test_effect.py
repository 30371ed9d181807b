"""Whatever changes somebody's rights holds everywhere once the projections have it: for sessions, API keys, and clients
over HTTP and UDP. How soon that is, `bench.effect` measures."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import uvloop

from domain.announce_keys import announce_key
from tests.members import Client, Member
from tests.tracker_edge import datagrams
from tests.tracker_edge.edges import get, target
from tracker_edge.access_table import newest
from tracker_edge.server import Edge, from_platform

pytestmark = pytest.mark.engine

#: Whether each way in is open, in this order: a session, an API key, the edge over HTTP, and over UDP.
OPEN, SHUT = (True,) * 4, (False,) * 4


class Site:
    """Ada downloads a film; everything is asked of a real edge and of the API."""

    def __init__(self, client: Client, edge: Edge) -> None:
        self.client, self.edge, self.platform = client, edge, client.platform
        self.root = client.members.join("root1", "sysop")
        self.ada = client.members.join("ada")
        self.film = self.ada.uploads()
        self._passkey_no = 1
        client.members.catch_up()
        self.take_key()

    def take_key(self) -> None:
        body = {"name": "k", "scopes": ["read", "write"]}
        self._key = self.client.post(self.ada, "/users/me/api-keys", body).json()["key"]

    def do(self, method: str, path: str, body: Any = None) -> Any:
        """A command of the sysop, and every projection after it."""
        answer = self.client.send(method, path, self.root, body)
        assert answer.is_success, answer.text
        self.client.members.catch_up()
        return answer.json()

    async def ways(self) -> tuple[bool, bool, bool, bool]:
        """Which are open, when the edge has read what the projections wrote."""
        await self._in_step()
        by_session, by_key = [await asyncio.to_thread(self._may_leech, who) for who in (self.ada, self._key)]
        return by_session, by_key, await self._over_http(), await self._over_udp()

    async def _in_step(self) -> None:
        with self.platform.pool.connection() as connection:
            written = newest(connection)[:2]
        async with asyncio.timeout(10):
            while self.edge.access.position != written:
                await asyncio.sleep(0.005)

    def _may_leech(self, who: Member | str) -> bool:
        answer = self.client.at_once("POST", f"/torrents/{self.film.id}/freeleech-token", who)
        assert answer.status_code in (401, 403, 409), answer.text
        return answer.status_code == 409  # as far as the tokens, of which there are none

    @property
    def _announce_key(self) -> str:
        return announce_key(self.platform.secrets.site, self.ada.id, self._passkey_no, self.film.id)

    @property
    def _info_hash(self) -> bytes:
        return bytes.fromhex(self.film.info_hash_v1 or "")

    async def _over_http(self) -> bool:
        query = target(1, self.ada.id, self.film.id, announce_key=self._announce_key, info_hash=self._info_hash)
        return b"failure reason" not in await get(self.edge.ports[0], query)

    async def _over_udp(self) -> bool:
        udp = datagrams.Client(self.edge.udp_ports[0])
        tail = datagrams.options(f"/announce/{self._announce_key}".encode())
        asked = datagrams.announce(await udp.connect(), 1, info_hash=self._info_hash, tail=tail)
        answer = await udp.ask(asked)
        udp.close()
        return answer[:4] == b"\0\0\0\x01"


def test_every_change_of_rights_holds_everywhere(client: Client, tmp_path: Path) -> None:
    settings = client.platform.settings.edge.model_copy(update={"http_port": 0, "udp_port": 0, "min_interval_s": 0})
    edge = Edge(settings, tmp_path / "journal", from_platform(client.platform))

    async def run() -> None:
        await edge.start()
        try:
            await changes(Site(client, edge))
        finally:
            await edge.stop()

    uvloop.run(run())


async def changes(site: Site) -> None:
    user, right = f"/users/{site.ada.id}", f"/users/{site.ada.id}/permissions/announce.leech"
    because = {"reason": "r"}

    async def do(method: str, path: str, body: Any = None) -> tuple[bool, bool, bool, bool]:
        await asyncio.to_thread(site.do, method, path, body)
        return await site.ways()

    whole = next(
        g["permissions"] for g in site.client.get(site.root, "/groups").json()["items"] if g["slug"] == "member"
    )
    less = [permission for permission in whole if permission != "announce.leech"]
    assert await site.ways() == OPEN
    assert await do("PUT", "/groups/member/permissions", {"permissions": less}) == SHUT
    assert await do("PUT", right, {"granted": True, **because}) == OPEN
    assert await do("DELETE", right, because) == SHUT
    assert await do("PUT", f"{user}/secondary-groups/designer", because) == OPEN
    assert await do("DELETE", f"{user}/secondary-groups/designer", because) == SHUT
    assert await do("PUT", "/groups/member/permissions", {"permissions": whole}) == OPEN
    assert await do("PUT", right, {"granted": False, **because}) == SHUT
    assert await do("DELETE", right, because) == OPEN
    assert await do("POST", f"{user}/bans", {"kind": "download", **because}) == SHUT
    (ban,) = site.client.get(site.root, f"{user}/bans").json()["items"]
    assert await do("DELETE", f"/bans/{ban['id']}", because) == OPEN
    assert await do("POST", f"{user}/group", {"group": "validating", **because}) == SHUT
    assert await do("POST", f"{user}/group", {"group": "member", **because}) == OPEN
    assert await do("POST", f"{user}/disable", because) == SHUT
    assert await do("POST", f"{user}/enable", because) == (False, False, True, True), "sessions and keys have ended"
    site.ada = await asyncio.to_thread(site.client.members.sign_in, site.ada.id, "ada")
    await asyncio.to_thread(site.take_key)
    assert await site.ways() == OPEN
    answer = await asyncio.to_thread(site.client.post, site.ada, "/users/me/passkey/reset")
    assert answer.status_code == 200
    await asyncio.to_thread(site.client.members.catch_up)
    assert await site.ways() == (True, True, False, False)
    site._passkey_no = 2
    assert await site.ways() == OPEN
    assert await do("POST", f"{user}/bans", {"kind": "account", **because}) == SHUT
