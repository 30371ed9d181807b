"""A torrent's past over the API: its hours, its days, and who may see them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from domain.announces import Event
from runtime.store import new_id
from tests.given import NOON
from tests.in_process import TestClient
from tests.members import Client
from tests.peers.edges import ADA, GRACE, ShippingEdge, announce

pytestmark = pytest.mark.engine

STARTED, COMPLETED, STOPPED = Event.STARTED, Event.COMPLETED, Event.STOPPED
AROUND = {"from": NOON.isoformat(), "to": (NOON + timedelta(hours=30)).isoformat()}


class Site:
    """A film that two download within 26 hours, and an album with one seeder for an hour."""

    def __init__(self, client: Client) -> None:
        self.members, self.get = client.members, client.get
        self.ada, self.newcomer = self.members.join("ada"), self.members.join("newbie", "validating")
        self.film, self.album = (self.ada.uploads(name).id for name in ("A Film", "An Album"))
        self.hidden = self.members.join("grace").uploads("Not yet", listed=False).id
        edge = ShippingEdge(client.platform)
        edge.ship(
            [announce(0, STARTED, user=u, torrent=self.film, left=9) for u in (ADA, GRACE)],
            [announce(10, STARTED, torrent=self.album), announce(20, COMPLETED, torrent=self.film, up=3, down=9)],
            [announce(3700, user=ADA, torrent=self.film, up=5, down=9), announce(3800, STOPPED, torrent=self.album)],
        )
        edge.ship([announce(26 * 3600, COMPLETED, user=GRACE, torrent=self.film, up=1, down=9)])

    def points(self, torrent: Any, **params: str) -> list[tuple[Any, ...]]:
        answer = self.get(self.ada, f"/torrents/{torrent}/history", **{**AROUND, **params})
        assert answer.status_code == 200, answer.text
        return [tuple(point.values()) for point in answer.json()["items"]]


@pytest.fixture
def site(client: Client) -> Site:
    return Site(client)


def test_each_hour_has_its_largest_swarm_and_what_was_moved(site: Site) -> None:
    assert site.points(site.film) == [
        ("2031-01-01T12:00:00Z", 1, 2, 1, 3, 9),
        ("2031-01-01T13:00:00Z", 1, 1, 0, 2, 0),
        ("2031-01-02T14:00:00Z", 2, 0, 1, 1, 9),
    ]
    assert site.points(site.album) == [
        ("2031-01-01T12:00:00Z", 1, 0, 0, 0, 0),
        ("2031-01-01T13:00:00Z", 0, 0, 0, 0, 0),
    ]


def test_days_are_made_of_their_hours(site: Site) -> None:
    assert site.points(site.film, step="day") == [
        ("2031-01-01T00:00:00Z", 1, 2, 1, 5, 9),
        ("2031-01-02T00:00:00Z", 2, 0, 1, 1, 9),
    ]


def test_the_period_is_whole_hours_and_by_default_the_newest(site: Site) -> None:
    from_, to = "2031-01-01T13:59:59.5Z", "2031-01-02T14:00:00+00:00"
    assert [at for at, *_ in site.points(site.film, **{"from": from_, "to": to})] == [
        "2031-01-01T13:00:00Z",
        "2031-01-02T14:00:00Z",
    ]
    newest = site.get(site.ada, f"/torrents/{site.film}/history", to="2031-01-08T12:00:00Z").json()["items"]
    assert [point["at"] for point in newest] == ["2031-01-01T13:00:00Z", "2031-01-02T14:00:00Z"]
    assert site.get(site.ada, f"/torrents/{site.film}/history").json() == {"step": "hour", "items": []}


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"from": "2031-01-02T00:00:00Z", "to": "2031-01-01T00:00:00Z"}, "bad_period"),
        ({"from": "2031-01-01T00:00:00Z", "to": "2031-03-01T00:00:00Z"}, "bad_period"),
        ({"from": "0001-01-01T00:00:00Z", "to": "0001-01-01T00:00:00Z", "step": "year"}, None),
        ({"to": "0001-01-01T00:00:00Z"}, "bad_period"),
        ({"to": "9999-12-31T23:59:59Z", "step": "day"}, "bad_period"),
        ({"from": "yesterday"}, None),
    ],
)
def test_bad_periods_are_refused(site: Site, params: dict[str, str], code: str | None) -> None:
    answer = site.get(site.ada, f"/torrents/{site.film}/history", **params)
    assert answer.status_code == 422
    assert code is None or answer.json()["code"] == code


def test_who_may_not_see_the_torrent_does_not_see_its_past(site: Site, api: TestClient) -> None:
    assert api.get(f"/api/v1/torrents/{site.film}/history").status_code == 401
    assert site.get(site.newcomer, f"/torrents/{site.film}/history").status_code == 403
    for torrent in (new_id(), site.hidden):
        assert site.get(site.ada, f"/torrents/{torrent}/history").status_code == 404
