"""Grants and ledgers over HTTP: who may, what comes back, and what is refused."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from domain.default_data import BONUS_RULES
from tests.members import Client, Members

pytestmark = pytest.mark.engine


def test_staff_grant_points_and_the_user_sees_why(client: Client, members: Members) -> None:
    admin, ada, bob = members.join("root", "administrator"), members.join("ada"), members.join("bob")
    granted = client.post(admin, f"/users/{ada.id}/bonus/grants", {"points": 12.345, "reason": "for the logo"})
    assert granted.status_code == 201, granted.text
    assert granted.json()["balance"] == 12.345
    client.post(admin, f"/users/{bob.id}/bonus/grants", {"points": 1, "reason": "hello"})
    items = client.get(ada, "/users/me/ledger", account="bonus").json()["items"]
    assert [(p["amount"], p["balance"], p["kind"]) for p in items] == [(12.345, 12.345, "granted")]
    assert items[0]["cause"] == {"type": "grant", "id": granted.json()["id"], "text": "for the logo"}
    assert items[0]["entry_id"] == granted.json()["id"]


def test_a_repeated_grant_is_granted_once(client: Client, members: Members) -> None:
    admin, ada = members.join("root", "administrator"), members.join("ada")
    key, body = str(uuid4()), {"points": 5.5, "reason": "once"}
    answers = [client.post(admin, f"/users/{ada.id}/bonus/grants", body, Idempotency_Key=key).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert ada.account().balance == 5_500
    other = client.post(admin, f"/users/{ada.id}/bonus/grants", {**body, "points": 6}, Idempotency_Key=key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")


@pytest.mark.parametrize("points", [0, -1, 0.0001, 10**18, 1e300, "7", True, None, [1]])
def test_points_that_are_none_are_refused(client: Client, members: Members, points: Any) -> None:
    admin, ada = members.join("root", "administrator"), members.join("ada")
    refused = client.post(admin, f"/users/{ada.id}/bonus/grants", {"points": points, "reason": "r"})
    assert refused.status_code == 422, refused.text
    assert ada.account().version == 1


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1_001, None])
def test_a_grant_needs_a_reason(client: Client, members: Members, reason: Any) -> None:
    admin, ada = members.join("root", "administrator"), members.join("ada")
    refused = client.post(admin, f"/users/{ada.id}/bonus/grants", {"points": 1, "reason": reason})
    assert refused.status_code == 422


def test_members_grant_nothing_and_nobody_grants_to_nobody(client: Client, members: Members) -> None:
    admin, ada = members.join("root", "administrator"), members.join("ada")
    body = {"points": 1, "reason": "r"}
    assert client.post(ada, f"/users/{ada.id}/bonus/grants", body).json()["code"] == "not_permitted"
    assert client.post(admin, f"/users/{uuid4()}/bonus/grants", body).status_code == 404
    assert client.post(admin, f"/users/{str(ada.id).upper()}/bonus/grants", body).status_code == 422


def test_a_ledger_is_its_owners_and_staffs(client: Client, members: Members) -> None:
    moderator, ada, bob = members.join("mod", "moderator"), members.join("ada", points=3), members.join("bob")
    assert client.get(bob, f"/users/{ada.id}/ledger").json()["code"] == "not_permitted"
    assert client.get(ada, f"/users/{ada.id}/ledger").json()["items"][0]["amount"] == 3
    assert client.get(moderator, f"/users/{ada.id}/ledger", account="issuance").json()["items"][0]["amount"] == -3
    assert client.get(moderator, f"/users/{bob.id}/ledger").json() == {"items": [], "next_cursor": None}
    assert client.get(moderator, f"/users/{uuid4()}/ledger").status_code == 404
    assert client.get(ada, "/users/me/ledger", account="escrow").status_code == 422


def test_a_long_ledger_comes_in_pages(client: Client, members: Members) -> None:
    ada, bob = members.join("ada"), members.join("bob", points=1)
    for n in range(1, 6):
        ada.earns(n * 1_000)
    amounts: list[float] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get(ada, "/users/me/ledger", limit="2", **cursor).json()
        amounts += [p["amount"] for p in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert amounts == [5, 4, 3, 2, 1]
    assert client.get(bob, "/users/me/ledger", **cursor).json()["code"] == "bad_cursor"


def test_everybody_reads_the_rules(client: Client, members: Members) -> None:
    items = client.get(members.join("ada"), "/bonus/rules").json()["items"]
    assert [(r["slug"], r["terms"]) for r in items] == [(slug, list(terms)) for slug, _, _, terms in BONUS_RULES]
