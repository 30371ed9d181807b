"""Relations over the API: private lists, followers, and what the followed upload."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from httpx import Response

from domain.torrents import Torrent
from runtime.store import new_id
from tests.given import rows_of
from tests.members import Client, Member
from tests.torrents.uploads import upload

pytestmark = pytest.mark.engine


@pytest.fixture
def client(shared_client: Client) -> Client:
    return shared_client


def put(client: Client, who: Member, kind: str, other: Member, body: Any = None) -> Response:
    answer = client.send("PUT", f"/users/me/{kind}/{other.id}", who, body)
    assert answer.status_code == 200, answer.text
    return answer


def names(client: Client, who: Member, kind: str) -> list[str]:
    return [item["user"]["username"] for item in client.get(who, f"/users/me/{kind}").json()["items"]]


def uploads(client: Client, who: Member) -> list[str]:
    return [item["name"] for item in client.get(who, "/users/me/following/uploads").json()["items"]]


def refusal(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_list_of_friends_is_its_owners(client: Client) -> None:
    ada, grace, linus = (client.members.join(name) for name in ("ada", "grace", "linus"))
    put(client, ada, "friends", grace, {"note": " met at a fair "})
    put(client, ada, "friends", linus, {})
    put(client, grace, "friends", ada, {"note": "reads a lot"})
    items = client.get(ada, "/users/me/friends").json()["items"]
    assert [(one["user"]["username"], one["note"]) for one in items] == [("linus", ""), ("grace", "met at a fair")]
    put(client, ada, "friends", grace, {"note": "met again"})
    items = client.get(ada, "/users/me/friends").json()["items"]
    assert [(one["user"]["username"], one["note"]) for one in items] == [("linus", ""), ("grace", "met again")]
    assert client.send("DELETE", f"/users/me/friends/{linus.id}", ada).status_code == 200
    assert names(client, ada, "friends") == ["grace"]
    assert names(client, grace, "friends") == ["ada"]
    assert names(client, linus, "friends") == []


def test_a_note_is_kept_under_its_writers_key(client: Client) -> None:
    ada, grace = client.members.join("ada"), client.members.join("grace")
    put(client, ada, "friends", grace, {"note": "a marker"})
    events = rows_of(client.platform, "SELECT convert_from(data, 'UTF8') FROM es.event")
    assert not [row for row in events if "marker" in row[0]]


def test_repeats_change_nothing(client: Client) -> None:
    ada, grace = client.members.join("ada"), client.members.join("grace")
    for kind, body in (("friends", {}), ("follows", None)):
        first, again = (put(client, ada, kind, grace, body).json() for _ in range(2))
        assert (again["version"], again["position"]) == (first["version"], 0)
    for _ in range(2):
        assert client.send("DELETE", f"/users/me/follows/{grace.id}", ada).status_code == 200
    assert names(client, ada, "follows") == []


def test_lists_are_paged(client: Client) -> None:
    ada = client.members.join("ada")
    for name in ("uno", "due", "tre"):
        put(client, ada, "follows", client.members.join(name))
    first = client.get(ada, "/users/me/follows", limit=2).json()
    rest = client.get(ada, "/users/me/follows", limit=2, cursor=first["next_cursor"]).json()
    assert [one["user"]["username"] for one in first["items"] + rest["items"]] == ["tre", "due", "uno"]
    assert rest["next_cursor"] is None
    assert refusal(client.get(ada, "/users/me/blocks", cursor=first["next_cursor"])) == (422, "bad_cursor")


def test_bad_wishes_are_refused(client: Client) -> None:
    ada, newcomer = client.members.join("ada"), client.members.join("newbie", "validating")
    wishes: list[tuple[str, Any]] = [("friends", {}), ("blocks", None), ("follows", None)]
    for kind, body in wishes:
        for who, other, refused in (
            (ada, ada.id, (422, "self_relation")),
            (ada, uuid4(), (404, "not_found")),
            (newcomer, ada.id, (403, "not_permitted")),
        ):
            assert refusal(client.send("PUT", f"/users/me/{kind}/{other}", who, body)) == refused
        assert refusal(client.send("DELETE", f"/users/me/{kind}/{uuid4()}", ada)) == (404, "not_found")
    too_long = client.send("PUT", f"/users/me/friends/{newcomer.id}", ada, {"note": "n" * 501})
    assert refusal(too_long) == (422, "note_too_long")


def test_followers_are_counted_unless_nobody_is_to_be_told(client: Client) -> None:
    ada, grace, linus = (client.members.join(name) for name in ("ada", "grace", "linus"))
    put(client, grace, "follows", ada)
    put(client, linus, "follows", ada)
    assert names(client, ada, "followers") == ["linus", "grace"]
    assert client.get(linus, f"/users/{ada.id}").json()["followers"] == 2
    client.send("PUT", "/users/me/privacy", ada, {"notifications": "hidden"})
    seen = client.get(linus, f"/users/{ada.id}").json()
    assert (seen["followers"], seen["privacy"]) == (None, {"followers": "hidden"})
    assert client.get(ada, f"/users/{ada.id}").json()["followers"] == 2


def test_whoever_is_blocked_is_not_heard_of(client: Client) -> None:
    """And is not told: it follows on, and sees what everybody sees."""
    ada, grace, linus = (client.members.join(name) for name in ("ada", "grace", "linus"))
    put(client, grace, "follows", ada)
    put(client, linus, "follows", ada)
    put(client, ada, "follows", grace)
    grace.uploads("From Grace")
    ada.uploads("From Ada")
    assert uploads(client, ada) == ["From Grace"]
    put(client, ada, "blocks", grace)
    assert names(client, ada, "blocks") == ["grace"]
    assert names(client, ada, "follows") == []
    assert uploads(client, ada) == []
    assert names(client, ada, "followers") == ["linus"]
    assert client.get(linus, f"/users/{ada.id}").json()["followers"] == 1
    put(client, grace, "follows", ada)
    assert uploads(client, grace) == ["From Ada"]
    assert refusal(client.send("PUT", f"/users/me/follows/{grace.id}", ada)) == (409, "user_blocked")


def uploaded(who: Member, name: str, *, listed: bool = True, anonymous: bool = False) -> Torrent:
    torrent = upload(new_id().int, uploader_id=who.id, name=name, tags=[], trusted=listed, anonymous=anonymous)
    who.store.save(torrent)
    return torrent


def test_the_feed_has_what_the_followed_show(client: Client) -> None:
    ada, grace, linus = (client.members.join(name) for name in ("ada", "grace", "linus"))
    put(client, ada, "follows", grace)
    uploaded(grace, "First")
    uploaded(linus, "Of a stranger")
    uploaded(grace, "Unnamed", anonymous=True)
    uploaded(grace, "Waiting", listed=False)
    uploaded(grace, "Second")
    assert uploads(client, ada) == ["Second", "First"]
    page = client.get(ada, "/users/me/following/uploads", limit=1).json()
    rest = client.get(ada, "/users/me/following/uploads", limit=1, cursor=page["next_cursor"]).json()
    assert [one["name"] for one in page["items"] + rest["items"]] == ["Second", "First"]
    assert uploads(client, grace) == []


@pytest.mark.parametrize("choice", [{"notifications": "hidden"}, {"uploads": "count", "uniquegroups": "count"}])
def test_the_feed_tells_of_nobody_who_wants_it_otherwise(client: Client, choice: dict[str, str]) -> None:
    ada, grace, linus = (
        client.members.join("ada", "moderator"),
        client.members.join("grace"),
        client.members.join("linus"),
    )
    for who in (grace, linus):
        put(client, ada, "follows", who)
        uploaded(who, f"By {who.username}")
    assert client.send("PUT", "/users/me/privacy", grace, choice).status_code == 200
    assert uploads(client, ada) == ["By linus"]
