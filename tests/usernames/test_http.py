"""Names over HTTP: of those who want one at once one gets it, and former ones stay taken."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from httpx import Response

from commands.registration import create_user
from commands.usernames import claim_looks
from domain.base import SYSTEM
from domain.errors import Conflict
from runtime.platform import Platform
from tests.given import rows_of
from tests.in_process import TestClient
from tests.members import PASSWORD, Client, Members

pytestmark = pytest.mark.engine


def register(api: TestClient, name: str) -> tuple[int, str | None]:
    body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
    return outcome(api.post("/api/v1/auth/register", json=body))


def login(api: TestClient, name: str) -> int:
    answer: Response = api.post("/api/v1/auth/login", json={"username": name, "password": PASSWORD})
    return int(answer.status_code)


def outcome(answer: Response) -> tuple[int, str | None]:
    return answer.status_code, answer.json().get("code")


TAKEN = (409, "username_taken")


@pytest.mark.parametrize("name", ["ALICE", "a1ice", "al-ice", "AL1-C_e"])
def test_a_name_that_looks_like_another_is_taken(api: TestClient, members: Members, name: str) -> None:
    assert register(api, "alice") == (201, None)
    assert register(api, name) == TAKEN
    assert register(api, "malice") == (201, None)


@pytest.mark.parametrize("drawn", [lambda n: "alice", lambda n: ("alice", "a1ice", "AL-ICE", "al_1ce")[n % 4]])
def test_of_20_who_want_a_name_at_once_one_gets_it(
    platform: Platform, members: Members, drawn: Callable[[int], str]
) -> None:
    def claim(n: int) -> bool:
        store, now = platform.store(SYSTEM), datetime.now(UTC)
        name, email = drawn(n), f"a{n}@example.org"
        try:
            create_user(
                store, platform.secrets.site, username=name, email=email, password=PASSWORD, group="member", now=now
            )
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(20))) == 1
    assert rows_of(platform, "SELECT count(*) FROM credentials.password") == [(1,)]


def test_who_is_renamed_is_found_by_the_new_name_and_nobody_gets_the_former(
    client: Client, api: TestClient, members: Members
) -> None:
    admin, alice = members.join("ada", "administrator"), members.join("alice", password=PASSWORD)
    body = {"username": "Alison", "reason": "asked for it"}
    assert client.post(admin, f"/users/{alice.id}/username", body).status_code == 200
    assert (login(api, "alison"), login(api, "alice")) == (200, 401)
    assert [register(api, name) for name in ("alice", "a1ice", "alison", "al1son")] == [TAKEN] * 4
    assert client.get(alice, "/users/me").json()["username"] == "Alison"
    back = client.post(admin, f"/users/{alice.id}/username", {"username": "al-ice", "reason": "changed its mind"})
    assert (back.status_code, login(api, "al-ice"), login(api, "alice")) == (200, 200, 401)


def test_renaming_is_for_staff_and_downwards(client: Client, members: Members) -> None:
    admin, other, bob = members.join("ada", "administrator"), members.join("ida", "administrator"), members.join("bob")
    moderator = members.join("mia", "moderator")
    body = {"username": "robert", "reason": "asked for it"}
    assert outcome(client.post(moderator, f"/users/{bob.id}/username", body)) == (403, "not_permitted")
    assert outcome(client.post(admin, f"/users/{other.id}/username", body)) == (403, "above_own_level")
    assert outcome(client.post(admin, f"/users/{bob.id}/username", {**body, "username": "r b"})) == (
        422,
        "bad_username",
    )
    assert outcome(client.post(admin, f"/users/{bob.id}/username", {**body, "reason": ""})) == (422, "reason_missing")


def test_banned_names_are_refused_to_newcomers_and_listed_for_staff(
    client: Client, api: TestClient, members: Members
) -> None:
    admin, bob = members.join("ada", "administrator"), members.join("bob")
    rule = {"pattern": "*Spam*", "reason": "no advertising"}
    assert outcome(client.post(bob, "/usernames/banned", rule)) == (403, "not_permitted")
    assert client.post(admin, "/usernames/banned", rule).status_code == 201
    assert client.post(admin, "/usernames/banned", {"pattern": "eggs", "reason": "no food"}).status_code == 201
    assert register(api, "5pam-king") == (422, "username_banned")
    listed = client.get(admin, "/usernames/banned").json()["items"]
    assert [(name["pattern"], name["reason"], name["banned_by"]) for name in listed] == [
        ("*spam*", "no advertising", str(admin.id)), ("eggs", "no food", str(admin.id)),
    ]  # fmt: skip
    assert client.get(bob, "/usernames/banned").status_code == 403
    assert client.send("DELETE", "/usernames/banned", admin, {**rule, "reason": "changed"}).status_code == 200
    assert register(api, "5pam-king") == (201, None)
    assert [name["pattern"] for name in client.get(admin, "/usernames/banned").json()["items"]] == ["eggs"]


def test_former_names_are_shown_to_who_may_see_what_is_private(client: Client, members: Members) -> None:
    admin, moderator = members.join("ada", "administrator"), members.join("mia", "moderator")
    alice, bob = members.join("alice"), members.join("bob")
    for user, names in ((alice, ("alison", "alina")), (bob, ("robert",))):
        for name in names:
            client.post(admin, f"/users/{user.id}/username", {"username": name, "reason": "asked for it"})
    shown = client.get(moderator, f"/users/{alice.id}/usernames").json()["items"]
    assert [(name["username"], name["renamed_by"], name["reason"]) for name in shown] == [
        ("alison", str(admin.id), "asked for it"), ("alice", str(admin.id), "asked for it"),
    ]  # fmt: skip
    assert client.get(alice, f"/users/{alice.id}/usernames").status_code == 403


def test_a_site_that_is_older_than_look_alikes_claims_what_its_names_look_like_once(
    api: TestClient, platform: Platform, members: Members
) -> None:
    for name in ("alice", "a1ice", "bob", "carl", "dora"):  # no claims, as before there were any
        members.join(name)

    def upgrade() -> int:
        return claim_looks(platform.history, lambda: platform.store(SYSTEM), platform.secrets.site, at_once=2)

    assert (upgrade(), upgrade()) == (4, 0)
    assert [register(api, name) for name in ("AL-ICE", "b0b", "car1", "d0ra")] == [TAKEN] * 4
    assert register(api, "eve") == (201, None)
