"""Rights over HTTP: who may give and take what, what holds afterwards and until when, and where each comes from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.base import SYSTEM
from domain.groups import Group, group_id
from domain.permissions import Permission
from runtime.worker.due import expire_all_rights
from tests.bans.callers import Site, refusal, soon
from tests.given import rows_of
from tests.members import Member

pytestmark = pytest.mark.engine


@pytest.fixture
def admin(site: Site) -> Member:
    return site.members.join("admin1", "administrator")


@pytest.fixture
def ada(site: Site) -> Member:
    return site.members.join("ada")


@pytest.fixture
def grace(site: Site) -> Member:
    return site.members.join("grace")


def put(site: Site, staff: Member, path: str, **body: Any) -> Any:
    return site.send("PUT", path, staff, {"reason": "r"} | body)


def take(site: Site, staff: Member, path: str) -> Any:
    return site.send("DELETE", path, staff, {"reason": "r"})


def held(site: Site, who: Member) -> set[str]:
    """What the API lets the user do."""
    answer = site.get(who, "/users/me")
    assert answer.status_code == 200, answer.text
    return set(answer.json()["permissions"])


def shown(site: Site, who: Member, user: Member, **params: str) -> dict[str, Any]:
    answer = site.get(who, f"/users/{user.id}/permissions", **params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert sum(1 for one in found["items"] if one["held"] != (bool(one["given_by"]) and not one["withheld_by"])) == 0
    return found | {"items": {one["permission"]: one for one in found["items"]}}


def test_a_permission_is_granted_denied_and_left_to_the_groups_again(
    site: Site, admin: Member, ada: Member, grace: Member
) -> None:
    before = held(site, ada)
    invites, posts = (f"/users/{ada.id}/permissions/{p}" for p in ("invites.send", "community.post"))
    assert put(site, admin, invites, granted=True).status_code == 200
    assert put(site, admin, posts, granted=False).status_code == 200
    assert held(site, ada) == (before | {"invites.send"}) - {"community.post"}
    assert held(site, grace) == before
    assert take(site, admin, invites).status_code == take(site, admin, posts).status_code == 200
    assert held(site, ada) == before
    assert refusal(take(site, admin, invites)) == (409, "no_such_exception")


def test_a_group_beside_its_own_adds_its_permissions_as_they_are(site: Site, admin: Member, ada: Member) -> None:
    path, before = f"/users/{ada.id}/secondary-groups/designer", held(site, ada)
    root = site.members.join("root1", "sysop")  # an administrator edits no themes, so gives none away
    assert refusal(put(site, admin, path)) == (403, "permission_not_held")
    assert put(site, root, path).status_code == 200
    assert "themes.edit" in held(site, ada)
    designer = site.platform.store(SYSTEM).get(Group, group_id("designer"))
    designer.change_permissions(frozenset({Permission.BONUS_GRANT}))
    site.platform.store(SYSTEM).save(designer)
    assert held(site, ada) == before | {"bonus.grant"}
    assert site.post(ada, f"/users/{ada.id}/bonus/grants", {"points": 1, "reason": "r"}).status_code == 201
    assert take(site, root, path).status_code == 200
    assert held(site, ada) == before
    assert refusal(take(site, root, path)) == (409, "not_in_secondary_group")


def test_each_holds_until_its_time_and_its_end_is_recorded(site: Site, ada: Member) -> None:
    root, end = site.members.join("root1", "sysop"), soon(60)
    path = f"/users/{ada.id}/permissions/users.warn"
    assert put(site, root, path, granted=True, until=end.isoformat()).status_code == 200
    assert put(site, root, f"/users/{ada.id}/secondary-groups/designer", until=end.isoformat()).status_code == 200
    assert put(site, root, f"/users/{ada.id}/permissions/reports.file", granted=False, until=end.isoformat()).is_success
    before, last = held(site, ada), end - timedelta(seconds=1)
    assert {"users.warn", "themes.edit"} <= before
    assert "reports.file" not in before
    site.set_clock(last)
    assert held(site, ada) == before
    site.set_clock(end)
    after = held(site, ada)
    assert not {"users.warn", "themes.edit"} & after
    assert "reports.file" in after
    for now in (last, end, end):
        expire_all_rights(site.platform, now)
        site.members.catch_up()
    ended = rows_of(
        site.platform,
        "SELECT t.name, e.actor_id, e.origin FROM es.event e JOIN es.event_type t ON t.id = e.type"
        " WHERE t.name LIKE 'rights.%%_expired' ORDER BY e.position",
    )
    assert ended == [
        ("rights.exception_expired", SYSTEM, "policy"),
        ("rights.exception_expired", SYSTEM, "policy"),
        ("rights.secondary_group_expired", SYSTEM, "policy"),
    ]
    assert rows_of(site.platform, "SELECT count(*) FROM read.permission_exception") == [(0,)]


def test_other_grants_are_refused(site: Site, admin: Member, ada: Member) -> None:
    wrong: tuple[tuple[str, dict[str, Any], tuple[int, str]], ...] = (
        ("site.manage", {"granted": True}, (403, "permission_not_held")),
        ("themes.edit", {"granted": True}, (403, "permission_not_held")),
        ("site.login", {"granted": False}, (422, "not_exceptional")),
        ("fly", {"granted": True}, (404, "not_found")),
        ("invites.send", {"granted": True, "until": "2020-01-01T00:00:00Z"}, (422, "right_ends_in_past")),
        ("invites.send", {"granted": True, "reason": " "}, (422, "reason_missing")),
        ("invites.send", {"granted": "yes"}, (422, "invalid")),
    )
    for permission, body, refused in wrong:
        answer = put(site, admin, f"/users/{ada.id}/permissions/{permission}", **body)
        assert refusal(answer) == refused, (permission, body)
    assert shown(site, admin, ada)["version"] is None


def test_a_denial_of_what_one_does_not_hold_stays(site: Site, admin: Member, ada: Member) -> None:
    """Whoever denies needs no permission but theirs to do so; whoever takes that back gives."""
    root = site.members.join("root1", "sysop")
    path = f"/users/{ada.id}/permissions/themes.edit"
    assert put(site, admin, path, granted=False).status_code == 200
    assert refusal(take(site, admin, path)) == (403, "permission_not_held")
    assert take(site, root, path).status_code == 200


def test_perks_are_given_by_who_has_none(site: Site, admin: Member, ada: Member) -> None:
    assert put(site, admin, f"/users/{ada.id}/permissions/announce.freeleech", granted=True).status_code == 200
    assert "announce.freeleech" in held(site, ada)


def test_staff_act_on_lower_levels_only(site: Site, admin: Member, ada: Member) -> None:
    other = site.members.join("admin2", "administrator")
    for user in (admin, other, site.members.join("root1", "sysop")):
        for path in ("permissions/invites.send", "secondary-groups/designer", "class-lock"):
            body = {"granted": False} if path.startswith("perm") else {}
            assert refusal(put(site, admin, f"/users/{user.id}/{path}", **body)) == (403, "above_own_level")
    moderator = site.members.join("moda", "moderator")
    assert refusal(put(site, moderator, f"/users/{ada.id}/class-lock")) == (403, "not_permitted")


def test_only_groups_made_for_it_are_given_beside_another(site: Site, admin: Member, ada: Member) -> None:
    assert refusal(put(site, admin, f"/users/{ada.id}/secondary-groups/vip")) == (422, "not_a_secondary_group")
    assert refusal(put(site, admin, f"/users/{ada.id}/secondary-groups/nope")) == (404, "not_found")


def test_a_ban_takes_what_is_granted_too(site: Site, admin: Member, ada: Member) -> None:
    assert put(site, admin, f"/users/{ada.id}/permissions/invites.send", granted=True).status_code == 200
    assert site.ban(admin, ada, "invite").status_code == 201
    assert "invites.send" not in held(site, ada)
    one = shown(site, ada, ada)["items"]["invites.send"]
    assert (one["held"], [s["kind"] for s in one["given_by"]], [s["name"] for s in one["withheld_by"]]) == (
        False, ["grant"], ["invite"],
    )  # fmt: skip


def test_where_each_permission_comes_from_is_shown(site: Site, admin: Member, ada: Member, grace: Member) -> None:
    root = site.members.join("root1", "sysop")
    put(site, root, f"/users/{ada.id}/secondary-groups/designer", reason="drew the logo")
    put(site, admin, f"/users/{ada.id}/permissions/community.post", granted=False, reason="spam")
    put(site, admin, f"/users/{ada.id}/class-lock")
    own, staffs = shown(site, ada, ada), shown(site, admin, ada)
    assert (own["group"], own["level"], own["secondary_groups"], own["class_locked"]) == (
        "member", 100, ["designer"], True,
    )  # fmt: skip
    post, themes = own["items"]["community.post"], own["items"]["themes.edit"]
    assert [source["kind"] for source in post["given_by"]] == ["group", "secondary_group"]
    assert [(s["kind"], s["reason"], s["by"]) for s in post["withheld_by"]] == [("denial", "spam", None)]
    assert [(s["kind"], s["name"], s["reason"]) for s in themes["given_by"]] == [
        ("secondary_group", "designer", "drew the logo")
    ]
    assert staffs["items"]["themes.edit"]["given_by"][0]["by"] == str(root.id)
    assert {name for name, one in own["items"].items() if one["held"]} == held(site, ada)
    assert refusal(site.get(grace, f"/users/{ada.id}/permissions")) == (403, "not_permitted")
    assert {name for name, one in shown(site, grace, grace)["items"].items() if one["held"]} == held(site, grace)


def test_what_a_user_might_do_then_is_shown_as_it_was(site: Site, admin: Member, ada: Member) -> None:
    """Each change is seen from its own moment on, and not before, whatever came after."""

    def then(at: datetime) -> tuple[str, bool, bool, bool]:
        found = shown(site, admin, ada, at=at.isoformat())
        upload, invite, post = (
            found["items"].get(name, {"held": False})["held"]
            for name in ("torrents.upload", "invites.send", "community.post")
        )
        return found["group"], upload, invite, post

    moments = [datetime.now(UTC)]
    for change in (
        lambda: put(site, admin, f"/users/{ada.id}/permissions/invites.send", granted=True),
        lambda: site.ban(admin, ada, "upload"),
        lambda: site.post(admin, f"/users/{ada.id}/group", {"group": "elite", "reason": "r"}),
        lambda: site.send("PUT", "/groups/elite/permissions", admin, {"permissions": ["site.login"]}),
        lambda: take(site, admin, f"/users/{ada.id}/permissions/invites.send"),
    ):
        answer = change()
        assert answer.is_success, answer.text
        moments.append(datetime.now(UTC))
    assert [then(at) for at in moments] == [
        ("member", True, False, True),
        ("member", True, True, True),
        ("member", False, True, True),
        ("elite", False, True, True),
        ("elite", False, True, False),
        ("elite", False, False, False),
    ]
    before = site.get(admin, f"/users/{ada.id}/permissions", at="2020-01-01T00:00:00Z")
    assert refusal(before) == (404, "not_found")
    assert refusal(site.get(admin, f"/users/{ada.id}/permissions", at="7")) == (422, "bad_moment")


def test_who_is_disabled_holds_nothing_and_all_of_it_is_in_the_audit_log(
    site: Site, admin: Member, ada: Member
) -> None:
    assert site.post(admin, f"/users/{ada.id}/disable", {"reason": "r"}).status_code == 200
    assert put(site, admin, f"/users/{ada.id}/permissions/invites.send", granted=True, reason="why").status_code == 200
    items = shown(site, admin, ada)["items"].values()
    assert not any(one["held"] for one in items)
    assert {source["kind"] for one in items for source in one["withheld_by"]} == {"disabled"}
    (entry,) = site.get(admin, "/audit", type="rights.permission_granted").json()["items"]
    assert (entry["actor"]["id"], entry["subject"]["type"], entry["subject"]["id"], entry["reason"]) == (
        str(admin.id), "user", str(ada.id), "why",
    )  # fmt: skip


def test_two_who_look_at_the_same_rights_do_not_overwrite_each_other(site: Site, admin: Member, ada: Member) -> None:
    path = f"/users/{ada.id}/permissions/invites.send"
    assert put(site, admin, path, granted=True).status_code == 200
    version = shown(site, admin, ada)["version"]
    body = {"granted": False, "reason": "r"}
    answers = [site.send("PUT", path, admin, body, {"If-Match": str(v)}) for v in (version - 1, version)]
    assert [answer.status_code for answer in answers] == [409, 200]
