"""An edge that has not known rights for half a minute: who is there goes on, nobody else is let in, unless the setting
says otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes
from uuid import UUID

import bencodepy
import pytest
import uvloop
from prometheus_client import REGISTRY

from runtime.knowledge import RIGHTS_KNOWN_FOR_S
from tests.tracker_edge import datagrams
from tests.tracker_edge.datagrams import Client, announce
from tests.tracker_edge.edges import ANN, BOB, EVE, FILM, HASH, MemoryStore, get, key, running, target
from tracker_edge.server import Edge

REASON = b"The tracker cannot check rights now, try again later"


class Site:
    """An edge whose rights are known until `forget`."""

    def __init__(self, edge: Edge, knows: list[bool]) -> None:
        self.edge, self._knows = edge, knows

    async def forget(self) -> None:
        await self._turn(known=False)

    async def learn(self) -> None:
        await self._turn(known=True)

    async def _turn(self, *, known: bool) -> None:
        self._knows[:] = [known]
        self.edge._heed_rights()  # as it does each second
        await asyncio.sleep(0)

    async def answer(self, number: int, user_id: UUID, **query: Any) -> dict[bytes, Any]:
        found: dict[bytes, Any] = bencodepy.decode(await get(self.edge.ports[0], target(number, user_id, **query)))
        return found

    async def refused(self, number: int, user_id: UUID, **query: Any) -> bool:
        told = await self.answer(number, user_id, **query)
        if b"failure reason" not in told:
            return False
        assert told[b"failure reason"] == REASON
        assert told[b"retry in"] * 60 == told[b"interval"]
        return True


def on(tmp_path: Path, work: Callable[[Site], Coroutine[Any, Any, None]], **settings: Any) -> MemoryStore:
    store, knows = MemoryStore(), [True]

    async def run() -> None:
        async with running(tmp_path, store=store, known=lambda: knows[0], min_interval_s=0, **settings) as edge:
            await work(Site(edge, knows))

    uvloop.run(run())
    return store


def test_who_is_there_goes_on_with_peers_and_credit_and_nobody_else_is_let_in(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        assert not await site.refused(1, ANN)
        assert not await site.refused(2, BOB)
        await site.forget()
        told = await site.answer(1, ANN, uploaded="500")
        assert (len(told[b"peers"]), told[b"incomplete"]) == (6, 2)
        assert await site.refused(3, EVE)
        assert await site.refused(4, ANN), "another client of who is there is a newcomer too"
        assert (await site.answer(1, ANN))[b"incomplete"] == 2, "who was refused has left no trace"
        await site.learn()
        assert not await site.refused(3, EVE)

    store = on(tmp_path, work)
    assert [one.uploaded for one in store.announces if one.user_id == ANN.bytes] == [0, 500, 0]
    assert len([one for one in store.announces if one.user_id == EVE.bytes]) == 1


def test_who_stops_is_heard_and_may_not_come_back(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        assert not await site.refused(1, ANN)
        await site.forget()
        assert not await site.refused(1, ANN, event="stopped", uploaded="7")
        assert await site.refused(1, ANN, event="started")

    assert [one.uploaded for one in on(tmp_path, work).announces] == [0, 7]


def test_the_same_holds_over_udp(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        client = Client(site.edge.udp_ports[0])
        own = await client.connect()
        assert (await client.ask(announce(own, 1, ANN)))[:4] == b"\0\0\0\x01"
        await site.forget()
        assert (await client.ask(announce(own, 1, ANN)))[:4] == b"\0\0\0\x01"
        refusal = await client.ask(announce(own, 2, BOB))
        assert (refusal[:4], REASON in refusal) == (b"\0\0\0\x03", True)
        client.close()

    on(tmp_path, work)


def test_a_scrape_that_opens_by_a_key_is_refused_and_one_that_needs_none_is_answered(tmp_path: Path) -> None:
    async def work(site: Site) -> None:
        scrape = f"/scrape/{key(ANN)}?info_hash={quote_from_bytes(HASH[FILM])}"

        async def scraped(path: str) -> dict[bytes, Any]:
            told: dict[bytes, Any] = bencodepy.decode(await get(site.edge.ports[0], path))
            return told

        client = Client(site.edge.udp_ports[0])
        own = await client.connect()
        assert HASH[FILM] in (await scraped(scrape))[b"files"]
        await site.forget()
        told = await scraped(scrape)
        assert (told[b"failure reason"], b"files" in told) == (REASON, False)
        assert (await scraped(scrape.replace(key(ANN), "a" * 32)))[b"failure reason"] != REASON, "no key is no key"
        assert (await client.ask(datagrams.scrape(own, HASH[FILM])))[:4] == b"\0\0\0\x02"
        client.close()
        await site.learn()
        assert HASH[FILM] in (await scraped(scrape))[b"files"]

    on(tmp_path, work)


@pytest.mark.parametrize(("setting", "known", "new"), [("refuse", True, True), ("serve", False, False)])
def test_the_operators_setting_decides(tmp_path: Path, setting: str, known: bool, new: bool) -> None:
    async def work(site: Site) -> None:
        assert not await site.refused(1, ANN)
        await site.forget()
        assert (await site.refused(1, ANN), await site.refused(2, BOB)) == (known, new)
        assert not await site.refused(1, ANN, event="stopped")
        scrape = f"/scrape/{key(ANN)}?info_hash={quote_from_bytes(HASH[FILM])}"
        assert (REASON in await get(site.edge.ports[0], scrape)) == new
        await site.learn()
        assert not await site.refused(2, BOB)

    on(tmp_path, work, rights_unknown=setting)


def test_an_edge_looks_each_second_by_itself(tmp_path: Path) -> None:
    async def run() -> None:
        knows = [True]
        async with running(tmp_path, known=lambda: knows[0]) as edge:
            knows[:] = [False]
            async with asyncio.timeout(10):
                while not edge.tracker.closed_to_newcomers:
                    await asyncio.sleep(0.05)
            assert REGISTRY.get_sample_value("edge_rights_age_seconds") == RIGHTS_KNOWN_FOR_S + 1

    uvloop.run(run())
