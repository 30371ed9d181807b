"""The audit log over HTTP: filters, pages, and who may read it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from domain.base import SYSTEM
from tests.in_process import TestClient
from tests.members import Client, Members

pytestmark = pytest.mark.engine


def actions(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [entry["action"] for entry in answer.json()["items"]]


def test_who_did_what_to_which_subject_and_why(client: Client, members: Members) -> None:
    root, ada = members.join("root", "administrator"), members.join("ada")
    granted = client.post(root, f"/users/{ada.id}/bonus/grants", {"points": 5, "reason": "for the logo"})
    newest = client.get(root, "/audit", limit=1).json()["items"][0]
    assert newest["position"] == granted.json()["position"]
    assert newest["action"] == "account.posted"
    assert newest["actor"] == {"id": str(root.id), "username": "root"}
    assert newest["subject"] == {"type": "user", "id": str(ada.id)}
    assert newest["reason"] == "for the logo"
    assert newest["origin"] == "api"
    assert newest["command_id"] == newest["correlation_id"]
    assert newest["at"].endswith("Z")


def test_filters(client: Client, members: Members) -> None:
    root, ada, bob = members.join("root", "administrator"), members.join("ada"), members.join("bob")
    film = ada.uploads(listed=True)
    other = bob.uploads(listed=False)
    mine = ["torrent.approved", "torrent.uploaded", "session.started", "user.registered"]
    assert actions(client.get(root, "/audit", actor=str(ada.id))) == mine
    assert actions(client.get(root, "/audit", actor="ADA")) == mine
    assert actions(client.get(root, "/audit", actor="nobody")) == []
    assert actions(client.get(root, "/audit", subject=str(film.id))) == mine[:2]
    assert actions(client.get(root, "/audit", subject=str(uuid4()))) == []
    assert actions(client.get(root, "/audit", type="torrent")) == ["torrent.uploaded", *mine[:2]]
    assert actions(client.get(root, "/audit", type="torrent.uploaded", subject=str(other.id))) == ["torrent.uploaded"]
    assert actions(client.get(root, "/audit", type="torrent.up")) == []
    assert set(actions(client.get(root, "/audit", actor="system", limit=100, type="forum"))) == {"forum.opened"}
    assert client.get(root, "/audit", actor=str(SYSTEM), limit=1).json()["items"][0]["actor"]["username"] == "system"


def test_windows_of_positions_and_of_time(client: Client, members: Members) -> None:
    root, ada = members.join("root", "administrator"), members.join("ada")
    ada.uploads()
    items = client.get(root, "/audit", actor="ada").json()["items"]
    first, last = items[-1], items[0]
    inner = [entry["action"] for entry in items[1:-1]]
    positions = {"after": str(first["position"]), "before": str(last["position"])}
    assert actions(client.get(root, "/audit", actor="ada", **positions)) == inner
    times = {"after": first["at"], "before": last["at"]}
    assert set(actions(client.get(root, "/audit", actor="ada", **times))) == set(inner)
    assert client.get(root, "/audit", after="yesterday").json()["code"] == "bad_moment"


def test_the_books_of_the_machinery_are_shown_on_demand(client: Client, members: Members) -> None:
    root, ada, bob = members.join("root", "administrator"), members.join("ada"), members.join("bob")
    client.post(ada, "/reports", {"subject_type": "user", "subject_id": str(bob.id), "reason": "rude", "text": ""})
    assert actions(client.get(root, "/audit", limit=2)) == ["case.report_filed", "case.opened"]
    assert actions(client.get(root, "/audit", limit=1, include="machinery")) == ["claim.made"]
    assert actions(client.get(root, "/audit", type="claim")) == ["claim.made"]
    assert client.get(root, "/audit", include="everything").status_code == 422


def test_auditors_do_not_learn_here_who_reported_them(client: Client, members: Members) -> None:
    ada, carol, dave = members.join("ada"), members.join("carol", "moderator"), members.join("dave", "moderator")
    client.post(ada, "/reports", {"subject_type": "user", "subject_id": str(carol.id), "reason": "rude", "text": ""})
    case = client.get(dave, "/moderation/cases").json()["items"][0]["id"]
    client.post(dave, f"/moderation/cases/{case}/claim")
    for filters in ({"subject": case}, {"actor": "ada", "include": "machinery"}, {"type": "claim"}):
        assert set(actions(client.get(carol, "/audit", **filters))) <= {
            "case.claimed",
            "user.registered",
            "session.started",
        }
    assert actions(client.get(dave, "/audit", subject=case)) == ["case.claimed", "case.report_filed", "case.opened"]


def test_pages_go_back_to_the_beginning(client: Client, members: Members) -> None:
    root = members.join("root", "administrator")
    newest = client.get(root, "/audit", limit=100).json()["items"]
    seen: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get(root, "/audit", limit=30, **cursor).json()
        seen += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen[:100] == newest
    positions = [entry["position"] for entry in seen]
    assert positions == list(range(len(seen), 0, -1)), "each once, down to the first"
    assert client.get(root, "/audit", limit=30, type="user", **cursor).json()["code"] == "bad_cursor"


def test_members_do_not_read_it(client: Client, members: Members, api: TestClient) -> None:
    assert client.get(members.join("ada"), "/audit").json()["code"] == "not_permitted"
    assert api.get("/api/v1/audit").status_code == 401
