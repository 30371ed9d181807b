"""A user's numbers over time, and the site's: by the time of the facts, coarser with age, equal after a rebuild."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from domain.announces import Event
from domain.base import SYSTEM
from domain.users import User
from projections.peers import peers
from projections.user_statistics import user_statistics
from runtime.rebuild import rebuild, verify
from runtime.store import new_id
from tests.given import NOON, Given, event, rows_of, store_clock
from tests.in_process import TestClient
from tests.members import Client, Member
from tests.peers.edges import FILM, ShippingEdge, announce, uploaded

pytestmark = pytest.mark.engine

HOUR_S, DAY_S = 3600, 86_400


class Site:
    """From noon of New Year's Day of 2031 on: Ada begins to seed a film of 700 bytes, uploads, stops days later."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.ada, self.grace = client.members.join("ada"), client.members.join("grace")
        self.staff = client.members.join("linus", "moderator")
        client.platform.history.events.put([uploaded(FILM, 700)], metadata=client.platform.store(self.ada.id).metadata)
        self.edge = ShippingEdge(client.platform)
        self.announces(0, Event.STARTED)
        self.announces(HOUR_S, up=10)
        self.announces(HOUR_S + 60, up=12)
        self.announces(3 * HOUR_S, up=15)
        self.announces(2 * DAY_S, Event.STOPPED, up=20)

    def announces(self, second: int, event: Event = Event.REGULAR, **said: Any) -> None:
        self.edge.ship([announce(second, event, user=self.ada.id, **said)])

    def history(self, period: str, start: str, end: str, who: Member | None = None) -> Any:
        params = {"period": period, "from": f"2031-{start}:00:00Z", "to": f"2031-{end}:00:00Z"}
        answer = self.client.get(who or self.ada, f"/users/{self.ada.id}/stats/history", **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def points(self, period: str, start: str, end: str, *names: str) -> list[tuple[Any, ...]]:
        return [tuple(item[name] for name in names) for item in self.history(period, start, end)["items"]]


@pytest.fixture
def site(client: Client) -> Site:
    return Site(client)


def test_each_hour_says_what_the_numbers_were_at_its_end(site: Site) -> None:
    assert site.points("hour", "01-01T11", "01-01T16", "uploaded", "seeding", "seed_size", "seed_time_s") == [
        (0, 0, 0, 0),
        (0, 1, 700, 0),
        (12, 1, 700, 3660),
        (12, 1, 700, 3660),
        (15, 1, 700, 3660),
        (15, 1, 700, 3660),
    ]


def test_each_day_and_month_as_well(site: Site) -> None:
    assert site.points("day", "01-01T00", "01-04T00", "at", "uploaded", "seeding") == [
        ("2031-01-01T00:00:00Z", 15, 1),
        ("2031-01-02T00:00:00Z", 15, 1),
        ("2031-01-03T00:00:00Z", 20, 0),
        ("2031-01-04T00:00:00Z", 20, 0),
    ]
    assert site.points("month", "01-01T00", "02-01T00", "uploaded") == [(20,), (20,)]


def test_old_hours_become_days_and_old_days_months(site: Site) -> None:
    """What is left says the same as before, and a rebuild the same as what is left."""
    store_clock(site.client.platform, NOON + timedelta(days=300))
    site.announces(20 * DAY_S, Event.STARTED, up=0)
    assert site.points("hour", "01-01T11", "01-01T16", "uploaded") == []
    days = site.points("day", "01-01T00", "01-04T00", "uploaded", "seeding")
    assert days == [(15, 1), (15, 1), (20, 0), (20, 0)]
    site.announces(300 * DAY_S, Event.STOPPED, up=0)
    assert site.points("day", "01-01T00", "01-04T00", "uploaded") == []
    months = [(20, 1), (20, 1), (20, 0)]
    assert site.points("month", "01-01T00", "11-01T00", "uploaded", "seeding")[::5] == months[:1] + [(20, 1), (20, 0)]
    before = site.history("month", "01-01T00", "12-01T00")
    for projection in (peers, user_statistics):
        rebuild(site.client.platform, projection)
    assert site.history("month", "01-01T00", "12-01T00") == before


def test_a_server_whose_clock_is_years_ahead_makes_nobodys_hours_coarser(site: Site) -> None:
    site.ada.uploads("A Film")
    grains = "SELECT DISTINCT grain FROM read.statistics_history"
    site.client.members.catch_up()
    assert rows_of(site.client.platform, grains) == [("hour",)]
    version = site.client.platform.store(SYSTEM).get(User, site.grace.id).version
    reopened = event(User.Enabled, site.grace.id, version + 1, NOON + timedelta(days=3650), reason="")
    Given(site.client.platform).facts(reopened)
    site.client.members.catch_up()
    assert rows_of(site.client.platform, grains) == [("hour",)]
    found = {check.table: check.differences for check in verify(site.client.platform, user_statistics)}
    assert found == dict.fromkeys(user_statistics.tables, 0)


def test_what_was_done_besides_is_counted_by_its_time(site: Site) -> None:
    site.ada.uploads("A Film")
    site.ada.earns(5000)
    now = site.client.get(site.ada, f"/users/{site.ada.id}/stats/history", period="month").json()["items"]
    assert [(one["uploads"], one["bonus_points"]) for one in (now[0], now[-1])] == [(0, 0), (1, 5)]


def test_history_is_for_the_user_and_staff_without_what_is_hidden(site: Site, api: TestClient) -> None:
    path = f"/users/{site.ada.id}/stats/history"
    assert site.client.get(site.grace, path).status_code == 403
    assert api.get(f"/api/v1{path}").status_code == 401
    assert site.client.get(site.staff, f"/users/{new_id()}/stats/history").status_code == 404
    assert site.client.get(site.staff, path, period="week").status_code == 422
    hides = {"uploaded": "hidden", "ratio": "hidden"}
    assert site.client.send("PUT", "/users/me/privacy", site.ada, hides).status_code == 200
    shown = site.history("day", "01-01T00", "01-01T00", site.staff)
    assert shown["privacy"] == {"uploaded": "overridden"}


def test_the_site_is_the_sum_of_everybody(site: Site) -> None:
    site.ada.uploads("A Film")
    site.grace.uploads("Another", anonymous=True)
    site.grace.earns(2000)
    shown = site.client.get(site.grace, "/site/stats").json()
    assert (shown["members"], shown["torrents"], shown["bonus_earned"]) == (3, 2, 2)
    assert (shown["uploaded"], shown["seeders"], shown["announces"]) == (20, 0, 5)
    newest = site.client.get(site.grace, "/site/stats/history", period="month").json()["items"][-1]
    assert (newest["members"], newest["torrents"]) == (3, 2)
    newcomer = site.client.members.join("newbie", "validating")
    for path in ("/site/stats", "/site/stats/history"):
        assert site.client.get(newcomer, path).status_code == 403
