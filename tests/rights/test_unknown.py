"""A real edge and a real API over tables that nobody brought up to date for half a minute, and what they do then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote_from_bytes

import psycopg
import pytest
import uvloop

from domain.announce_keys import announce_key
from runtime.knowledge import RIGHTS_KNOWN_FOR_S
from runtime.platform import RIGHTS
from tests.bans.callers import Site, refusal
from tests.members import Member
from tests.tracker_edge.edges import get, target
from tracker_edge.server import Edge, from_platform

pytestmark = pytest.mark.engine

#: An edge looks once a second.
SOON_S = 15


def test_whom_a_ban_concerns_that_no_table_knows_of_goes_on_and_nobody_new_is_let_in(
    site: Site, owner: psycopg.Connection[tuple[object, ...]], tmp_path: Path
) -> None:
    settings = site.platform.settings.edge.model_copy(update={"http_port": 0, "min_interval_s": 0})
    root, ada, bob = (
        site.members.join(name, group) for name, group in (("root", "sysop"), ("ada", "vip"), ("bob", "vip"))
    )
    film = ada.uploads()
    site.members.catch_up()
    site.platform.rights = site.platform.knowledge(*RIGHTS)
    info_hash = bytes.fromhex(film.info_hash_v1 or "")
    edge = Edge(settings, tmp_path / "journal", from_platform(site.platform))

    async def announced(number: int, who: Member) -> bytes:
        own = announce_key(site.platform.secrets.site, who.id, 1, film.id)
        return await get(edge.ports[0], target(number, who.id, film.id, announce_key=own, info_hash=info_hash))

    async def scraped(who: Member) -> bytes:
        own = announce_key(site.platform.secrets.site, who.id, 1, film.id)
        return await get(edge.ports[0], f"/scrape/{own}?info_hash={quote_from_bytes(info_hash)}")

    async def until(question: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(SOON_S):
            while not await question():
                await asyncio.sleep(0.1)

    async def unknown(answer: Awaitable[bytes]) -> bool:
        return b"cannot check rights" in await answer

    async def run() -> None:
        await edge.start()
        try:
            assert b"failure" not in await announced(1, ada)
            assert b"files" in await scraped(bob)
            body = {"kind": "account", "reason": "while nobody looks"}
            assert (await asyncio.to_thread(site.at_once, "POST", f"/users/{ada.id}/bans", root, body)).is_success
            _age(owner, RIGHTS_KNOWN_FOR_S + 1)
            await until(lambda: unknown(scraped(bob)))
            assert await unknown(announced(2, bob))
            assert b"failure" not in await announced(1, ada), "who was there goes on"
            assert await unknown(announced(3, ada))
            refused = await asyncio.to_thread(site.at_once, "GET", "/torrents", bob)
            assert refusal(refused) == (503, "rights_unknown")
            await asyncio.to_thread(site.members.catch_up)
            await until(lambda: _holds(announced(1, ada)))
            await until(lambda: _answered(announced(2, bob)))
            assert b"files" in await scraped(bob)
        finally:
            await edge.stop()

    uvloop.run(run())


async def _holds(answer: Awaitable[bytes]) -> bool:
    return b"disabled" in await answer


async def _answered(answer: Awaitable[bytes]) -> bool:
    return b"failure" not in await answer


def _age(owner: psycopg.Connection[tuple[object, ...]], seconds: float) -> None:
    """Let every fact have been recorded so much earlier, as if that time had passed since."""
    owner.execute("ALTER TABLE es.event DISABLE TRIGGER USER")  # which refuse that anybody changes the log
    owner.execute("UPDATE es.event SET recorded_at = recorded_at - make_interval(secs => %s)", (seconds,))
