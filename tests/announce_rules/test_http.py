"""Announce rules over HTTP: the defaults, what replaces them, and who may."""

from __future__ import annotations

from typing import Any

import pytest
from httpx import Response

from tests.members import Client, Member

pytestmark = pytest.mark.engine

PATH = "/tracker/announce-rules"
DEFAULTS = {"refused_ports": [1214, 3389, 4662, 6346, 6347, 6699, 8080, 8081], "peers_per_torrent": 3, "version": 0}


@pytest.fixture
def admin(client: Client) -> Member:
    return client.members.join("admin1", "administrator")


def put(client: Client, who: Member, body: Any, **headers: str) -> Response:
    return client.send("PUT", PATH, who, body, {name.replace("_", "-"): value for name, value in headers.items()})


def refusal(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_the_defaults_hold_until_somebody_changes_them(client: Client, admin: Member) -> None:
    assert client.get(admin, PATH).json() == DEFAULTS
    assert put(client, admin, {"refused_ports": [6881, 1024, 6881], "peers_per_torrent": 1}).status_code == 200
    assert client.get(admin, PATH).json() == {"refused_ports": [1024, 6881], "peers_per_torrent": 1, "version": 1}


def test_a_change_replaces_all_of_them(client: Client, admin: Member) -> None:
    put(client, admin, {"refused_ports": [6881], "peers_per_torrent": 1})
    assert put(client, admin, {"refused_ports": [], "peers_per_torrent": 5}, If_Match="1").json()["version"] == 2
    assert client.get(admin, PATH).json() == {"refused_ports": [], "peers_per_torrent": 5, "version": 2}
    stale = put(client, admin, {"refused_ports": [1], "peers_per_torrent": 5}, If_Match="1")
    assert refusal(stale) == (409, "version_conflict")


def test_the_defaults_have_no_version_to_match(client: Client, admin: Member) -> None:
    body = {"refused_ports": [], "peers_per_torrent": 5}
    assert refusal(put(client, admin, body, If_Match="1")) == (409, "version_conflict")
    assert client.get(admin, PATH).json() == DEFAULTS


@pytest.mark.parametrize(
    "body",
    [
        {"refused_ports": [0], "peers_per_torrent": 3},
        {"refused_ports": [65536], "peers_per_torrent": 3},
        {"refused_ports": ["80"], "peers_per_torrent": 3},
        {"refused_ports": list(range(1, 102)), "peers_per_torrent": 3},
        {"refused_ports": [], "peers_per_torrent": 0},
        {"refused_ports": [], "peers_per_torrent": 1001},
        {"refused_ports": []},
        {"peers_per_torrent": 3},
    ],
)
def test_other_rules_are_refused(client: Client, admin: Member, body: Any) -> None:
    assert refusal(put(client, admin, body)) == (422, "invalid")
    assert client.get(admin, PATH).json() == DEFAULTS


@pytest.mark.parametrize("group", ["member", "moderator"])
def test_only_managers_of_the_tracker_see_and_change_them(client: Client, admin: Member, group: str) -> None:
    other = client.members.join("other", group)
    assert refusal(client.get(other, PATH)) == (403, "not_permitted")
    assert refusal(put(client, other, {"refused_ports": [], "peers_per_torrent": 1})) == (403, "not_permitted")
    assert client.get(admin, PATH).json() == DEFAULTS
