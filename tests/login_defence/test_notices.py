"""What owners are told by mail: a new device, guesses, a theft, another factor; and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI

from commands.security_notices import tell_of_failures
from domain.base import SYSTEM
from domain.login_defence import TELL_OWNER_AFTER
from runtime.platform import Platform
from tests.auth.test_two_factor import code, post, turned_on
from tests.given import rows_of
from tests.in_process import TestClient
from tests.login_defence.doorstep import HOME, OFFICE, STRANGER, Doorstep
from tests.mailbox import mails
from tests.members import PASSWORD, Member, Members

pytestmark = pytest.mark.engine


@pytest.fixture
def alice(members: Members) -> Member:
    return members.join("alice", password=PASSWORD)


@pytest.fixture
def door(app: FastAPI, alice: Member) -> Doorstep:
    return Doorstep(app)


def subjects(platform: Platform, to: str = "alice@example.org") -> list[str]:
    return [mail["Subject"] for mail in mails(platform, to)]


def test_a_sign_in_from_elsewhere_is_told(door: Doorstep, platform: Platform) -> None:
    assert door.sign_in(HOME).status_code == 200
    assert door.sign_in(HOME).status_code == 200
    assert subjects(platform) == [], "the first sign-in is from no new device"
    door.fail(STRANGER)
    assert door.sign_in(OFFICE).status_code == 200
    (mail,) = mails(platform, "alice@example.org")
    assert mail["Subject"] == "A new sign-in to your account"
    assert OFFICE in mail.get_content()
    door.wait(days=28)
    assert door.sign_in(OFFICE).status_code == 200
    assert len(subjects(platform)) == 2, "it has not been used for four weeks"


def test_a_newcomers_own_device_is_known(door: Doorstep, platform: Platform) -> None:
    body = {"username": "carol", "email": "carol@example.org", "password": PASSWORD}
    assert door.post("/auth/register", HOME, body).status_code == 201
    assert rows_of(platform, "SELECT host(network) FROM credentials.known_device") == [(HOME,)]
    assert door.sign_in(HOME, "carol").status_code == 200
    assert subjects(platform, "carol@example.org") == []
    assert door.sign_in(STRANGER, "carol").status_code == 200
    assert subjects(platform, "carol@example.org") == ["A new sign-in to your account"]


def test_guesses_are_told_once_a_day(door: Doorstep, platform: Platform, members: Members) -> None:
    members.join("bob", password=PASSWORD)

    def told() -> int:
        return tell_of_failures(platform, platform.store(SYSTEM), door.now)

    for n in range(TELL_OWNER_AFTER):
        door.fail(f"192.0.2.{n}")
        door.fail(f"192.0.2.{n}", "nobody-here")
    door.fail(STRANGER, "bob")
    assert told() == 0
    door.fail("192.0.2.100")
    assert [told(), told()] == [1, 0]
    assert subjects(platform) == ["Failed sign-ins to your account"]
    door.wait(hours=23)
    assert told() == 0
    door.wait(hours=2)
    assert told() == 0, "the failures are more than a day ago"
    for n in range(TELL_OWNER_AFTER + 1):
        door.fail(f"192.0.2.{n + 120}")
    assert told() == 1
    assert subjects(platform, "bob@example.org") == []


def test_the_victim_of_a_stolen_session_is_told(api: TestClient, platform: Platform, alice: Member) -> None:
    def refresh(token: str) -> Any:
        return api.post("/api/v1/auth/refresh", json={"refresh_token": token})

    assert refresh(alice.pair.refresh_token).status_code == 200
    with platform.pool.connection() as connection:
        connection.execute("UPDATE credentials.refresh_token SET rotated_at = rotated_at - %s", [timedelta(minutes=1)])
    assert [refresh(alice.pair.refresh_token).status_code for _ in range(3)] == [401, 401, 401]
    assert subjects(platform) == ["A session of yours was ended"]


def test_a_change_of_the_factor_is_told(api: TestClient, platform: Platform, alice: Member) -> None:
    secret, recovery = turned_on(api, alice)
    body = {"username": "alice", "password": PASSWORD}
    assert api.post("/api/v1/auth/login", json=body | {"totp": recovery[0]}).status_code == 200
    assert api.post("/api/v1/auth/login", json=body | {"totp": code(secret, 1)}).status_code == 200
    assert post(api, "recovery-codes", alice, {"password": PASSWORD, "code": recovery[1]}).status_code == 200
    new = post(api, "recovery-codes", alice, {"password": PASSWORD, "code": "000000"})
    assert new.json()["code"] == "wrong_code"
    told = mails(platform, "alice@example.org")
    assert [mail["Subject"] for mail in told] == [
        "Your second factor was turned on",
        "A recovery code of yours was used",
        "You have new recovery codes",
    ]
    assert "9 are left" in told[1].get_content()
    assert not any(secret in mail.as_string() or recovery[2] in mail.as_string() for mail in told)
