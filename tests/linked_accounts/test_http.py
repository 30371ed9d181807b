"""Linked accounts over the API: staff link, list and part them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from httpx import Response

from tests.members import Client, Member

pytestmark = pytest.mark.engine


@pytest.fixture
def client(shared_client: Client) -> Client:
    return shared_client


def link(client: Client, staff: Member, one: Member, other: Member, reason: str = "same printer") -> Response:
    return client.post(staff, f"/users/{one.id}/linked-accounts", {"user_id": str(other.id), "reason": reason})


def part(client: Client, staff: Member, path: str, reason: str = "a flatmate") -> Response:
    return client.send("DELETE", path, staff, {"reason": reason})


def linked(client: Client, staff: Member, one: Member) -> list[str]:
    answer: Any = client.get(staff, f"/users/{one.id}/linked-accounts").json()
    return [item["user"]["username"] for item in answer["items"]]


def refusal(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_accounts_are_linked_and_parted(client: Client) -> None:
    mod = client.members.join("mod", "moderator")
    ada, bea, cleo, dora = (client.members.join(name) for name in ("ada", "bea", "cleo", "dora"))
    group = link(client, mod, ada, bea).json()["id"]
    assert link(client, mod, cleo, bea, "same name").json()["id"] == group
    shown = client.get(mod, f"/users/{ada.id}/linked-accounts").json()
    assert shown["id"] == group
    assert [(one["user"]["username"], one["reason"], one["linked_by"]["username"]) for one in shown["items"]] == [
        ("ada", "same printer", "mod"), ("bea", "same printer", "mod"), ("cleo", "same name", "mod"),
    ]  # fmt: skip
    assert linked(client, mod, dora) == []
    assert part(client, mod, f"/users/{ada.id}/linked-accounts").status_code == 200
    assert (linked(client, mod, ada), linked(client, mod, bea)) == ([], ["bea", "cleo"])
    assert link(client, mod, ada, dora).json()["id"] != group
    assert refusal(link(client, mod, ada, bea)) == (409, "already_linked")
    assert part(client, mod, f"/link-groups/{group}").status_code == 200
    assert (linked(client, mod, cleo), linked(client, mod, dora)) == ([], ["ada", "dora"])
    assert refusal(part(client, mod, f"/link-groups/{group}")) == (409, "not_linked")
    assert refusal(part(client, mod, f"/users/{cleo.id}/linked-accounts")) == (409, "not_linked")
    assert link(client, mod, cleo, bea).status_code == 201


def test_an_account_is_in_one_group_whoever_is_faster(client: Client) -> None:
    mods = [client.members.join(f"mod{n}", "moderator") for n in range(4)]
    ada, *others = (client.members.join(f"user{n}") for n in range(5))
    client.members.catch_up()

    def ask(pair: tuple[Member, Member]) -> int:
        body = {"user_id": str(pair[1].id), "reason": "r"}
        return client.at_once("POST", f"/users/{ada.id}/linked-accounts", pair[0], body).status_code

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask, zip(mods, others, strict=True)))
    # a command that comes second finds the first one's group and joins it, unless it came second thrice
    assert set(answers) <= {201, 409}
    assert 201 in answers
    names = linked(client, mods[0], ada)
    assert len(names) == 1 + answers.count(201)
    assert {tuple(linked(client, mods[0], other)) for other in others} <= {tuple(names), ()}


def test_who_may_not_and_what_makes_no_sense(client: Client) -> None:
    forum, mod = client.members.join("forum", "forum_moderator"), client.members.join("mod", "moderator")
    ada, bea = client.members.join("ada"), client.members.join("bea")
    assert refusal(link(client, forum, ada, bea)) == (403, "not_permitted")
    assert refusal(client.get(forum, f"/users/{ada.id}/linked-accounts")) == (403, "not_permitted")
    assert refusal(link(client, mod, ada, mod)) == (403, "above_own_level")
    assert refusal(link(client, mod, mod, ada)) == (403, "above_own_level")
    assert refusal(link(client, mod, ada, ada)) == (422, "linked_to_itself")
    assert refusal(link(client, mod, ada, bea, " ")) == (422, "reason_missing")
    nobody = {"user_id": str(uuid4()), "reason": "r"}
    assert refusal(client.post(mod, f"/users/{ada.id}/linked-accounts", nobody)) == (404, "not_found")
    assert refusal(client.get(mod, f"/users/{uuid4()}/linked-accounts")) == (404, "not_found")
    assert refusal(part(client, mod, f"/link-groups/{uuid4()}")) == (404, "not_found")
    assert linked(client, mod, ada) == []
