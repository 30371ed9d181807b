"""Users' numbers over the API: who may see what, and what the answers look like."""

from __future__ import annotations

import pytest

from domain.announces import Event
from runtime.store import new_id
from tests.in_process import TestClient
from tests.members import Client
from tests.peers.edges import ShippingEdge, announce

pytestmark = pytest.mark.engine


class Site:
    """Two members, staff and somebody whose address is not confirmed; ada has uploaded 300 bytes in three announces."""

    def __init__(self, client: Client) -> None:
        members = client.members
        self.ada, self.grace = members.join("ada"), members.join("grace")
        self.staff, self.newcomer = members.join("linus", "moderator"), members.join("newbie", "validating")
        self.get = client.get
        edge = ShippingEdge(client.platform)
        for step in range(4):
            edge.ship([announce(step, Event.REGULAR, user=self.ada.id, up=100 * step, left=1)])


@pytest.fixture
def site(client: Client) -> Site:
    return Site(client)


def test_any_member_sees_the_numbers(site: Site) -> None:
    for member in (site.ada, site.grace):
        answer = site.get(member, f"/users/{site.ada.id}/stats")
        assert answer.status_code == 200
        shown = answer.json()
        assert shown["joined_at"] < shown["last_seen_at"] == "2031-01-01T12:00:03Z"
        assert {name: value for name, value in shown.items() if not name.endswith("_at")} == {
            "id": str(site.ada.id),
            "uploaded": 300,
            "downloaded": 0,
            "ratio": None,
            "buffer": 300,
            "raw_uploaded": 300,
            "raw_downloaded": 0,
            "seeding": 0,
            "leeching": 1,
            "snatched": 0,
            "torrents": 1,
            "seed_size": 0,
            "seed_time_s": 0,
            "average_seed_time_s": 0,
            "uploads": 0,
            "uploads_anonymous": 0 if member is site.ada else None,
            "requests_opened": 0,
            "requests_filled": 0,
            "requests_filled_anonymous": 0 if member is site.ada else None,
            "bounty_spent": 0,
            "bounty_earned": 0,
            "bonus_points": 0,
            "bonus_spent": 0,
            "bonus_earned": 0,
            "reports": 0 if member is site.ada else None,
            "invited": 0,
            "sign_in_days": 1,
            "sign_in_days_longest": 1,
            "privacy": {},
        }
    assert site.get(site.ada, f"/users/{site.grace.id}/stats").json()["uploaded"] == 0


def test_who_is_not_confirmed_sees_only_their_own(site: Site) -> None:
    """The account that they wait in may not look around."""
    assert site.get(site.newcomer, f"/users/{site.newcomer.id}/stats").status_code == 200
    answer = site.get(site.newcomer, f"/users/{site.ada.id}/stats")
    assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted")


def test_explanations_are_for_the_user_and_staff(site: Site) -> None:
    path = f"/users/{site.ada.id}/stats/transfers"
    for member in (site.ada, site.staff):
        items = site.get(member, path).json()["items"]
        assert [item["uploaded"] for item in items] == [100, 100, 100]
        assert items[0]["client_uploaded"] == 300
        assert items[0]["baseline_uploaded"] == 200
        assert "position" not in items[0]
    assert site.get(site.grace, path).status_code == 403


def test_explanations_come_page_by_page(site: Site) -> None:
    path = f"/users/{site.ada.id}/stats/transfers"
    first = site.get(site.ada, path, limit=2).json()
    second = site.get(site.ada, path, limit=2, cursor=first["next_cursor"]).json()
    assert [item["client_uploaded"] for item in first["items"] + second["items"]] == [300, 200, 100]
    assert second["next_cursor"] is None
    foreign = site.get(site.staff, f"/users/{site.grace.id}/stats/transfers", cursor=first["next_cursor"])
    assert (foreign.status_code, foreign.json()["code"]) == (422, "bad_cursor")


@pytest.mark.parametrize("path", ["stats", "stats/transfers"])
def test_bad_questions_are_refused(site: Site, api: TestClient, path: str) -> None:
    assert api.get(f"/api/v1/users/{site.ada.id}/{path}").status_code == 401
    assert site.get(site.staff, f"/users/{new_id()}/{path}").status_code == 404
    assert site.get(site.staff, f"/users/{str(site.ada.id).upper()}/{path}").status_code == 422
    assert site.get(site.staff, f"/users/1/{path}").status_code == 422


@pytest.mark.parametrize("params", [{"limit": "0"}, {"limit": "101"}, {"limit": "1_0"}, {"cursor": "x"}])
def test_bad_pages_are_refused(site: Site, params: dict[str, str]) -> None:
    assert site.get(site.ada, f"/users/{site.ada.id}/stats/transfers", **params).status_code == 422
