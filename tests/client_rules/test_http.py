"""Client rules over HTTP: who sees and changes them, what is refused, and that the list is what holds."""

from __future__ import annotations

from typing import Any

import pytest
from httpx import Response

from tests.members import Client, Member

pytestmark = pytest.mark.engine

PATH = "/tracker/client-rules"
QB: dict[str, Any] = {
    "kind": "allow",
    "name": "qBittorrent",
    "peer_id_pattern": "-qB{x}{x}{x}{x}-",
    "agent_pattern": "qBittorrent/{n}.{n}.{n}",
    "peer_id_minimum": [4, 2, 5],
    "agent_minimum": [4, 2, 5],
    "exceptions": [{"peer_id_pattern": "-qB4260-", "comment": "wrong sums"}],
}
XL: dict[str, Any] = {"kind": "deny", "name": "Thunder", "peer_id_pattern": "-XL", "reason": "does not share"}


@pytest.fixture
def admin(client: Client) -> Member:
    return client.members.join("admin1", "administrator")


def refusal(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def defined(client: Client, admin: Member, rule: dict[str, Any]) -> str:
    answer = client.post(admin, PATH, rule)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def listed(client: Client, who: Member, **params: Any) -> list[dict[str, Any]]:
    answer = client.get(who, PATH, **params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_rules_are_listed_as_they_were_defined(client: Client, admin: Member) -> None:
    qb, xl = defined(client, admin, QB), defined(client, admin, XL)
    first, second = listed(client, admin)
    exceptions = [{"peer_id_pattern": "-qB4260-", "agent_pattern": None, "comment": "wrong sums"}]
    assert first == {**QB, "id": qb, "reason": None, "exceptions": exceptions, "version": 1}
    nothing: dict[str, Any] = {"agent_pattern": None, "peer_id_minimum": [], "agent_minimum": [], "exceptions": []}
    assert second == {**XL, **nothing, "id": xl, "version": 1}


def test_a_list_of_many_comes_in_pages(client: Client, admin: Member) -> None:
    ids = [defined(client, admin, {**XL, "name": f"n{n}"}) for n in range(5)]
    seen, cursor = [], None
    while True:
        page = client.get(admin, PATH, limit=2, **({"cursor": cursor} if cursor else {})).json()
        seen += [rule["id"] for rule in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ids


def test_a_change_replaces_all_but_the_kind(client: Client, admin: Member) -> None:
    qb, xl = defined(client, admin, QB), defined(client, admin, XL)
    body = {"name": "qB", "peer_id_pattern": "-qB", "agent_pattern": None}
    answer = client.send("PUT", f"{PATH}/{qb}", admin, body, {"If-Match": "1"})
    assert (answer.status_code, answer.json()["version"]) == (200, 2)
    stale = client.send("PUT", f"{PATH}/{qb}", admin, body, {"If-Match": "1"})
    assert refusal(stale) == (409, "version_conflict")
    first, second = listed(client, admin)
    assert (first["kind"], first["name"], first["peer_id_minimum"], first["exceptions"]) == ("allow", "qB", [], [])
    assert (second["id"], second["version"]) == (xl, 1)


def test_a_withdrawn_rule_is_gone_for_good(client: Client, admin: Member) -> None:
    qb, xl = defined(client, admin, QB), defined(client, admin, XL)
    assert client.send("DELETE", f"{PATH}/{qb}", admin).status_code == 200
    assert [rule["id"] for rule in listed(client, admin)] == [xl]
    assert refusal(client.send("DELETE", f"{PATH}/{qb}", admin)) == (409, "client_rule_withdrawn")
    body = {"name": "qB", "peer_id_pattern": "-qB"}
    assert refusal(client.send("PUT", f"{PATH}/{qb}", admin, body)) == (409, "client_rule_withdrawn")


def test_a_repeated_definition_is_one_rule(client: Client, admin: Member) -> None:
    key = "0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b11"
    answers = [client.post(admin, PATH, XL, Idempotency_Key=key).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(listed(client, admin)) == 1


@pytest.mark.parametrize(
    ("rule", "refused"),
    [
        ({**QB, "peer_id_pattern": "(a+)+$"}, (422, "bad_client_rule")),  # text, with no {x} for the minimum
        ({**QB, "peer_id_pattern": "{n}{n}"}, (422, "bad_pattern")),
        ({**QB, "peer_id_pattern": "-qB4250-more"}, (422, "bad_pattern")),
        ({**QB, "peer_id_pattern": "x" * 65}, (422, "invalid")),
        ({**QB, "reason": "nice"}, (422, "bad_client_rule")),
        ({**QB, "peer_id_minimum": [1, 2, 3, 4, 5]}, (422, "bad_client_rule")),
        ({**QB, "peer_id_minimum": [-1]}, (422, "invalid")),
        ({**QB, "peer_id_minimum": ["4"]}, (422, "invalid")),
        ({**QB, "exceptions": [{"comment": "all"}]}, (422, "bad_pattern")),
        ({**QB, "kind": "maybe"}, (422, "invalid")),
        ({**XL, "reason": None}, (422, "bad_client_rule")),
        ({**XL, "peer_id_pattern": None}, (422, "bad_pattern")),
        ({**XL, "exceptions": QB["exceptions"]}, (422, "bad_client_rule")),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(
    client: Client, admin: Member, rule: dict[str, Any], refused: tuple[int, str]
) -> None:
    assert refusal(client.post(admin, PATH, rule)) == refused
    assert listed(client, admin) == []


@pytest.mark.parametrize("group", ["member", "moderator"])
def test_only_managers_of_the_tracker_see_and_change_rules(client: Client, admin: Member, group: str) -> None:
    rule, other = defined(client, admin, XL), client.members.join("other", group)
    body = {key: value for key, value in XL.items() if key != "kind"}
    for method, path, sent in (
        ("GET", PATH, None),
        ("POST", PATH, QB),
        ("PUT", f"{PATH}/{rule}", body),
        ("DELETE", f"{PATH}/{rule}", None),
    ):
        assert refusal(client.send(method, path, other, sent)) == (403, "not_permitted")
    assert len(listed(client, admin)) == 1


def test_what_is_no_rule_is_not_found(client: Client, admin: Member) -> None:
    for path in (f"{PATH}/{admin.id}", f"{PATH}/0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b12"):
        assert refusal(client.send("DELETE", path, admin)) == (404, "not_found")
