"""Accounts over HTTP: what users see of themselves and of others, and what staff may do to whom."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from domain.announce_keys import passkey, verifies
from domain.base import SYSTEM
from domain.bonus import Account, AccountKind, Cause, PostingKind, transfer
from domain.groups import Group, group_id
from domain.permissions import Permission
from domain.sessions import Session
from domain.users import User
from projections.announce_access import announce_access
from projections.bonus import bonus
from projections.groups import groups
from projections.peers import peers
from projections.user_statistics import user_statistics
from projections.users import users
from runtime.platform import Platform
from tests.given import projected, rows_of
from tests.members import PASSWORD, Member, Members
from tests.peers.edges import ShippingEdge, announce

pytestmark = pytest.mark.engine

NOBODY_ID = "0199a4f0-0000-7000-8000-00000000dead"


def get(api: TestClient, path: str, user: Member, **params: Any) -> Response:
    answer: Response = api.get(f"/api/v1{path}", headers=user.headers, params=params)
    return answer


def post(api: TestClient, path: str, user: Member, body: Any = None, **headers: str) -> Response:
    sent = {} if body is None else {"json": body}
    answer: Response = api.post(f"/api/v1{path}", headers={**user.headers, **headers}, **sent)
    return answer


def refusal(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_me_is_the_callers_own_account(api: TestClient, platform: Platform, members: Members) -> None:
    alice, _ = members.join("alice", "power_user"), members.join("bob")
    shown = get(api, "/users/me", alice).json()
    assert (shown["id"], shown["username"], shown["email"]) == (str(alice.id), "alice", "alice@example.org")
    assert (shown["group"], shown["state"], shown["two_factor"]) == ("power_user", "enabled", False)
    assert "invites.send" in shown["permissions"]
    assert (shown["uploaded"], shown["downloaded"], shown["ratio"], shown["bonus_points"]) == (0, 0, None, 0)
    assert verifies(shown["passkey"], platform.secrets.site, alice.id, 1, uuid4())
    assert shown["announce_urls"] == [f"{platform.settings.edge.base_url}/announce/{shown['passkey']}"]


def test_me_shows_points_with_their_decimals(api: TestClient, platform: Platform, members: Members) -> None:
    alice, bob = members.join("alice"), members.join("bob")
    for user, amount in ((alice, 1_234_567), (bob, 5_000)):
        account, issuance = Account.open(AccountKind.BONUS, user.id), Account.open(AccountKind.ISSUANCE, user.id)
        transfer(issuance, account, amount, Cause(PostingKind.GRANTED, "grant", user.id), entry_id=uuid4())
        platform.store(SYSTEM).save(account, issuance)
    projected(platform, bonus)
    assert get(api, "/users/me", alice).json()["bonus_points"] == 1234.567
    assert get(api, "/users/me", bob).json()["bonus_points"] == 5


def test_nobody_is_shown_without_signing_in(api: TestClient, members: Members) -> None:
    for path in ("/users/me", f"/users/{uuid4()}", "/users", "/search/users?q=a", "/groups", "/users/me/sessions"):
        assert refusal(api.get(f"/api/v1{path}")) == (401, "unauthenticated")


def test_an_address_is_its_users_and_private_fields_are_for_senior_staff_too(api: TestClient, members: Members) -> None:
    alice, bob, mod = members.join("alice"), members.join("bob"), members.join("moda", "moderator")
    forum = members.join("forum", "forum_moderator")
    by_caller = {c.username: get(api, f"/users/{alice.id}", c).json() for c in (alice, bob, mod, forum)}
    assert {name: shown["email"] for name, shown in by_caller.items()} == {
        "alice": "alice@example.org", "bob": None, "moda": None, "forum": None,
    }  # fmt: skip
    assert by_caller["bob"]["username"] == "alice"
    assert {name: shown["two_factor"] for name, shown in by_caller.items()} == {
        "alice": False, "bob": None, "moda": False, "forum": None,
    }  # fmt: skip


@pytest.mark.parametrize(("user_id", "status"), [(NOBODY_ID, 404), ("alice", 422), (NOBODY_ID.upper(), 422)])
def test_who_is_not_there_is_not_found(api: TestClient, members: Members, user_id: str, status: int) -> None:
    assert get(api, f"/users/{user_id}", members.join("alice")).status_code == status


def test_who_waits_for_confirmation_sees_nobody_else(api: TestClient, members: Members) -> None:
    alice, waiting = members.join("alice"), members.join("waiting", "validating")
    assert get(api, f"/users/{waiting.id}", waiting).status_code == 200
    assert get(api, f"/users/{alice.id}", waiting).status_code == 404
    assert refusal(get(api, "/search/users", waiting, q="alice")) == (403, "not_permitted")


def test_the_list_is_for_staff_and_pages_without_gaps(api: TestClient, members: Members) -> None:
    made = [members.join(f"user{n}") for n in range(5)]
    mod = members.join("moda", "moderator")
    assert refusal(get(api, "/users", made[0])) == (403, "not_permitted")
    seen, cursor = [], None
    while True:
        page = get(api, "/users", mod, limit=2, **({"cursor": cursor} if cursor else {})).json()
        seen += [item["username"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["moda", "user4", "user3", "user2", "user1", "user0"]
    only = get(api, "/users", mod, group="moderator", state="enabled").json()["items"]
    assert [item["username"] for item in only] == ["moda"]


def test_staff_find_users_by_parts_of_names_and_by_when_they_came(api: TestClient, members: Members) -> None:
    mod = members.join("moda", "moderator")
    for name in ("ann_lee", "annabel", "joanna", "bob"):
        members.join(name)

    def found(**wanted: str) -> list[str]:
        return sorted(item["username"] for item in get(api, "/users", mod, **wanted).json()["items"])

    assert found(name="ANN") == ["ann_lee", "annabel", "joanna"]
    assert found(name="n_l") == ["ann_lee"]
    assert found(name="%") == []
    came = {item["username"]: item["registered_at"] for item in get(api, "/users", mod).json()["items"]}
    assert found(registered_from=came["annabel"]) == ["annabel", "bob", "joanna"]
    assert found(registered_from=came["annabel"], registered_to=came["bob"]) == ["annabel", "joanna"]
    assert found(name="ann", registered_to=came["joanna"]) == ["ann_lee", "annabel"]
    assert refusal(get(api, "/users", mod, registered_from="yesterday")) == (422, "invalid")


def test_staff_find_users_by_when_they_were_there(api: TestClient, members: Members) -> None:
    mod, forum = members.join("moda", "moderator"), members.join("forum", "forum_moderator")
    ada, bob, cid = (members.join(name) for name in ("ada", "bob", "cid"))
    ShippingEdge(members.platform).ship([announce(0, user=ada.id), announce(3600, user=bob.id)])
    projected(members.platform, peers, user_statistics)

    def found(who: Member, **wanted: str) -> Any:
        answer = get(api, "/users", who, group="member", **wanted)
        return answer.json()["code"] if answer.is_error else {one["username"] for one in answer.json()["items"]}

    noon, later = "2031-01-01T12:00:00Z", "2031-01-01T13:00:00Z"
    assert found(mod, seen_from=noon) == {"ada", "bob"}
    assert found(mod, seen_from=later) == {"bob"}
    assert found(mod, seen_to=later) == {"ada", "cid"}
    assert found(mod, seen_from=noon, seen_to=later) == {"ada"}
    assert found(forum) == {"ada", "bob", "cid"}
    assert found(forum, seen_to=later) == found(forum, seen_from=noon) == "not_permitted"
    assert cid.username in found(mod, seen_to="2031-01-01T00:00:00Z")

    assert refusal(get(api, "/users", mod, cursor="forged")) == (422, "bad_cursor")


def test_search_finds_prefixes_first_then_what_resembles(api: TestClient, platform: Platform, members: Members) -> None:
    for name in ("marion", "mario", "amario", "zelda"):
        members.join(name)
    gone = members.join("mariogone")
    user = platform.store(SYSTEM).get(User, gone.id)
    user.disable("spam")
    platform.store(SYSTEM).save(user)
    projected(platform, users)
    luigi = members.join("luigi", "elite")
    found = get(api, "/search/users", luigi, q="Mario").json()
    assert [item["username"] for item in found["items"]] == ["mario", "marion", "amario"]
    assert (found["facets"], found["engine"]) == ({"group": {"member": 3}}, "postgresql")
    assert get(api, "/search/users", luigi, q="marrion").json()["items"] != []


@pytest.mark.parametrize("q", ["%", "_____", "\\", "%' OR 1=1 --", "zz%"])
def test_search_takes_signs_of_sql_literally(api: TestClient, members: Members, q: str) -> None:
    assert get(api, "/search/users", members.join("alice"), q=q).json()["items"] == []


@pytest.mark.parametrize("params", [{}, {"q": ""}, {"q": "x" * 65}, {"q": "a", "limit": 0}, {"q": "a", "limit": 101}])
def test_searches_for_nothing_or_too_much_are_refused(
    api: TestClient, members: Members, params: dict[str, Any]
) -> None:
    assert get(api, "/search/users", members.join("alice"), **params).status_code == 422


def test_staff_move_users_below_them_to_groups_below_them(
    api: TestClient, platform: Platform, members: Members
) -> None:
    admin, mod = members.join("admin1", "administrator"), members.join("moda", "moderator")
    alice = members.join("alice")
    moved = post(api, f"/users/{alice.id}/group", admin, {"group": "elite", "reason": "earned"})
    assert moved.status_code == 200, moved.text
    projected(platform, users)
    assert get(api, f"/users/{alice.id}", mod).json()["group"] == "elite"
    refused = {
        "not_permitted": post(api, f"/users/{alice.id}/group", mod, {"group": "vip", "reason": "r"}),
        "above_own_level": post(api, f"/users/{alice.id}/group", admin, {"group": "administrator", "reason": "r"}),
        "unknown_group": post(api, f"/users/{alice.id}/group", admin, {"group": "nope", "reason": "r"}),
        "reason_missing": post(api, f"/users/{alice.id}/group", admin, {"group": "vip", "reason": " "}),
        "not_found": post(api, f"/users/{uuid4()}/group", admin, {"group": "vip", "reason": "r"}),
        "version_conflict": post(
            api, f"/users/{alice.id}/group", admin, {"group": "vip", "reason": "r"}, **{"If-Match": "1"}
        ),
    }
    assert {code: refusal(answer)[1] for code, answer in refused.items()} == {code: code for code in refused}
    assert platform.store(SYSTEM).get(User, alice.id).group == "elite"


def test_nobody_promotes_itself(api: TestClient, members: Members) -> None:
    admin, sysop = members.join("admin1", "administrator"), members.join("boss1", "sysop")
    for caller, group in ((admin, "sysop"), (sysop, "member")):
        answer = post(api, f"/users/{caller.id}/group", caller, {"group": group, "reason": "r"})
        assert refusal(answer) == (403, "above_own_level")


def test_a_sysop_makes_another_one(api: TestClient, platform: Platform, members: Members) -> None:
    sysop, alice = members.join("boss1", "sysop"), members.join("alice")
    assert post(api, f"/users/{alice.id}/group", sysop, {"group": "sysop", "reason": "r"}).status_code == 200
    assert platform.store(SYSTEM).get(User, alice.id).group == "sysop"
    answer = post(api, f"/users/{alice.id}/disable", sysop, {"reason": "r"})
    assert refusal(answer) == (403, "above_own_level")


def test_a_group_that_may_not_come_in_ends_the_sessions(api: TestClient, platform: Platform, members: Members) -> None:
    admin, alice = members.join("admin1", "administrator"), members.join("alice")
    post(api, f"/users/{alice.id}/group", admin, {"group": "banned", "reason": "r"})
    assert get(api, "/users/me", alice).status_code == 401
    assert platform.store(SYSTEM).get(Session, alice.pair.session_id).ended


def test_a_disabled_user_is_out_at_once_on_every_device(api: TestClient, platform: Platform, members: Members) -> None:
    mod, alice, bob = members.join("moda", "moderator"), members.join("alice"), members.join("bob")
    second = members.sign_in(alice.id, "alice")
    assert post(api, f"/users/{alice.id}/disable", mod, {"reason": "spam"}).status_code == 200
    for session in (alice, second):  # before any projection ran
        assert get(api, "/users/me", session).status_code == 401
        refreshed = api.post("/api/v1/auth/refresh", json={"refresh_token": session.pair.refresh_token})
        assert refreshed.status_code == 401
        assert platform.store(SYSTEM).get(Session, session.pair.session_id).ended
    assert get(api, "/users/me", bob).status_code == 200
    projected(platform, users, announce_access)
    rows = rows_of(platform, "SELECT enabled FROM read.announce_user WHERE user_id = %s", [alice.id])
    assert rows == [(False,)]
    assert post(api, f"/users/{alice.id}/enable", mod, {"reason": "appeal"}).status_code == 200
    projected(platform, users)
    assert get(api, "/users/me", members.sign_in(alice.id, "alice")).json()["state"] == "enabled"


def test_disabling_needs_the_right_a_lower_level_and_a_reason(api: TestClient, members: Members) -> None:
    mod, other, alice = members.join("moda", "moderator"), members.join("mod2", "moderator"), members.join("alice")
    assert refusal(post(api, f"/users/{mod.id}/disable", alice, {"reason": "r"})) == (403, "not_permitted")
    assert refusal(post(api, f"/users/{other.id}/disable", mod, {"reason": "r"})) == (403, "above_own_level")
    assert refusal(post(api, f"/users/{mod.id}/disable", mod, {"reason": "r"})) == (403, "above_own_level")
    assert refusal(post(api, f"/users/{alice.id}/disable", mod, {"reason": ""})) == (422, "reason_missing")
    assert refusal(post(api, f"/users/{alice.id}/disable", mod, {})) == (422, "invalid")
    assert refusal(post(api, f"/users/{alice.id}/enable", alice, {"reason": "r"})) == (403, "not_permitted")


def test_a_reset_passkey_is_another_one_shown_once(api: TestClient, platform: Platform, members: Members) -> None:
    alice, bob = members.join("alice"), members.join("bob")
    key = str(uuid4())
    before = get(api, "/users/me", alice).json()["passkey"]
    reset = post(api, "/users/me/passkey/reset", alice, **{"Idempotency-Key": key}).json()
    assert reset["passkey"][:16] == passkey(platform.secrets.site, alice.id, 2) != before[:16]
    again = post(api, "/users/me/passkey/reset", alice, **{"Idempotency-Key": key}).json()
    assert (again["position"], again["passkey"], again["announce_urls"]) == (reset["position"], None, None)
    projected(platform, users, announce_access)
    assert get(api, "/users/me", alice).json()["passkey"] == reset["passkey"]
    assert rows_of(platform, "SELECT user_id, passkey_no FROM read.announce_user ORDER BY passkey_no") == [
        (bob.id, 1), (alice.id, 2),
    ]  # fmt: skip


def test_a_new_password_ends_the_other_sessions(api: TestClient, platform: Platform, members: Members) -> None:
    alice, bob = members.join("alice", password=PASSWORD), members.join("bob")
    elsewhere = members.sign_in(alice.id, "alice")
    new = "another long passphrase"
    wrong = post(api, "/users/me/password", alice, {"current": "not this one", "new": new})
    assert refusal(wrong) == (403, "wrong_password")
    weak = post(api, "/users/me/password", alice, {"current": PASSWORD, "new": "alice"})
    assert refusal(weak) == (422, "weak_password")
    assert post(api, "/users/me/password", alice, {"current": PASSWORD, "new": new}).status_code == 200
    assert [get(api, "/users/me", user).status_code for user in (alice, elsewhere, bob)] == [200, 401, 200]
    for password, status in ((PASSWORD, 401), (new, 200)):
        answer = api.post("/api/v1/auth/login", json={"username": "alice", "password": password})
        assert answer.status_code == status


def test_sessions_are_listed_and_revoked_by_their_owner_only(
    api: TestClient, platform: Platform, members: Members
) -> None:
    alice, bob = members.join("alice", password=PASSWORD), members.join("bob")
    tokens = api.post(
        "/api/v1/auth/login", json={"username": "alice", "password": PASSWORD}, headers={"User-Agent": "tests/1"}
    ).json()
    listed = get(api, "/users/me/sessions", alice).json()["items"]
    assert [(s["current"], s["user_agent"]) for s in listed] == [(False, "tests/1"), (True, None)]
    theirs = api.delete(f"/api/v1/users/me/sessions/{listed[0]['id']}", headers=bob.headers)
    assert refusal(theirs) == (404, "not_found")
    assert api.delete(f"/api/v1/users/me/sessions/{listed[0]['id']}", headers=alice.headers).status_code == 204
    revoked = api.get("/api/v1/users/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert revoked.status_code == 401
    assert platform.store(SYSTEM).get(Session, UUID(listed[0]["id"])).ended
    assert [s["id"] for s in get(api, "/users/me/sessions", alice).json()["items"]] == [str(alice.pair.session_id)]


def test_a_right_that_a_group_loses_is_gone_with_the_next_request(
    api: TestClient, platform: Platform, members: Members
) -> None:
    mod = members.join("moda", "moderator")
    assert get(api, "/users", mod).status_code == 200
    group = platform.store(SYSTEM).get(Group, group_id("moderator"))
    group.change_permissions(frozenset({Permission.LOGIN}))
    platform.store(SYSTEM).save(group)
    projected(platform, groups)
    assert refusal(get(api, "/users", mod)) == (403, "not_permitted")
