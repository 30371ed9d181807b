"""Swarms over the API: who is in them, and what of it is whose business."""

from __future__ import annotations

from typing import Any

import pytest

from domain.announces import Event
from domain.torrents import Torrent
from runtime.store import new_id
from tests.in_process import TestClient
from tests.members import Client, Member
from tests.peers.edges import IPV6, ShippingEdge, announce
from tests.torrents.uploads import upload

pytestmark = pytest.mark.engine


class Site:
    """Ada seeds her upload over both families, grace leeches it; linus is staff. Another torrent has its own peer."""

    def __init__(self, client: Client, *, anonymous: bool = False) -> None:
        self._client, self.join = client, client.members.join
        self.ada, self.grace = self.join("ada"), self.join("grace")
        self.staff = self.join("linus", "moderator")
        self.film = self._uploaded(1, anonymous=anonymous, trusted=True)
        self.other = self._uploaded(2, trusted=True)
        self.pending = self._uploaded(3)
        self.edge = ShippingEdge(client.platform)
        self.edge.ship(
            [
                announce(
                    0, Event.STARTED, user=self.grace.id, torrent=self.film.id, left=7, address=b"\xc0\x00\x02\x02"
                ),
                announce(1, user=self.ada.id, torrent=self.film.id),
                announce(2, user=self.ada.id, torrent=self.film.id, address=IPV6, port=7000, up=5),
                announce(3, user=self.ada.id, torrent=self.other.id),
                announce(4, user=self.grace.id, torrent=self.film.id, client=2),
                announce(5, Event.STOPPED, user=self.grace.id, torrent=self.film.id, client=2),
            ]
        )

    def peers(self, member: Member, torrent: Torrent | None = None, **params: Any) -> Any:
        found = torrent or self.film
        return self._client.get(member, f"/torrents/{found.id}/peers", **params)

    def _uploaded(self, n: int, **changes: Any) -> Torrent:
        torrent = upload(n, uploader_id=self.ada.id, **changes)
        self.ada.store.save(torrent)
        return torrent


@pytest.fixture
def site(client: Client) -> Site:
    return Site(client)


def test_members_see_who_is_there_and_no_addresses_but_their_own(site: Site) -> None:
    ada, grace = site.peers(site.grace).json()["items"]
    assert ada == {
        "user": {"id": str(site.ada.id), "username": "ada"},
        "client": "qBittorrent 5.1.0",
        "seeder": True,
        "left": 0,
        "uploaded": 5,
        "downloaded": 0,
        "first_announced_at": "2031-01-01T12:00:01Z",
        "last_announced_at": "2031-01-01T12:00:02Z",
        "ip": None,
        "addresses": None,
        "privacy": {},
    }
    assert (grace["user"]["username"], grace["seeder"], grace["left"]) == ("grace", False, 7)
    assert (grace["ip"], grace["addresses"]) == ("192.0.2.2", ["192.0.2.2:6881"])


def test_staff_see_every_address(site: Site) -> None:
    ada, grace = site.peers(site.staff).json()["items"]
    assert (ada["ip"], ada["addresses"]) == ("192.0.2.1", ["192.0.2.1:6881", "[2001:db8::1]:7000"])
    assert grace["ip"] == "192.0.2.2"


def test_an_anonymous_uploader_stays_unnamed(client: Client) -> None:
    site = Site(client, anonymous=True)
    seen = {m.caller.username: site.peers(m).json()["items"] for m in (site.ada, site.grace, site.staff)}
    assert [peer["user"] and peer["user"]["username"] for peer in seen["grace"]] == [None, "grace"]
    assert seen["ada"][0]["user"]["username"] == "ada"
    assert seen["linus"][0]["user"]["username"] == "ada"


def test_each_swarm_is_its_own(site: Site) -> None:
    assert [p["user"]["username"] for p in site.peers(site.grace, site.other).json()["items"]] == ["ada"]


def test_peers_come_page_by_page_seeders_first(site: Site) -> None:
    first = site.peers(site.grace, limit=1).json()
    second = site.peers(site.grace, limit=1, cursor=first["next_cursor"]).json()
    assert [p["seeder"] for p in first["items"] + second["items"]] == [True, False]
    assert second["next_cursor"] is None
    assert site.peers(site.grace, site.other, cursor=first["next_cursor"]).status_code == 422


def test_what_a_member_may_not_see_is_not_there(site: Site) -> None:
    assert site.peers(site.grace, site.pending).status_code == 404
    assert site.peers(site.ada, site.pending).json()["items"] == []
    site.film.delete("dupe", by=site.staff.id, staff=True, now=site.film.created_on)
    site.staff.store.save(site.film)
    assert site.peers(site.grace).status_code == 404
    assert site.peers(site.staff).json()["items"] == []


def test_bad_questions_are_refused(site: Site, api: TestClient) -> None:
    assert api.get(f"/api/v1/torrents/{site.film.id}/peers").status_code == 401
    newcomer = site.join("newbie", "validating")
    assert site.peers(newcomer).json()["code"] == "not_permitted"
    missing = upload(9)
    missing_answer = site.peers(site.grace, missing)
    assert (missing_answer.status_code, missing_answer.json()["code"]) == (404, "not_found")
    assert site.peers(site.grace, limit="101").status_code == 422
    assert api.get("/api/v1/torrents/1/peers", headers=site.grace.headers).status_code == 422
    assert site.peers(site.grace, cursor=str(new_id())).status_code == 422
