"""What is counted besides bytes, over the API: what others see of it, and the facts behind it page by page."""

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
    """Ada has two uploads and an anonymous one, all listed, and 7.5 points of which 5 went into a wish."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.ada, self.grace = client.members.join("ada"), client.members.join("grace")
        self.staff = client.members.join("linus", "moderator")
        self.ada.earns(7_500)
        self.films = [self.ada.uploads(f"Film {n}") for n in range(2)]
        self.secret = self.ada.uploads("Secret", anonymous=True)
        wish = {"title": "A wish", "description": "", "category": "movies-hd", "bounty": 5}
        assert client.post(self.ada, "/requests", wish).status_code == 201

    def stats(self, who: Member) -> Any:
        return self.client.get(who, f"/users/{self.ada.id}/stats").json()

    def explained(self, number: str, **params: Any) -> Any:
        answer = self.client.get(self.ada, f"/users/{self.ada.id}/stats/{number}/explain", **params)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def site(client: Client) -> Site:
    return Site(client)


def test_what_was_uploaded_anonymously_is_for_the_user_and_staff(site: Site) -> None:
    for who in (site.ada, site.staff):
        shown = site.stats(who)
        assert (shown["uploads"], shown["uploads_anonymous"], shown["reports"]) == (2, 1, 0)
    shown = site.stats(site.grace)
    assert (shown["uploads"], shown["uploads_anonymous"], shown["reports"]) == (2, None, None)


def test_points_and_wishes_are_counted(site: Site) -> None:
    shown = site.stats(site.grace)
    assert (shown["bonus_points"], shown["bonus_earned"], shown["bonus_spent"], shown["bounty_spent"]) == (
        2.5,
        7.5,
        5,
        5,
    )
    assert shown["requests_opened"] == 1


def test_a_deleted_upload_counts_no_more_and_the_deletion_says_why(site: Site) -> None:
    film = site.films[0]
    answer = site.client.send("DELETE", f"/torrents/{film.id}", site.ada, {"reason": "a mistake"})
    assert answer.status_code == 200
    assert site.stats(site.grace)["uploads"] == 1
    items = site.explained("uploads")["items"]
    assert [(item["cause"], item["amount"]) for item in items] == [
        ("torrent.deleted", -1),
        ("torrent.approved", 1),
        ("torrent.approved", 1),
    ]
    assert items[0]["subject"] == {"type": "torrent", "id": str(film.id)}


def test_points_are_explained_in_points(site: Site) -> None:
    items = site.explained("bonus_points")["items"]
    assert [(item["cause"], item["amount"]) for item in items] == [("bounty_escrowed", -5), ("granted", 7.5)]


def test_bytes_and_torrents_are_explained_by_announces(site: Site) -> None:
    edge = ShippingEdge(site.client.platform)
    edge.ship([announce(0, Event.STARTED, user=site.ada.id, torrent=film.id) for film in site.films])
    edge.ship([announce(600 + n, user=site.ada.id, torrent=f.id, up=n) for n, f in enumerate(site.films, 7)])
    shown = site.stats(site.ada)
    assert (shown["uploaded"], shown["seed_time_s"], shown["seeding"], shown["seed_size"]) == (15, 1215, 2, 2000)
    assert shown["average_seed_time_s"] == 607
    for number, amounts in (("uploaded", [8, 7]), ("seed_time_s", [608, 607]), ("seed_size", [1000, 1000])):
        assert [item["amount"] for item in site.explained(number)["items"]] == amounts
    first = site.explained("uploaded", limit=1)
    second = site.explained("uploaded", limit=1, cursor=first["next_cursor"])
    assert [item["subject"]["id"] for item in first["items"] + second["items"]] == [str(f.id) for f in site.films[::-1]]
    assert second["next_cursor"] is None


def test_explanations_are_for_the_user_and_staff(site: Site, api: TestClient) -> None:
    path = f"/users/{site.ada.id}/stats/uploads_anonymous/explain"
    assert len(site.client.get(site.staff, path).json()["items"]) == 1
    assert site.client.get(site.grace, path).status_code == 403
    assert api.get(f"/api/v1{path}").status_code == 401
    assert site.client.get(site.staff, f"/users/{new_id()}/stats/uploads/explain").status_code == 404
    assert site.client.get(site.ada, f"/users/{site.ada.id}/stats/ratio/explain").status_code == 404


def test_a_fill_counts_until_its_torrent_is_deleted(site: Site) -> None:
    (wish,) = site.client.get(site.grace, "/requests").json()["items"]
    film = site.grace.uploads("The wish")
    for path, who, body in (("fill", site.grace, {"torrent_id": str(film.id)}), ("accept", site.ada, None)):
        assert site.client.post(who, f"/requests/{wish['id']}/{path}", body).status_code == 200
    path = f"/users/{site.grace.id}/stats"
    shown = site.client.get(site.ada, path).json()
    assert (shown["requests_filled"], shown["bounty_earned"], shown["bonus_points"]) == (1, 5, 5)
    site.client.send("DELETE", f"/torrents/{film.id}", site.staff, {"reason": "dupe"})
    shown = site.client.get(site.ada, path).json()
    assert (shown["requests_filled"], shown["bounty_earned"]) == (0, 5), "the points are the ledger's business"
    facts = site.client.get(site.grace, f"{path}/requests_filled/explain").json()["items"]
    assert [(fact["cause"], fact["amount"]) for fact in facts] == [("torrent.deleted", -1), ("request.accepted", 1)]


def test_a_fill_that_would_name_an_anonymous_uploader_is_counted_apart(site: Site) -> None:
    wish = {"title": "Another", "description": "", "category": "movies-hd", "bounty": 1}
    site.grace.earns(1000)
    request = site.client.post(site.grace, "/requests", wish).json()
    site.client.post(site.ada, f"/requests/{request['id']}/fill", {"torrent_id": str(site.secret.id)})
    site.client.post(site.grace, f"/requests/{request['id']}/accept")
    assert [site.stats(who)["requests_filled_anonymous"] for who in (site.ada, site.grace)] == [1, None]
    assert site.stats(site.grace)["requests_filled"] == 0


def test_what_the_user_hides_is_not_explained_to_who_may_not_see_it(site: Site) -> None:
    assert (
        site.client.send(
            "PUT", "/users/me/privacy", site.ada, {"uploads": "hidden", "uniquegroups": "hidden"}
        ).status_code
        == 200
    )
    shown = site.stats(site.grace)
    assert (shown["uploads"], shown["privacy"]) == (None, {"uploads": "hidden"})
    assert site.stats(site.ada)["uploads"] == 2
