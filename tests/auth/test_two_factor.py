"""The second factor over HTTP: on after a first code only, each code good once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pyotp
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response

import domain
from commands.auth import Login, WrongTotp, login
from domain.login_defence import WRONG_CODES_MAX, TooManyTries
from domain.sessions import Session
from runtime.passwords import Busy
from runtime.platform import Platform
from runtime.second_factor import STEP_S
from runtime.store import NOBODY
from tests.given import rows_of
from tests.login_defence.doorstep import STRANGER, Doorstep
from tests.members import PASSWORD, Member, Members

pytestmark = pytest.mark.engine


@pytest.fixture
def alice(members: Members) -> Member:
    return members.join("alice", password=PASSWORD)


def code(secret: str, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(int(time.time()) + steps * STEP_S)


def post(api: TestClient, path: str, user: Member, body: Any = None) -> Response:
    answer: Response = api.post(
        f"/api/v1/auth/{path}", headers=user.headers, **({} if body is None else {"json": body})
    )
    return answer


def sign_in(api: TestClient, totp: str | None = None, password: str = PASSWORD) -> Response:
    body = {"username": "alice", "password": password} | ({} if totp is None else {"totp": totp})
    answer: Response = api.post("/api/v1/auth/login", json=body)
    return answer


def turned_on(api: TestClient, user: Member) -> tuple[str, list[str]]:
    """The secret and the recovery codes; the present code is used, the next one (within the window) is not."""
    secret = post(api, "enable-2fa", user).json()["secret"]
    answer = post(api, "verify-2fa", user, {"code": code(secret)})
    assert answer.status_code == 200, answer.text
    return secret, answer.json()["recovery_codes"]


def test_it_is_off_until_a_first_code_was_seen(api: TestClient, alice: Member) -> None:
    handed_out = post(api, "enable-2fa", alice).json()
    assert handed_out["otpauth_uri"] == f"otpauth://totp/Tracker:alice?secret={handed_out['secret']}&issuer=Tracker"
    assert sign_in(api).status_code == 200
    assert post(api, "verify-2fa", alice, {"code": "000000"}).json()["code"] == "wrong_code"
    assert sign_in(api).status_code == 200


def test_once_on_a_code_is_due_after_the_right_password_only(api: TestClient, alice: Member) -> None:
    secret, _ = turned_on(api, alice)
    assert sign_in(api).json()["code"] == "totp_required"
    assert sign_in(api, password="wrong-password").json()["code"] == "wrong_credentials"
    assert sign_in(api, code(secret, 1), password="wrong-password").json()["code"] == "wrong_credentials"
    assert sign_in(api, code(secret, 1)).status_code == 200


def test_a_code_is_good_once(api: TestClient, alice: Member) -> None:
    secret, _ = turned_on(api, alice)
    now = code(secret, 1)
    assert [sign_in(api, now).status_code for _ in range(2)] == [200, 401]
    assert sign_in(api, now).json()["code"] == "wrong_totp"


@pytest.mark.parametrize("totp", ["", "12345", "1234567", "abcdef", "٠٠٠٠٠٠", "000 000", "aaaa-aaaa-aaaa-aaaa"])
def test_what_is_no_code_does_not_open(api: TestClient, alice: Member, totp: str) -> None:
    turned_on(api, alice)
    assert sign_in(api, totp).json()["code"] == "wrong_totp"


def test_of_twenty_uses_of_one_code_at_once_one_succeeds(
    api: TestClient, platform: Platform, make_platform: Callable[..., Platform], alice: Member
) -> None:
    """Through two processes: what a code was used for is known in the database."""
    secret, recovery = turned_on(api, alice)
    processes, now = [platform, make_platform(domain.EVENTS)], datetime.now(UTC)
    for totp in (code(secret, 1), recovery[0]):

        def attempt(n: int, totp: str = totp) -> str:
            process = processes[n % 2]
            try:
                login(Login(username="alice", password=PASSWORD, totp=totp), process.store(NOBODY), process, now)
            except (WrongTotp, TooManyTries, Busy) as refused:
                return refused.code
            return "in"

        with ThreadPoolExecutor(20) as pool:
            outcomes = Counter(pool.map(attempt, range(20)))
        assert outcomes["in"] == 1, outcomes
        assert outcomes["wrong_totp"] <= WRONG_CODES_MAX
        with platform.pool.connection() as connection:
            connection.execute("DELETE FROM credentials.guess")


def test_five_wrong_codes_close_the_second_step_for_a_quarter_of_an_hour(
    api: TestClient, platform: Platform, alice: Member
) -> None:
    """Not even the right code is looked at; other addresses share the bound, and a code is nothing without the
    password."""
    secret, _ = turned_on(api, alice)
    assert [sign_in(api, "000000", password="wrong-password").json()["code"] for _ in range(6)] == [
        "wrong_credentials"
    ] * 6
    assert [sign_in(api, "000000").json()["code"] for _ in range(6)] == ["wrong_totp"] * 5 + ["too_many_tries"]
    refused = sign_in(api, code(secret, 1))
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_tries")
    assert sign_in(api).json()["code"] == "totp_required"
    with platform.pool.connection() as connection:
        connection.execute("UPDATE credentials.guess SET at = at - interval '16 minutes'")
    assert sign_in(api, code(secret, 1)).status_code == 200


def test_a_wrong_code_is_a_failure_of_its_address(app: FastAPI, api: TestClient, alice: Member) -> None:
    turned_on(api, alice)
    door = Doorstep(app)
    answers = [door.sign_in(STRANGER, totp="000000") for _ in range(3)]
    assert [answer.json()["code"] for answer in answers] == ["wrong_totp", "wrong_totp", "too_many_tries"]


def test_recovery_codes_are_shown_once_stored_as_hashes_and_good_once(
    api: TestClient, platform: Platform, alice: Member
) -> None:
    _, codes = turned_on(api, alice)
    assert len(codes) == 10
    kept = b"".join(bytes(row[0]) for row in rows_of(platform, "SELECT reply FROM es.command"))
    assert not any(text.encode() in kept for text in codes)
    assert sign_in(api, codes[0].upper()).status_code == 200
    assert sign_in(api, codes[0]).status_code == 401
    assert sign_in(api, codes[1].replace("-", "")).status_code == 200


def test_it_is_not_enrolled_twice(api: TestClient, alice: Member) -> None:
    secret, _ = turned_on(api, alice)
    again = post(api, "enable-2fa", alice)
    assert (again.status_code, again.json()["code"]) == (409, "two_factor_on")
    assert post(api, "verify-2fa", alice, {"code": code(secret, 1)}).status_code == 409


def test_a_code_of_an_earlier_secret_does_not_confirm(api: TestClient, alice: Member) -> None:
    old = post(api, "enable-2fa", alice).json()["secret"]
    new = post(api, "enable-2fa", alice).json()["secret"]
    assert post(api, "verify-2fa", alice, {"code": code(old)}).status_code == 422
    assert post(api, "verify-2fa", alice, {"code": code(new)}).status_code == 200


def test_an_old_session_needs_the_password_to_enrol(api: TestClient, platform: Platform, alice: Member) -> None:
    """An access token that was stolen is not enough to lock its owner out."""
    with platform.pool.connection() as connection:
        connection.execute("UPDATE credentials.session SET started_at = started_at - %s", [timedelta(hours=1)])
    assert post(api, "enable-2fa", alice).json()["code"] == "password_required"
    assert post(api, "enable-2fa", alice, {"password": "wrong-password"}).json()["code"] == "wrong_password"
    assert post(api, "enable-2fa", alice, {"password": PASSWORD}).status_code == 200


def test_turning_it_off_needs_password_and_code(api: TestClient, platform: Platform, alice: Member) -> None:
    secret, recovery = turned_on(api, alice)
    assert post(api, "disable-2fa", alice, {"password": "wrong-password", "code": code(secret, 1)}).status_code == 403
    assert post(api, "disable-2fa", alice, {"password": PASSWORD, "code": "000000"}).status_code == 422
    assert post(api, "disable-2fa", alice, {"password": PASSWORD, "code": recovery[9]}).status_code == 200
    assert sign_in(api).status_code == 200
    assert rows_of(platform, "SELECT count(*) FROM credentials.recovery_code") == [(0,)]
    again = post(api, "disable-2fa", alice, {"password": PASSWORD, "code": recovery[8]})
    assert (again.status_code, again.json()["code"]) == (409, "two_factor_off")


def test_the_seed_is_kept_encrypted(api: TestClient, platform: Platform, alice: Member) -> None:
    secret, _ = turned_on(api, alice)
    ((sealed,),) = rows_of(platform, "SELECT sealed_seed FROM credentials.totp")
    assert secret.encode() not in bytes(sealed)


def test_a_change_of_the_factor_leaves_only_the_session_that_made_it(
    api: TestClient, platform: Platform, members: Members, alice: Member
) -> None:
    other, bob = members.sign_in(alice.id, "alice"), members.join("bob")

    def alive() -> list[int]:
        return [api.get("/api/v1/users/me/sessions", headers=one.headers).status_code for one in (alice, other, bob)]

    members.catch_up()
    assert alive() == [200, 200, 200]
    _, recovery = turned_on(api, alice)
    assert alive() == [200, 401, 200]
    other = members.sign_in(alice.id, "alice")
    assert post(api, "disable-2fa", alice, {"password": PASSWORD, "code": recovery[0]}).status_code == 200
    assert alive() == [200, 401, 200]
    assert platform.store(NOBODY).get(Session, other.pair.session_id).ended


def test_new_recovery_codes_end_the_old_ones(api: TestClient, platform: Platform, alice: Member) -> None:
    secret, old = turned_on(api, alice)
    body = {"password": PASSWORD, "code": old[0]}
    assert post(api, "recovery-codes", alice, body | {"password": "wrong-password"}).status_code == 403
    assert post(api, "recovery-codes", alice, body | {"code": "000000"}).json()["code"] == "wrong_code"
    answer = post(api, "recovery-codes", alice, body)
    assert answer.status_code == 200, answer.text
    new = answer.json()["recovery_codes"]
    assert len(set(new) - set(old)) == 10
    assert sign_in(api, old[1]).json()["code"] == "wrong_totp"
    assert sign_in(api, new[0]).status_code == 200
    kept = b"".join(bytes(row[0]) for row in rows_of(platform, "SELECT reply FROM es.command"))
    assert not any(text.encode() in kept for text in new)


def test_without_a_second_factor_there_are_no_recovery_codes(api: TestClient, alice: Member) -> None:
    answer = post(api, "recovery-codes", alice, {"password": PASSWORD, "code": "000000"})
    assert (answer.status_code, answer.json()["code"]) == (409, "two_factor_off")
