"""Groups over HTTP: who sees them and who may change what they may do."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from projections.groups import groups
from runtime.platform import Platform
from tests.given import projected
from tests.members import Member, Members

pytestmark = pytest.mark.engine


def put(api: TestClient, slug: str, user: Member, body: Any, **headers: str) -> Response:
    answer: Response = api.put(f"/api/v1/groups/{slug}/permissions", json=body, headers={**user.headers, **headers})
    return answer


def refusal(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_members_see_the_ladder(api: TestClient, members: Members) -> None:
    page = api.get("/api/v1/groups", headers=members.join("alice").headers).json()
    assert page["next_cursor"] is None
    assert [(g["slug"], g["level"]) for g in page["items"]][:3] == [("banned", 0), ("validating", 10), ("member", 100)]
    assert len(page["items"]) == 13


def test_managers_change_lower_groups(api: TestClient, platform: Platform, members: Members) -> None:
    admin = members.join("admin1", "administrator")
    answer = put(api, "member", admin, {"permissions": ["site.login", "announce.seed"]}, **{"If-Match": "1"})
    assert answer.status_code == 200, answer.text
    projected(platform, groups)
    shown = api.get("/api/v1/groups", headers=admin.headers).json()["items"]
    assert {g["slug"]: g["permissions"] for g in shown}["member"] == ["announce.seed", "site.login"]
    assert "announce.leech" in {p for g in shown if g["slug"] == "elite" for p in g["permissions"]}
    stale = put(api, "member", admin, {"permissions": []}, **{"If-Match": "1"})
    assert refusal(stale) == (409, "version_conflict")


@pytest.mark.parametrize(
    ("group", "slug", "permissions", "refused"),
    [
        ("moderator", "member", [], (403, "not_permitted")),
        ("administrator", "administrator", [], (403, "above_own_level")),
        ("administrator", "sysop", [], (403, "above_own_level")),
        ("sysop", "sysop", [], (403, "above_own_level")),
        ("administrator", "moderator", ["site.manage"], (403, "permission_not_held")),
        ("administrator", "nope", [], (404, "not_found")),
        ("administrator", "member", ["fly"], (422, "invalid")),
        ("administrator", "member", "site.login", (422, "invalid")),
    ],
)
def test_other_changes_are_refused(
    api: TestClient, members: Members, group: str, slug: str, permissions: object, refused: tuple[int, str]
) -> None:
    assert refusal(put(api, slug, members.join("caller", group), {"permissions": permissions})) == refused


def put_slots(api: TestClient, slug: str, user: Member, slots: Any, **headers: str) -> Response:
    body = {"download_slots": slots}
    answer: Response = api.put(f"/api/v1/groups/{slug}/download-slots", json=body, headers={**user.headers, **headers})
    return answer


def test_managers_limit_what_lower_groups_download_at_a_time(
    api: TestClient, platform: Platform, members: Members
) -> None:
    admin = members.join("admin1", "administrator")
    assert put_slots(api, "member", admin, 5, **{"If-Match": "1"}).status_code == 200
    assert put_slots(api, "elite", admin, 9).status_code == put_slots(api, "elite", admin, None).status_code == 200
    projected(platform, groups)
    shown = {g["slug"]: g for g in api.get("/api/v1/groups", headers=admin.headers).json()["items"]}
    assert {slug: shown[slug]["download_slots"] for slug in ("member", "elite", "vip")} == {
        "member": 5, "elite": None, "vip": None,
    }  # fmt: skip
    assert refusal(put_slots(api, "member", admin, 6, **{"If-Match": "1"})) == (409, "version_conflict")


@pytest.mark.parametrize(
    ("group", "slug", "slots", "refused"),
    [
        ("moderator", "member", 5, (403, "not_permitted")),
        ("administrator", "administrator", 5, (403, "above_own_level")),
        ("administrator", "nope", 5, (404, "not_found")),
        ("administrator", "member", -1, (422, "invalid")),
        ("administrator", "member", 100_001, (422, "invalid")),
        ("administrator", "member", "5", (422, "invalid")),
    ],
)
def test_other_slots_are_refused(
    api: TestClient, members: Members, group: str, slug: str, slots: object, refused: tuple[int, str]
) -> None:
    assert refusal(put_slots(api, slug, members.join("caller", group), slots)) == refused


def test_managers_found_and_change_lower_groups(api: TestClient, platform: Platform, members: Members) -> None:
    admin = members.join("admin1", "administrator")
    body = {"slug": "archivist", "name": "Archivist", "level": 450, "permissions": ["site.login", "announce.freeleech"]}
    founded = api.post("/api/v1/groups", json=body, headers=admin.headers)
    assert founded.status_code == 201, founded.text
    assert refusal(api.post("/api/v1/groups", json=body, headers=admin.headers)) == (409, "group_exists")
    terms = {"name": "Keeper", "level": 460, "secondary": True}
    assert api.put("/api/v1/groups/archivist", json=terms, headers=admin.headers).status_code == 200
    invites = {"monthly_invites": 2}
    assert api.put("/api/v1/groups/archivist/monthly-invites", json=invites, headers=admin.headers).status_code == 200
    projected(platform, groups)
    shown = {g["slug"]: g for g in api.get("/api/v1/groups", headers=admin.headers).json()["items"]}
    one = shown["archivist"]
    assert (one["name"], one["level"], one["secondary"], one["monthly_invites"], one["permissions"]) == (
        "Keeper", 460, True, 2, ["announce.freeleech", "site.login"],
    )  # fmt: skip
    assert (shown["elite"]["secondary"], shown["elite"]["monthly_invites"]) == (False, 0)


def test_other_groups_are_not_founded(api: TestClient, members: Members) -> None:
    admin = members.join("admin1", "administrator")
    good: dict[str, Any] = {"slug": "archivist", "name": "Archivist", "level": 450, "permissions": []}
    wrong: tuple[tuple[dict[str, Any], tuple[int, str]], ...] = (
        ({"level": 980}, (403, "above_own_level")),
        ({"permissions": ["site.manage"]}, (403, "permission_not_held")),
        ({"level": 0}, (422, "invalid")),
        ({"level": 1000}, (422, "invalid")),
        ({"slug": "No"}, (422, "bad_group")),
        ({"slug": "a__b"}, (422, "bad_group")),
        ({"slug": "member"}, (409, "group_exists")),
        ({"name": " "}, (422, "bad_group")),
        ({"permissions": ["fly"]}, (422, "invalid")),
    )
    for changes, refused in wrong:
        assert refusal(api.post("/api/v1/groups", json=good | changes, headers=admin.headers)) == refused, changes


def test_no_group_is_moved_above_whoever_moves_it(api: TestClient, members: Members) -> None:
    admin = members.join("admin1", "administrator")
    body = {"name": "Member", "level": 980, "secondary": False}
    assert refusal(api.put("/api/v1/groups/member", json=body, headers=admin.headers)) == (403, "above_own_level")
    assert refusal(api.put("/api/v1/groups/sysop", json=body, headers=admin.headers)) == (403, "above_own_level")


def test_a_groups_history_says_who_changed_what_and_when(api: TestClient, platform: Platform, members: Members) -> None:
    admin = members.join("admin1", "administrator")
    assert put(api, "member", admin, {"permissions": ["site.login", "invites.send"]}).status_code == 200
    assert put_slots(api, "member", admin, 5).status_code == 200
    answer = api.get("/api/v1/groups/member/history", headers=admin.headers)
    first, second, third = answer.json()["items"]
    assert [(step["type"], step["by"]["username"]) for step in (first, second, third)] == [
        ("group.founded", "system"),
        ("group.permissions_changed", "admin1"),
        ("group.download_slots_changed", "admin1"),
    ]
    assert first["added"] == first["permissions"] != second["permissions"] == ["invites.send", "site.login"]
    assert second["added"] == ["invites.send"]
    assert set(second["removed"]) == set(first["permissions"]) - {"site.login"}
    assert (third["added"], third["removed"], third["download_slots"], second["download_slots"]) == ([], [], 5, None)
    assert refusal(api.get("/api/v1/groups/nope/history", headers=admin.headers)) == (404, "not_found")
