"""Ranks over the API: among enabled accounts, without what was done anonymously, without what is hidden."""

from __future__ import annotations

from typing import Any

import pytest

from domain.announces import Event
from runtime.store import new_id
from tests.in_process import TestClient
from tests.members import Client, Member
from tests.peers.edges import ShippingEdge, announce

pytestmark = pytest.mark.engine


class Site:
    """Four members: the n-th uploads n times 100 bytes and downloads 100; the second and third have uploads."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.members = [client.members.join(name) for name in ("ada", "grace", "barbara", "edith")]
        edge = ShippingEdge(client.platform)
        edge.ship([announce(0, Event.STARTED, user=one.id, left=900) for one in self.members])
        edge.ship([announce(60, user=one.id, up=100 * n, down=100, left=800) for n, one in enumerate(self.members)])
        self.members[1].uploads("A Film")
        self.members[2].uploads("Another", anonymous=True)

    def ranks(self, of: Member, seen_by: Member | None = None) -> Any:
        return self.client.get(seen_by or of, f"/users/{of.id}/ranks").json()


@pytest.fixture
def site(client: Client) -> Site:
    return Site(client)


def test_everybody_is_ranked_among_those_who_have_something(site: Site) -> None:
    assert [site.ranks(one)["uploaded"] for one in site.members] == [0, 33, 66, 100]
    assert [site.ranks(one)["downloaded"] for one in site.members] == [100] * 4
    assert [site.ranks(one)["uploads"] for one in site.members] == [0, 100, 0, 0], "anonymous uploads tell nothing"
    shown = site.ranks(site.members[1])
    assert (shown["requests_filled"], shown["posts"]) == (None, None)
    weighted = 8 * 33 + 20 * 100 + 25 * 100
    assert shown["overall"] == round(weighted / (8 + 20 + 25))
    assert site.ranks(site.members[0])["overall"] == 0, "nothing uploaded: a ratio of 0"


def test_disabled_accounts_are_no_competition(site: Site) -> None:
    sysop = site.client.members.join("root", "sysop")
    answer = site.client.post(sysop, f"/users/{site.members[3].id}/disable", {"reason": "gone"})
    assert answer.status_code == 200, answer.text
    assert [site.ranks(one)["uploaded"] for one in site.members[:3]] == [0, 50, 100]


def test_a_hidden_dimension_is_null_and_without_weight(site: Site) -> None:
    hider, other = site.members[1], site.members[0]
    settings = {"uploads": "hidden", "uniquegroups": "hidden"}
    assert site.client.send("PUT", "/users/me/privacy", hider, settings).status_code == 200
    shown = site.ranks(hider, other)
    assert (shown["uploads"], shown["privacy"]) == (None, {"uploads": "hidden"})
    assert shown["overall"] == round((8 * 33 + 20 * 100) / 28)
    assert site.ranks(hider)["uploads"] == 100


def test_nobody_works_out_a_hidden_ratio(site: Site) -> None:
    hider, other = site.members[1], site.members[0]
    settings = {"ratio": "hidden", "downloaded": "hidden"}
    assert site.client.send("PUT", "/users/me/privacy", hider, settings).status_code == 200
    shown = site.ranks(hider, other)
    assert (shown["downloaded"], shown["overall"], shown["uploaded"]) == (None, None, 33)


def test_who_is_not_there_has_no_rank(site: Site, api: TestClient) -> None:
    assert site.client.get(site.members[0], f"/users/{new_id()}/ranks").status_code == 404
    assert site.client.get(site.members[0], f"/users/{new_id().int}/ranks").status_code == 422
    assert api.get(f"/api/v1/users/{site.members[0].id}/ranks").status_code == 401
