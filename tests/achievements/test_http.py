"""Achievements over the API: awarded by the facts, shown with progress, taken back when the cause is undone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from commands.policies.award_achievements import award_achievements
from projections import ALL
from runtime.rebuild import verify
from runtime.worker.rounds import settle_changed_criteria
from tests.given import projected, rows_of
from tests.members import Client, Member

pytestmark = pytest.mark.engine


class Site:
    def __init__(self, client: Client) -> None:
        self.client = client
        self.ada, self.grace = client.members.join("ada", points=9), client.members.join("grace", points=9)
        self.staff = client.members.join("linus", "moderator")
        self.sysop = client.members.join("root", "sysop")

    def follow(self) -> None:
        projected(self.client.platform, *ALL, award_achievements, *ALL)

    def shown(self, of: Member, seen_by: Member | None = None) -> list[Any]:
        self.follow()
        answer = self.client.get(seen_by or of, f"/users/{of.id}/achievements")
        assert answer.status_code == 200, answer.text
        items: list[Any] = answer.json()["items"]
        return items

    def earned(self, of: Member, seen_by: Member | None = None) -> list[str]:
        return [one["achievement"]["slug"] for one in self.shown(of, seen_by) if one["earned_at"]]

    def progress(self, of: Member, slug: str) -> tuple[int, int]:
        (one,) = (one for one in self.shown(of) if one["achievement"]["slug"] == slug)
        (condition,) = one["progress"]
        return condition["done"], condition["threshold"]

    def deletes(self, torrent: Any) -> None:
        answer = self.client.send("DELETE", f"/torrents/{torrent.id}", self.staff, {"reason": "dupe"})
        assert answer.status_code == 200, answer.text

    def defines(self, slug: str, expect: int = 201, **terms: Any) -> Any:
        answer = self.client.post(self.sysop, "/achievements", {"slug": slug, "name": slug.title(), **terms})
        assert answer.status_code == expect, answer.text
        return answer.json()


@pytest.fixture
def site(client: Client) -> Iterator[Site]:
    site = Site(client)
    yield site
    site.follow()
    for check in verify(client.platform, next(one for one in ALL if one.name == "achievements")):
        assert check.differences == 0, check


def test_an_upload_is_an_achievement_until_it_is_deleted(site: Site) -> None:
    film = site.ada.uploads("A Film")
    site.grace.uploads("Not Yet", listed=False)
    assert (site.earned(site.ada, site.grace), site.earned(site.grace)) == (["uploads-1"], [])
    assert site.progress(site.ada, "uploads-25") == (1, 25)
    site.deletes(film)
    assert site.earned(site.ada) == []
    assert site.progress(site.ada, "uploads-1") == (0, 1)
    (lost, won) = site.client.get(site.ada, f"/users/{site.ada.id}/achievement-changes").json()["items"]
    assert (lost["awarded"], lost["reason"], lost["by"]["username"]) == (False, "the torrent was deleted", "system")
    assert (won["awarded"], won["automatic"], won["slug"]) == (True, True, "uploads-1")


def test_an_award_names_the_fact_that_caused_it(site: Site) -> None:
    """Causation of the award is the approval, and the command's id follows from it: a repeat changes nothing."""
    site.ada.uploads("A Film")
    site.follow()
    caused = rows_of(
        site.client.platform,
        "SELECT c.name, e.actor_id = '00000000-0000-7000-8000-000000000001' FROM es.event e"
        " JOIN es.event_type t ON t.id = e.type JOIN es.event by ON by.event_id = e.causation_id"
        " JOIN es.event_type c ON c.id = by.type WHERE t.name = 'achievement.awarded'",
    )
    assert caused == [("torrent.approved", True)]


def test_what_is_anonymous_counts_for_nobody(site: Site) -> None:
    secret = site.ada.uploads("Secret", anonymous=True)
    assert (site.earned(site.ada), site.progress(site.ada, "uploads-1")) == ([], (0, 1))
    _fills(site, site.grace, site.ada, secret)
    assert site.progress(site.ada, "requests-filled-25") == (0, 25)
    site.deletes(secret)
    assert site.progress(site.ada, "uploads-1") == (0, 1)


def _fills(site: Site, requester: Member, filler: Member, torrent: Any) -> None:
    wish = {"title": "A wish", "description": "", "category": "movies-hd", "bounty": 1}
    request = site.client.post(requester, "/requests", wish).json()
    site.client.post(filler, f"/requests/{request['id']}/fill", {"torrent_id": str(torrent.id)})
    answer = site.client.post(requester, f"/requests/{request['id']}/accept")
    assert answer.status_code == 200, answer.text


def test_a_fill_counts_for_the_filler_until_its_torrent_is_deleted(site: Site) -> None:
    film = site.ada.uploads("A Film")
    _fills(site, site.ada, site.grace, film)
    assert site.progress(site.grace, "requests-filled-25") == (1, 25)
    assert site.progress(site.ada, "requests-filled-25") == (0, 25)
    site.deletes(film)
    assert site.progress(site.grace, "requests-filled-25") == (0, 25)


def test_a_rejected_upload_counts_no_more(site: Site) -> None:
    film = site.ada.uploads("A Film")
    assert site.earned(site.ada) == ["uploads-1"]
    assert site.client.post(site.staff, f"/torrents/{film.id}/reject", {"reason": "bad"}).status_code == 200
    assert site.earned(site.ada) == []


def test_staff_award_a_badge_and_take_it(site: Site) -> None:
    badge = site.defines("founder", secret=True)["id"]
    path = f"/users/{site.ada.id}/achievements"
    body = {"achievement_id": badge, "reason": "was there first"}
    assert site.client.post(site.staff, path, body).status_code == 403
    assert "founder" not in {one["achievement"]["slug"] for one in site.shown(site.ada)}
    assert site.client.post(site.sysop, path, body).status_code == 201
    assert site.client.post(site.sysop, path, body).status_code == 409
    (one,) = (one for one in site.shown(site.ada, site.grace) if one["earned_at"])
    assert (one["achievement"]["slug"], one["automatic"], one["reason"]) == ("founder", False, "was there first")
    taken = site.client.send("DELETE", f"{path}/{badge}", site.sysop, {"reason": "was not"})
    assert taken.status_code == 200
    assert site.earned(site.ada) == []


def test_changed_criteria_award_who_has_done_enough_already(site: Site) -> None:
    site.ada.uploads("A Film")
    site.follow()
    condition = {"measure": "uploads", "comparator": ">=", "threshold": 1}
    site.defines("beginner", conditions=[condition, {**condition, "measure": "requests_filled"}], match="any")
    site.follow()
    settled: dict[str, int] = {}
    settle_changed_criteria(site.client.platform, settled)
    assert sorted(site.earned(site.ada)) == ["beginner", "uploads-1"]
    assert site.earned(site.grace) == []
    before = rows_of(site.client.platform, "SELECT count(*) FROM es.command")
    settle_changed_criteria(site.client.platform, settled)
    assert rows_of(site.client.platform, "SELECT count(*) FROM es.command") == before


def test_progress_is_for_the_user_and_staff_and_badges_hide_with_what_they_tell(site: Site) -> None:
    site.ada.uploads("A Film")
    assert all(one["progress"] is None for one in site.shown(site.ada, site.grace))
    assert any(one["progress"] for one in site.shown(site.ada, site.staff))
    settings = {"uploads": "hidden", "uniquegroups": "hidden"}
    assert site.client.send("PUT", "/users/me/privacy", site.ada, settings).status_code == 200
    assert site.earned(site.ada, site.grace) == []
    assert site.earned(site.ada) == site.earned(site.ada, site.staff) == ["uploads-1"]


def test_the_catalogue_is_for_members_without_its_secrets(site: Site) -> None:
    secret = site.defines("founder", secret=True)["id"]
    slugs = [one["slug"] for one in site.client.get(site.ada, "/achievements").json()["items"]]
    assert (len(slugs), "founder" in slugs) == (53, False)
    assert site.client.get(site.sysop, "/achievements").json()["items"][-1]["slug"] == "founder"
    assert site.client.send("PUT", f"/achievements/{secret}", site.sysop, {"name": "Founder"}).status_code == 200
    assert site.client.get(site.ada, "/achievements").json()["items"][-1]["name"] == "Founder"
    assert site.client.send("DELETE", f"/achievements/{secret}", site.sysop).status_code == 200
    assert len(site.client.get(site.ada, "/achievements").json()["items"]) == 53


@pytest.mark.parametrize(
    "terms",
    [
        {"conditions": [{"measure": "karma", "threshold": 1}]},
        {"conditions": [{"measure": "uploads", "comparator": "!=", "threshold": 1}]},
        {"conditions": [{"measure": "uploads", "threshold": -1}]},
        {"conditions": [{"measure": "uploads", "threshold": 1.5}]},
        {"match": "most"},
        {"name": ""},
    ],
)
def test_bad_criteria_are_refused(site: Site, terms: dict[str, Any]) -> None:
    site.defines("bad", expect=422, **terms)
