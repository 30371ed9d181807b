"""The whole tracker over the API: its hours for every member, its anomalies for staff."""

from __future__ import annotations

from typing import Any

import pytest

from domain.announces import Event
from tests.in_process import TestClient
from tests.members import Client
from tests.peers.edges import ALBUM, FILM, ShippingEdge, announce

pytestmark = pytest.mark.engine

AROUND = {"from": "2031-01-01T00:00:00Z", "to": "2031-01-02T14:00:00Z"}


class Site:
    """Two users whose announces contradict one another, in two hours and over a film and an album."""

    def __init__(self, client: Client) -> None:
        self.get = client.get
        join = client.members.join
        self.ada, self.grace, self.staff = join("ada"), join("grace"), join("linus", "moderator")
        edge = ShippingEdge(client.platform)
        edge.ship([announce(0, Event.STARTED, user=m.id, left=9, up=100) for m in (self.ada, self.grace)])
        edge.ship(
            [announce(10, user=self.ada.id, left=9, up=50), announce(20, user=self.grace.id, left=9, up=10**15)],
            [announce(3600, Event.COMPLETED, user=self.ada.id, torrent=ALBUM, left=5)],
        )
        edge.ship([announce(3700, user=self.ada.id, left=9, up=40), announce(3800, user=self.grace.id, up=10**15 + 7)])

    def anomalies(self, **params: Any) -> list[tuple[str, str]]:
        answer = self.get(self.staff, "/tracker/anomalies", **params)
        assert answer.status_code == 200, answer.text
        return [(item["user"]["username"], item["anomaly"]) for item in answer.json()["items"]]


@pytest.fixture
def site(client: Client) -> Site:
    return Site(client)


def test_the_hours_of_all_swarms_together(site: Site) -> None:
    def point(at: str, *numbers: int) -> dict[str, Any]:
        names = ("seeders", "leechers", "completed", "uploaded", "downloaded", "announces")
        return {"at": at, **dict(zip(names, numbers, strict=True))}

    answer = site.get(site.ada, "/tracker/history", **AROUND).json()
    assert answer["items"] == [
        point("2031-01-01T12:00:00Z", 0, 2, 0, 0, 0, 4),
        point("2031-01-01T13:00:00Z", 1, 3, 1, 7, 0, 3),
    ]
    days = site.get(site.ada, "/tracker/history", step="day", **AROUND).json()
    assert days == {"step": "day", "items": [point("2031-01-01T00:00:00Z", 1, 3, 1, 7, 0, 7)]}


def test_anomalies_come_newest_first_with_their_user_and_explanation(site: Site) -> None:
    assert site.anomalies() == [
        ("ada", "counter_fell"),
        ("ada", "completed_with_bytes_left"),
        ("grace", "implausible_rate"),
        ("ada", "counter_fell"),
    ]
    newest = site.get(site.staff, "/tracker/anomalies").json()["items"][0]
    assert (newest["torrent_id"], newest["baseline_uploaded"], newest["client_uploaded"]) == (str(FILM), 100, 40)
    assert (newest["uploaded"], newest["edge_id"], newest["seq"], newest["n"]) == (0, "edge-1", 4, 0)


def test_anomalies_of_one_user_or_of_one_kind(site: Site) -> None:
    assert site.anomalies(user=site.grace.id) == [("grace", "implausible_rate")]
    assert site.anomalies(kind="counter_fell") == [("ada", "counter_fell")] * 2
    assert site.anomalies(kind="counter_fell", user=site.grace.id) == []
    assert site.get(site.staff, "/tracker/anomalies", kind="boredom").status_code == 422


def test_anomalies_come_page_by_page(site: Site) -> None:
    first = site.get(site.staff, "/tracker/anomalies", limit=3).json()
    second = site.get(site.staff, "/tracker/anomalies", limit=3, cursor=first["next_cursor"]).json()
    places = [(item["seq"], item["n"]) for item in first["items"] + second["items"]]
    assert places == [(4, 0), (3, 0), (2, 1), (2, 0)]
    assert second["next_cursor"] is None
    foreign = site.get(site.staff, "/tracker/anomalies", kind="counter_fell", cursor=first["next_cursor"])
    assert (foreign.status_code, foreign.json()["code"]) == (422, "bad_cursor")


def test_anomalies_are_for_staff(site: Site, api: TestClient) -> None:
    assert site.get(site.ada, "/tracker/anomalies").status_code == 403
    for path in ("anomalies", "history"):
        assert api.get(f"/api/v1/tracker/{path}").status_code == 401
