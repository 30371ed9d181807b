"""Requests over HTTP: a happy path to the point, and every refusal that members can meet."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.bonus import AccountKind
from tests.in_process import TestClient
from tests.members import Client, Member, Members

pytestmark = pytest.mark.engine


def wish(**fields: Any) -> dict[str, Any]:
    return {"title": "A film", "description": "", "category": "movies-hd", "bounty": 10, **fields}


def opened(client: Client, member: Member, **fields: Any) -> str:
    answer = client.post(member, "/requests", wish(**fields))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_a_request_is_opened_raised_filled_and_paid(client: Client, members: Members) -> None:
    ada, bob, eve = members.join("ada", points=100), members.join("bob"), members.join("eve", points=100)
    request = opened(client, ada, bounty=20.5)
    raised = client.post(eve, f"/requests/{request}/bounties", {"points": 9.5})
    assert (raised.status_code, raised.json()["bounty"], raised.json()["state"]) == (201, 30, "open")
    film = bob.uploads()
    assert client.post(bob, f"/requests/{request}/fill", {"torrent_id": str(film.id)}).json()["state"] == "filled"
    assert client.post(ada, f"/requests/{request}/accept").json()["state"] == "accepted"

    shown = client.get(eve, f"/requests/{request}").json()
    assert (shown["state"], shown["bounty"], shown["filler"]["username"]) == ("accepted", 30, "bob")
    assert shown["torrent_id"] == str(film.id)
    assert [(b["contributor"]["username"], b["amount"]) for b in shown["bounties"]] == [("ada", 20.5), ("eve", 9.5)]
    earned = client.get(bob, "/users/me/ledger").json()["items"]
    assert [(p["amount"], p["kind"]) for p in earned] == [(30, "bounty_paid")]
    assert earned[0]["cause"] == {"type": "request", "id": request, "text": "A film"}
    assert [m.account().balance for m in (ada, bob, eve)] == [79_500, 30_000, 90_500]


def test_a_cancelled_request_gives_everybody_their_own_back(client: Client, members: Members) -> None:
    ada, eve = members.join("ada", points=100), members.join("eve", points=100)
    request = opened(client, ada)
    client.post(eve, f"/requests/{request}/bounties", {"points": 7})
    assert client.post(eve, f"/requests/{request}/cancel").json()["code"] == "not_the_requester"
    assert client.post(ada, f"/requests/{request}/cancel").json()["state"] == "cancelled"
    assert [m.account().balance for m in (ada, eve)] == [100_000, 100_000]
    assert client.post(ada, f"/requests/{request}/cancel").json()["code"] == "request_closed"
    kinds = [p["kind"] for p in client.get(eve, "/users/me/ledger").json()["items"]]
    assert kinds == ["bounty_refunded", "bounty_escrowed", "granted"]


def test_a_repeated_acceptance_pays_once(client: Client, members: Members) -> None:
    ada, bob = members.join("ada", points=100), members.join("bob")
    request = opened(client, ada)
    client.post(bob, f"/requests/{request}/fill", {"torrent_id": str(bob.uploads().id)})
    key = str(uuid4())
    answers = [client.post(ada, f"/requests/{request}/accept", Idempotency_Key=key) for _ in range(2)]
    assert [a.status_code for a in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert bob.account().balance == 10_000
    assert client.post(ada, f"/requests/{request}/accept").status_code == 409


def test_points_that_a_member_has_not_are_not_spent(client: Client, members: Members) -> None:
    ada, poor = members.join("ada", points=10), members.join("poor")
    refused = client.post(ada, "/requests", wish(bounty=10.001))
    assert (refused.status_code, refused.json()["code"]) == (409, "insufficient_points")
    assert client.post(poor, "/requests", wish()).json()["code"] == "insufficient_points"
    assert client.get(ada, "/requests").json()["items"] == []
    assert (ada.account().balance, poor.account(AccountKind.BONUS).balance) == (10_000, 0)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"bounty": 0}, "invalid"),
        ({"bounty": -5}, "invalid"),
        ({"bounty": 0.999}, "bounty_too_small"),
        ({"bounty": "10"}, "invalid"),
        ({"title": ""}, "invalid"),
        ({"title": "\u200b"}, "bad_request_title"),
        ({"title": "x" * 256}, "invalid"),
        ({"title": "a\u0000b"}, "control_characters"),
        ({"description": "x" * 10_001}, "invalid"),
        ({"category": "no-such-shelf"}, "unknown_category"),
        ({"requester_id": str(UUID(int=1))}, "unknown_field"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(
    client: Client, members: Members, fields: dict[str, Any], code: str
) -> None:
    ada = members.join("ada", points=100)
    refused = client.post(ada, "/requests", wish(**fields))
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert ada.account().balance == 100_000


def test_only_a_torrent_that_is_listed_fills_and_one_that_is_not_seen_is_not_there(
    client: Client, members: Members
) -> None:
    ada, bob = members.join("ada", points=100), members.join("bob")
    request = opened(client, ada)
    waiting = bob.uploads(listed=False)
    body = {"torrent_id": str(waiting.id)}
    assert client.post(ada, f"/requests/{request}/fill", body).status_code == 404
    own = client.post(bob, f"/requests/{request}/fill", body)
    assert (own.status_code, own.json()["code"]) == (409, "torrent_not_listed")
    assert client.post(bob, f"/requests/{request}/fill", {"torrent_id": str(uuid4())}).status_code == 404
    assert client.post(bob, f"/requests/{uuid4()}/fill", body).status_code == 404
    assert client.post(bob, f"/requests/{bob.id}/fill", body).status_code == 404


def test_a_rejected_fill_shows_why(client: Client, members: Members) -> None:
    ada, bob = members.join("ada", points=100), members.join("bob")
    request = opened(client, ada)
    film = {"torrent_id": str(bob.uploads().id)}
    client.post(bob, f"/requests/{request}/fill", film)
    assert client.post(bob, f"/requests/{request}/fill", film).json()["code"] == "already_filled"
    assert client.post(bob, f"/requests/{request}/reject-fill", {"reason": "no"}).json()["code"] == "not_the_requester"
    assert client.post(ada, f"/requests/{request}/reject-fill", {"reason": "x" * 1_001}).status_code == 422
    assert client.post(ada, f"/requests/{request}/reject-fill", {"reason": "wrong cut"}).json()["state"] == "open"
    shown = client.get(bob, f"/requests/{request}").json()
    assert (shown["rejection"], shown["filler"], shown["torrent_id"]) == ("wrong cut", None, None)
    assert client.post(ada, f"/requests/{request}/accept").json()["code"] == "nothing_to_accept"


def test_moderators_answer_for_requesters_but_not_for_themselves(client: Client, members: Members) -> None:
    ada, moderator = members.join("ada", points=100), members.join("mod", "moderator")
    request = opened(client, ada)
    client.post(moderator, f"/requests/{request}/fill", {"torrent_id": str(ada.uploads().id)})
    assert client.post(moderator, f"/requests/{request}/accept").json()["code"] == "own_fill"
    assert client.post(moderator, f"/requests/{request}/cancel").json()["state"] == "cancelled"
    assert ada.account().balance == 100_000


def test_a_command_on_an_old_version_is_refused(client: Client, members: Members) -> None:
    ada = members.join("ada", points=100)
    request = opened(client, ada)
    stale = client.post(ada, f"/requests/{request}/bounties", {"points": 1}, If_Match="1")
    assert (stale.status_code, stale.json()["code"]) == (409, "version_conflict")
    assert client.post(ada, f"/requests/{request}/bounties", {"points": 1}, If_Match="2").status_code == 201


def test_whoever_may_not_ask_is_told_so(client: Client, members: Members, api: TestClient) -> None:
    waiting = members.join("new", "validating", points=100)
    assert client.post(waiting, "/requests", wish()).json()["code"] == "not_permitted"
    assert api.post("/api/v1/requests", json=wish()).status_code == 401


def test_lists_filter_and_page(client: Client, members: Members) -> None:
    ada = members.join("ada", points=100)
    ids = [opened(client, ada, category=category) for category in ("movies-hd", "music-flac", "movies-hd")]
    client.post(ada, f"/requests/{ids[0]}/cancel")
    first = client.get(ada, "/requests", limit=2).json()
    assert [r["id"] for r in first["items"]] == [ids[2], ids[1]]
    rest = client.get(ada, "/requests", limit=2, cursor=first["next_cursor"]).json()
    assert ([r["id"] for r in rest["items"]], rest["next_cursor"]) == ([ids[0]], None)
    assert [r["id"] for r in client.get(ada, "/requests", state="open", category="movies-hd").json()["items"]] == [
        ids[2]
    ]
    assert [r["id"] for r in client.get(ada, "/requests", category="movies").json()["items"]] == [ids[2], ids[0]]
    assert client.get(ada, "/requests", category="books").json()["items"] == []
    other = client.get(ada, "/requests", limit=2, state="open", cursor=first["next_cursor"])
    assert other.json()["code"] == "bad_cursor"
    assert client.get(ada, "/requests", state="gone").status_code == 422
    assert client.get(ada, f"/requests/{uuid4()}").status_code == 404
