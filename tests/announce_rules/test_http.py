"""Announce rules over HTTP: the defaults, what replaces them, and who may."""

from __future__ import annotations

from typing import Any

import pytest
from httpx import Response

from tests.members import Client, Member

pytestmark = pytest.mark.engine

PATH = "/tracker/announce-rules"
GIB = 1024**3
NO_RATIO = {"required_ratio_percent": 0, "ratio_counts_from_bytes": 5 * GIB}
PORTS = [1214, 3389, 4662, 6346, 6347, 6699, 8080, 8081]
DEFAULTS = {"refused_ports": PORTS, "peers_per_torrent": 3, "version": 0, **NO_RATIO}


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
    shown = {"refused_ports": [1024, 6881], "peers_per_torrent": 1, "version": 1, **NO_RATIO}
    assert client.get(admin, PATH).json() == shown


def test_a_change_replaces_all_of_them(client: Client, admin: Member) -> None:
    put(client, admin, {"refused_ports": [6881], "peers_per_torrent": 1})
    assert put(client, admin, {"refused_ports": [], "peers_per_torrent": 5}, If_Match="1").json()["version"] == 2
    assert client.get(admin, PATH).json() == {"refused_ports": [], "peers_per_torrent": 5, "version": 2, **NO_RATIO}
    stale = put(client, admin, {"refused_ports": [1], "peers_per_torrent": 5}, If_Match="1")
    assert refusal(stale) == (409, "version_conflict")


def test_the_defaults_have_no_version_to_match(client: Client, admin: Member) -> None:
    body = {"refused_ports": [], "peers_per_torrent": 5}
    assert refusal(put(client, admin, body, If_Match="1")) == (409, "version_conflict")
    assert client.get(admin, PATH).json() == DEFAULTS


def test_a_program_that_knows_nothing_of_the_ratio_rule_leaves_it_alone(client: Client, admin: Member) -> None:
    body = {"refused_ports": [], "peers_per_torrent": 5}
    put(client, admin, {**body, "required_ratio_percent": 60, "ratio_counts_from_bytes": 2 * GIB})
    put(client, admin, {**body, "peers_per_torrent": 1})
    shown = client.get(admin, PATH).json()
    assert [shown[name] for name in ("peers_per_torrent", *NO_RATIO)] == [1, 60, 2 * GIB]
    put(client, admin, {**body, "required_ratio_percent": 0})
    shown = client.get(admin, PATH).json()
    assert [shown[name] for name in ("peers_per_torrent", *NO_RATIO)] == [5, 0, 2 * GIB]


@pytest.mark.parametrize(
    "body",
    [
        {"refused_ports": [0], "peers_per_torrent": 3},
        {"refused_ports": [65536], "peers_per_torrent": 3},
        {"refused_ports": ["80"], "peers_per_torrent": 3},
        {"refused_ports": list(range(1, 102)), "peers_per_torrent": 3},
        {"refused_ports": [], "peers_per_torrent": 0},
        {"refused_ports": [], "peers_per_torrent": 1001},
        {"refused_ports": [], "peers_per_torrent": 3, "required_ratio_percent": -1},
        {"refused_ports": [], "peers_per_torrent": 3, "required_ratio_percent": 1001},
        {"refused_ports": [], "peers_per_torrent": 3, "required_ratio_percent": 0.6},
        {"refused_ports": [], "peers_per_torrent": 3, "ratio_counts_from_bytes": -1},
        {"refused_ports": [], "peers_per_torrent": 3, "ratio_counts_from_bytes": "5"},
        {"refused_ports": [], "peers_per_torrent": 3, "ratio_counts_from_bytes": 2**50 + 1},
        {"refused_ports": []},
        {"peers_per_torrent": 3},
    ],
)
def test_other_rules_are_refused(client: Client, admin: Member, body: Any) -> None:
    assert refusal(put(client, admin, body)) == (422, "invalid")
    assert client.get(admin, PATH).json() == DEFAULTS


def test_a_number_of_bytes_that_no_counter_reaches_is_refused(client: Client, admin: Member) -> None:
    body = {"refused_ports": [], "peers_per_torrent": 3, "ratio_counts_from_bytes": 2**63}
    assert refusal(put(client, admin, body)) == (422, "number_out_of_range")
    assert client.get(admin, PATH).json() == DEFAULTS


@pytest.mark.parametrize("group", ["member", "moderator"])
def test_only_managers_of_the_tracker_see_and_change_them(client: Client, admin: Member, group: str) -> None:
    other = client.members.join("other", group)
    assert refusal(client.get(other, PATH)) == (403, "not_permitted")
    assert refusal(put(client, other, {"refused_ports": [], "peers_per_torrent": 1})) == (403, "not_permitted")
    assert client.get(admin, PATH).json() == DEFAULTS
