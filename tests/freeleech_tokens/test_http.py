"""Tokens over HTTP: granted by staff, spent by users, shown to their owner; and personal freeleech beside them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from domain.bans import Ban, BanKind
from projections.freeleech_tokens import freeleech_tokens
from runtime.platform import Platform
from runtime.rebuild import rebuild, verify
from runtime.store import new_id
from tests.members import Client, Members

pytestmark = pytest.mark.engine

OWN = "/users/me/freeleech-tokens"


def test_tokens_are_granted_spent_and_shown(client: Client, members: Members, platform: Platform) -> None:
    admin, ada, bob = members.join("root", "administrator"), members.join("ada"), members.join("bob")
    film, album = bob.uploads("film"), bob.uploads("album")
    for member, tokens in ((ada, 3), (bob, 5)):
        granted = client.post(
            admin, f"/users/{member.id}/freeleech-tokens/grants", {"tokens": tokens, "reason": "a contest"}
        )
        assert (granted.status_code, granted.json()["balance"]) == (201, tokens), granted.text
    spent = client.post(ada, f"/torrents/{film.id}/freeleech-token")
    assert (spent.status_code, spent.json()["tokens"], spent.json()["balance"]) == (201, 1, 2), spent.text
    client.post(ada, f"/torrents/{album.id}/freeleech-token")
    client.post(bob, f"/torrents/{album.id}/freeleech-token")
    shown = client.get(ada, OWN).json()
    assert (shown["balance"], shown["free_until"]) == (1, None)
    assert [(one["torrent_id"], one["tokens"]) for one in shown["active"]] == [(str(album.id), 1), (str(film.id), 1)]
    assert shown["active"][1]["until"] == spent.json()["until"]
    until = datetime.fromisoformat(spent.json()["until"])
    assert timedelta(days=29, hours=23) < until - datetime.now(UTC) <= timedelta(days=30)
    assert client.get(bob, OWN).json()["balance"] == 4
    before = verify(platform, freeleech_tokens)
    rebuild(platform, freeleech_tokens)
    assert [(check.rows, check.differences) for check in (*before, *verify(platform, freeleech_tokens))] == [
        (2, 0),
        (3, 0),
    ] * 2


def test_a_repeated_command_spends_once(client: Client, members: Members) -> None:
    admin, ada = members.join("root", "administrator"), members.join("ada")
    path = f"/torrents/{ada.uploads('film').id}/freeleech-token"
    client.post(admin, f"/users/{ada.id}/freeleech-tokens/grants", {"tokens": 2, "reason": "r"})
    key = str(uuid4())
    answers = [client.post(ada, path, Idempotency_Key=key).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert client.post(ada, path).json()["code"] == "token_active"
    assert client.get(ada, OWN).json()["balance"] == 1


def test_what_cannot_be_freed_says_why(client: Client, members: Members) -> None:
    admin, ada, bob = members.join("root", "administrator"), members.join("ada"), members.join("bob")
    film, waiting = bob.uploads("film"), bob.uploads("waiting", listed=False)
    own = ada.uploads("own", listed=False)

    def code(torrent_id: Any, status: int = 409) -> Any:
        answer = client.post(ada, f"/torrents/{torrent_id}/freeleech-token")
        assert answer.status_code == status, answer.text
        return answer.json()["code"]

    assert code(film.id) == "insufficient_tokens"
    client.post(admin, f"/users/{ada.id}/freeleech-tokens/grants", {"tokens": 2, "reason": "r"})
    assert code(own.id) == "torrent_not_approved"
    assert code(waiting.id, 404) == code(uuid4(), 404) == "not_found"
    client.send("PUT", f"/torrents/{film.id}/promotion", admin, {"download_percent": 0})
    assert code(film.id) == "torrent_free"
    client.send("DELETE", f"/torrents/{film.id}/promotion", admin)
    members.platform.store(admin.id).save(
        Ban.impose(new_id(), ada.id, BanKind.DOWNLOAD, "r", None, now=datetime.now(UTC))
    )
    assert code(film.id, 403) == "banned"


def test_only_staff_grant(client: Client, members: Members) -> None:
    admin, moderator = members.join("root", "administrator"), members.join("mod", "moderator")
    body = {"tokens": 1, "reason": "r"}
    path = f"/users/{moderator.id}/freeleech-tokens/grants"
    assert client.post(moderator, path, body).json()["code"] == "not_permitted"
    assert client.post(admin, f"/users/{uuid4()}/freeleech-tokens/grants", body).status_code == 404
    for wrong in ({"tokens": 0}, {"tokens": 1_000_001}, {"tokens": 1.5}, {"tokens": "1"}, {"reason": " "}):
        assert client.post(admin, path, body | wrong).status_code == 422
    assert client.get(moderator, OWN).json() == {"balance": 0, "free_until": None, "active": []}


def test_personal_freeleech_is_granted_shown_and_ended(client: Client, members: Members) -> None:
    admin, ada, bob = members.join("root", "administrator"), members.join("ada"), members.join("bob")
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    for member in (ada, bob):
        granted = client.send("PUT", f"/users/{member.id}/freeleech", admin, {"until": until.isoformat()})
        assert granted.status_code == 200, granted.text
    assert client.send("DELETE", f"/users/{bob.id}/freeleech", admin).status_code == 200
    shown = [client.get(member, OWN).json()["free_until"] for member in (ada, bob)]
    assert shown == [until.isoformat().replace("+00:00", "Z"), None]
    again = {"If-Match": str(client.get(ada, "/users/me").json()["version"])}
    answer = client.send("PUT", f"/users/{ada.id}/freeleech", admin, {"until": "2099-01-01T00:00:00Z"}, again)
    assert answer.status_code == 200, answer.text


def test_personal_freeleech_is_staffs_to_give_and_ends_in_the_future(client: Client, members: Members) -> None:
    admin, ada = members.join("root", "administrator"), members.join("ada")
    path, later = f"/users/{ada.id}/freeleech", {"until": "2099-01-01T00:00:00Z"}
    assert client.send("PUT", path, ada, later).json()["code"] == "not_permitted"
    assert client.send("DELETE", path, ada).json()["code"] == "not_permitted"
    past = client.send("PUT", path, admin, {"until": "2001-01-01T00:00:00Z"})
    assert (past.status_code, past.json()["code"]) == (422, "promotion_in_past")
    assert client.send("PUT", path, admin, {"until": None}).status_code == 422
    assert client.send("PUT", f"/users/{uuid4()}/freeleech", admin, later).status_code == 404
