"""The short lists over the API: everybody's categories, and the forums and rooms of the caller's level."""

from __future__ import annotations

import pytest

from tests.in_process import TestClient
from tests.members import Client

pytestmark = pytest.mark.engine


def test_categories_come_parents_first(client: Client) -> None:
    items = client.agent("member").get("/categories")["items"]
    assert len(items) == 28
    assert [item["slug"] for item in items[:3]] == ["movies", "movies-hd", "movies-sd"]
    assert items[1] == {"id": items[1]["id"], "slug": "movies-hd", "name": "HD", "parent": "movies"}


def test_forums_and_rooms_are_those_of_the_callers_level(client: Client) -> None:
    agents = [client.agent(group, group) for group in ("validating", "member", "moderator")]
    seen = {agent.username: [[item["slug"] for item in agent.get(path)["items"]] for path in PATHS] for agent in agents}
    assert seen["validating"] == [["support"], ["support"]]
    assert "staff" not in seen["member"][0] + seen["member"][1]
    assert len(seen["member"][0]) == 5
    assert [len(slugs) for slugs in seen["moderator"]] == [7, 5]


def test_who_may_write_is_said(client: Client) -> None:
    forums = client.agent("member").get("/forums")["items"]
    assert {forum["slug"]: forum["can_write"] for forum in forums}["announcements"] is False
    assert forums[1]["can_write"] is True


@pytest.mark.parametrize("path", ["/categories", "/forums", "/chat/rooms"])
def test_strangers_see_nothing(api: TestClient, path: str) -> None:
    answer = api.get(f"/api/v1{path}")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


PATHS = ("/forums", "/chat/rooms")
