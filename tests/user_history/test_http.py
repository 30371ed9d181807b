"""A user's days over the API: credited by the time of the announces, for the user and for staff."""

from __future__ import annotations

from importlib.resources import files

import pytest

from domain.announces import Event
from projections.peers import peers
from runtime.migrate import migrate, rollback
from runtime.rebuild import verify
from runtime.store import new_id
from tests.given import rows_of
from tests.in_process import TestClient
from tests.members import Client, Member
from tests.peers.edges import ALBUM, FILM, ShippingEdge, announce

pytestmark = pytest.mark.engine

DAY_S = 86_400
AROUND = {"from": "2031-01-01T00:00:00Z", "to": "2031-01-09T00:00:00Z"}


@pytest.fixture
def two(client: Client) -> tuple[Member, Member]:
    """Ada seeds two torrents around midnight and returns days later; Grace leeches once."""
    ada, grace = client.members.join("ada"), client.members.join("grace")
    edge = ShippingEdge(client.platform)
    edge.ship([announce(0, Event.STARTED, user=ada.id, torrent=t) for t in (FILM, ALBUM)])
    edge.ship(
        [announce(42_000 + n, user=ada.id, torrent=t, up=10**n) for n, t in enumerate((FILM, ALBUM))],
        [announce(43_500, user=ada.id, torrent=FILM, up=1001), announce(50, Event.STARTED, user=grace.id, left=70)],
        [announce(100, user=grace.id, up=4, down=60, left=10), announce(5 * DAY_S, user=ada.id, torrent=FILM, up=2001)],
    )
    return ada, grace


def test_each_day_has_what_was_credited_and_seeded_on_it(client: Client, two: tuple[Member, Member]) -> None:
    ada, grace = two
    assert client.get(ada, f"/users/{ada.id}/history", **AROUND).json() == {
        "items": [
            {"day": "2031-01-01", "uploaded": 11, "downloaded": 0, "seed_time_s": 0},
            {"day": "2031-01-02", "uploaded": 1000, "downloaded": 0, "seed_time_s": 1500},
            {"day": "2031-01-06", "uploaded": 1000, "downloaded": 0, "seed_time_s": 0},
        ],
        "privacy": {},
    }
    assert client.get(grace, f"/users/{grace.id}/history", **AROUND).json() == {
        "items": [{"day": "2031-01-01", "uploaded": 4, "downloaded": 60, "seed_time_s": 0}],
        "privacy": {},
    }
    one_day = client.get(
        ada, f"/users/{ada.id}/history", **{"from": "2031-01-02T23:00:00Z", "to": "2031-01-05T09:00:00Z"}
    )
    assert [day["day"] for day in one_day.json()["items"]] == ["2031-01-02"]


def test_days_are_for_the_user_and_staff(client: Client, two: tuple[Member, Member], api: TestClient) -> None:
    ada, grace = two
    staff = client.members.join("linus", "moderator")
    path = f"/users/{ada.id}/history"
    assert len(client.get(staff, path, **AROUND).json()["items"]) == 3
    assert client.get(grace, path).status_code == 403
    assert api.get(f"/api/v1{path}").status_code == 401
    assert client.get(staff, f"/users/{new_id()}/history").status_code == 404
    backwards = client.get(staff, path, **{"from": AROUND["to"], "to": AROUND["from"]})
    assert (backwards.status_code, backwards.json()["code"]) == (422, "bad_period")


def test_days_of_before_hours_were_kept_stay_days(client: Client, two: tuple[Member, Member], database: str) -> None:
    """Back to the schema that kept days for ever, and forth: no byte is lost, and a rebuild brings the hours back."""
    client.members.catch_up()
    later = [path.name for path in files("migrations").iterdir() if path.name >= "0090" and "rollback" in path.name]
    assert rollback(database, len(later)) == len(later)
    days = "SELECT user_id, uploaded, downloaded, seed_time_s FROM read.user_history WHERE uploaded > 0 ORDER BY 1, day"
    before = rows_of(client.platform, days)
    assert len(before) == 4
    assert migrate(database) == len(later)
    assert rows_of(client.platform, days.replace("day", "at")) == before
    assert client.get(two[0], f"/users/{two[0].id}/history", **AROUND).json()["items"][1]["seed_time_s"] == 1500
    found = {check.table: check.differences for check in verify(client.platform, peers)}
    assert (found["user_stats"], found["torrent_size"]) == (0, 0)
