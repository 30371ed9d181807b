"""The ratio rule at work: whom the worker suspends and restores, once each, and what the user and staff see of it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import uvloop

import runtime.worker.rounds
from commands.users import hold_to_ratio
from domain.announce_keys import announce_key
from domain.announce_rules import RatioRule
from domain.announces import Event
from domain.base import SYSTEM
from domain.permissions import Permission
from domain.rights import Rights
from domain.users import User
from queries.ratio_watch import ratio_watched
from runtime.worker.rounds import watch_ratios
from tests.given import rows_of
from tests.members import Client, Member
from tests.peers.edges import ShippingEdge, announce, stats
from tests.tracker_edge.edges import get, target
from tracker_edge.server import Edge, from_platform

pytestmark = pytest.mark.engine

GIB = 1024**3
NOW = datetime.now(UTC)


class Site:
    """Ada has uploaded 5 GiB of 10, grace 7; a ratio of 0.6 is required from 5 GiB on."""

    def __init__(self, client: Client) -> None:
        self.client, self.members, self.platform = client, client.members, client.platform
        self.admin = self.members.join("admin1", "administrator")
        self.ada, self.grace = self.members.join("ada"), self.members.join("grace")
        self.edge = ShippingEdge(self.platform)
        self.moves(self.ada, 5 * GIB, 10 * GIB)
        self.moves(self.grace, 7 * GIB, 10 * GIB)
        self.require(60)

    def moves(self, who: Member, up: int, down: int, n: int = 1) -> None:
        """One client starts and has moved this much after a day."""
        day = 86_400
        first = announce(n * day, Event.STARTED, user=who.id, client=n, left=1)
        self.edge.ship([first, announce((n + 1) * day, user=who.id, client=n, up=up, down=down, left=1)])

    def require(self, percent: int, from_bytes: int = 5 * GIB) -> None:
        rule = {"required_ratio_percent": percent, "ratio_counts_from_bytes": from_bytes}
        body = {"refused_ports": [], "peers_per_torrent": 3, **rule}
        answer = self.client.send("PUT", "/tracker/announce-rules", self.admin, body)
        assert answer.status_code == 200, answer.text

    def watch(self, now: datetime = NOW) -> None:
        self.members.catch_up()
        watch_ratios(self.platform, now)
        self.members.catch_up()

    def decisions(self) -> list[tuple[Any, ...]]:
        """Whom the rule suspended or restored, by whom that is on record, in order."""
        return rows_of(
            self.platform,
            "SELECT a.username, t.name, e.actor_id, e.origin FROM es.event e JOIN es.event_type t ON t.id = e.type"
            " JOIN read.account a ON a.user_id = e.stream_id WHERE t.name LIKE 'user.leeching%%' ORDER BY e.position",
        )

    def may_leech(self) -> dict[str, bool]:
        rows = rows_of(
            self.platform,
            "SELECT a.username, u.can_leech FROM read.announce_user u JOIN read.account a USING (user_id)"
            " WHERE a.user_id = ANY (%s)",
            [[self.ada.id, self.grace.id]],
        )
        return dict(rows)


@pytest.fixture
def site(client: Client) -> Site:
    return Site(client)


def test_who_is_below_the_ratio_is_suspended_and_restored_when_it_is_reached(site: Site) -> None:
    site.watch()
    assert site.may_leech() == {"ada": False, "grace": True}
    site.moves(site.ada, GIB - 1, 0, n=2)
    site.watch()
    assert site.may_leech() == {"ada": False, "grace": True}
    site.moves(site.ada, 1, 0, n=3)
    site.watch()
    assert site.may_leech() == {"ada": True, "grace": True}
    done = [("ada", f"user.leeching_{what}", SYSTEM, "policy") for what in ("suspended", "restored")]
    assert site.decisions() == done
    site.watch()
    assert site.decisions() == done


def test_a_rule_that_is_switched_off_restores_everybody(site: Site) -> None:
    site.require(80)
    site.watch()
    assert site.may_leech() == {"ada": False, "grace": False}
    site.require(0)
    site.watch()
    assert site.may_leech() == {"ada": True, "grace": True}


def test_who_has_downloaded_little_is_left_alone(site: Site) -> None:
    site.require(60, 10 * GIB + 1)
    site.watch()
    assert site.decisions() == []


def test_without_a_rule_nobody_is_suspended(site: Site) -> None:
    site.require(0, 0)
    site.watch()
    assert site.decisions() == []


def change(site: Site, who: Member, group: str) -> None:
    user = site.platform.store(SYSTEM).get(User, who.id)
    user.change_group(group, "r")
    site.platform.store(SYSTEM).save(user)


def test_a_group_whose_downloads_are_free_is_exempt(site: Site) -> None:
    change(site, site.ada, "vip")
    site.watch()
    assert site.decisions() == []
    change(site, site.ada, "member")
    site.watch()
    change(site, site.ada, "vip")
    site.watch()
    assert [what for _, what, _, _ in site.decisions()] == ["user.leeching_suspended", "user.leeching_restored"]


def test_who_has_free_downloads_by_rights_of_its_own_is_exempt(site: Site) -> None:
    site.watch()
    assert site.may_leech() == {"ada": False, "grace": True}
    end, rights = NOW + timedelta(days=1), Rights.open(site.ada.id)
    rights.grant(Permission.FREELEECH, "r", end, now=NOW)
    site.platform.store(SYSTEM).save(rights)
    site.watch(end - timedelta(seconds=1))
    assert site.may_leech() == {"ada": True, "grace": True}
    site.watch(end)
    assert site.may_leech() == {"ada": False, "grace": True}


def test_personal_freeleech_exempts_for_its_time(site: Site) -> None:
    end = NOW + timedelta(days=1)
    user = site.platform.store(SYSTEM).get(User, site.ada.id)
    user.grant_freeleech(end, now=NOW)
    site.platform.store(SYSTEM).save(user)
    site.watch(end - timedelta(seconds=1))
    assert site.decisions() == []
    site.watch(end)
    assert site.may_leech() == {"ada": False, "grace": True}


def test_who_may_not_download_anyway_is_not_looked_at(site: Site) -> None:
    change(site, site.ada, "banned")
    site.watch()
    assert site.decisions() == []


def test_who_is_banned_from_downloads_is_not_suspended_too(site: Site) -> None:
    body = {"kind": "download", "reason": "r"}
    assert site.client.send("POST", f"/users/{site.ada.id}/bans", site.admin, body).status_code == 201
    site.watch()
    assert site.decisions() == []
    assert site.may_leech() == {"ada": False, "grace": True}


def test_several_workers_at_once_record_it_once(site: Site) -> None:
    site.require(80)
    site.members.catch_up()
    with ThreadPoolExecutor(3) as threads:  # and read tables that none of them has moved yet
        list(threads.map(lambda _: watch_ratios(site.platform, NOW), range(6)))
    site.members.catch_up()
    assert sorted(site.decisions()) == [
        (name, "user.leeching_suspended", SYSTEM, "policy") for name in ("ada", "grace")
    ]
    site.require(0)
    site.members.catch_up()
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: watch_ratios(site.platform, NOW), range(6)))
    site.members.catch_up()
    assert site.may_leech() == {"ada": True, "grace": True}
    assert len(site.decisions()) == 4


def test_the_account_decides_again_when_the_tables_were_behind(site: Site) -> None:
    site.members.catch_up()
    change(site, site.ada, "vip")  # the tables say member still
    watch_ratios(site.platform, NOW)
    hold_to_ratio(site.platform.store(SYSTEM), site.grace.id, 7 * GIB, 10 * GIB, NOW)
    site.members.catch_up()
    assert site.decisions() == []


def test_what_was_decided_by_old_tables_is_not_decided_again_by_them(site: Site) -> None:
    site.members.catch_up()
    watch_ratios(site.platform, NOW)
    hold_to_ratio(site.platform.store(SYSTEM), site.ada.id, 6 * GIB, 10 * GIB, NOW)  # somebody saw newer figures
    watch_ratios(site.platform, NOW)
    site.members.catch_up()
    assert site.may_leech() == {"ada": True, "grace": True}
    assert len(site.decisions()) == 2


def test_more_users_than_one_question_takes_are_all_seen(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.worker.rounds, "WATCHED_AT_ONCE", 1)
    site.require(80)
    site.watch()
    assert site.may_leech() == {"ada": False, "grace": False}
    site.require(0)
    site.watch()
    assert site.may_leech() == {"ada": True, "grace": True}


def test_the_user_and_senior_staff_see_why_and_the_audit_log_says_so(site: Site) -> None:
    mod, forum = site.members.join("moda", "moderator"), site.members.join("forum", "forum_moderator")
    site.watch()
    why = "ratio below the required 0.60"
    shown = site.client.get(site.ada, "/users/me").json()
    assert (shown["leeching_suspended"], shown["ratio"]) == (why, 0.5)
    assert site.client.get(site.grace, "/users/me").json()["leeching_suspended"] is None
    path = f"/users/{site.ada.id}"
    seen = {
        m.username: site.client.get(m, path).json()["leeching_suspended"] for m in (site.ada, mod, site.grace, forum)
    }
    assert seen == {"ada": why, "moda": why, "grace": None, "forum": None}
    assert site.client.get(mod, f"/users/{site.grace.id}").json()["leeching_suspended"] is None
    (entry,) = site.client.get(mod, "/audit", type="user.leeching_suspended").json()["items"]
    assert (entry["actor"]["username"], entry["subject"]["id"], entry["reason"]) == ("system", str(site.ada.id), why)
    assert (entry["data"]["uploaded"], entry["data"]["downloaded"]) == (5 * GIB, 10 * GIB)


def test_an_edge_evicts_a_leecher_who_is_suspended_and_credits_its_stop(site: Site, tmp_path: Path) -> None:
    film = site.ada.uploads()
    site.members.catch_up()
    settings = site.platform.settings.edge.model_copy(update={"http_port": 0, "udp_port": 0, "min_interval_s": 0})
    sources = from_platform(site.platform)

    async def ask(edge: Edge, who: Member, number: int, **query: str) -> bytes:
        key = announce_key(sources.announce_secret, who.id, 1, film.id)
        info_hash = bytes.fromhex(film.info_hash_v1 or "")
        return await get(edge.ports[0], target(number, who.id, film.id, announce_key=key, info_hash=info_hash, **query))

    async def run(edge: Edge) -> list[bytes]:
        await edge.start()
        try:
            began = [await ask(edge, who, n, left="100") for n, who in ((1, site.ada), (2, site.grace))]
            assert leechers(edge) == 2
            await asyncio.to_thread(site.watch)
            await gone(edge)
            seeding = await ask(edge, site.ada, 3, left="0")
            stopped = await ask(edge, site.ada, 1, left="100", uploaded="300", event="stopped")
            return [await ask(edge, site.ada, 1, left="100"), *began, seeding, stopped]
        finally:
            await edge.stop()

    def leechers(edge: Edge) -> int:
        return edge.swarms.counts(film.id.bytes).incomplete

    async def gone(edge: Edge) -> None:
        async with asyncio.timeout(5):
            while leechers(edge) > 1:
                await asyncio.sleep(0.01)

    refused, *answered = uvloop.run(run(Edge(settings, tmp_path / "journal", sources)))
    assert b"Downloading is not allowed for this account" in refused
    assert all(b"failure reason" not in answer for answer in answered), answered
    site.members.catch_up()
    assert stats(site.platform, site.ada.id)["uploaded"] == 5 * GIB + 300


def test_the_question_takes_each_side_of_the_rule_exactly(site: Site) -> None:
    site.members.catch_up()

    def asked(percent: int, from_bytes: int, limit: int = 10, after: UUID | None = None) -> list[UUID]:
        with site.platform.pool.connection() as connection:
            return [w.user_id for w in ratio_watched(connection, RatioRule(percent, from_bytes), NOW, limit, after)]

    both = sorted([site.ada.id, site.grace.id])
    assert asked(50, 10 * GIB) == []
    assert asked(51, 10 * GIB) == [site.ada.id]
    assert asked(51, 10 * GIB + 1) == []
    assert asked(1000, 0) == both
    assert asked(1000, 0, limit=1) == both[:1]
    assert asked(1000, 0, after=both[0]) == both[1:]
    assert asked(0, 0) == []
    site.watch()
    assert asked(60, 5 * GIB) == []
    assert asked(50, 5 * GIB) == asked(60, 10 * GIB + 1) == asked(0, 0) == [site.ada.id]
