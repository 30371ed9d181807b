"""Guessing at the door: who is told to wait, who is not, and that nobody learns from it which names exist."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import ip_network
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI, Request
from redis import Redis

import domain
from domain.base import SYSTEM
from domain.login_defence import AT_ONCE, BACK_OFF
from domain.users import User
from runtime.api import create_app
from runtime.http.addresses import client_address
from runtime.login_defence import forget_guesses
from runtime.platform import Platform
from tests.given import rows_of
from tests.login_defence.doorstep import HOME, OFFICE, STRANGER, Doorstep
from tests.members import PASSWORD, Client, Members

pytestmark = pytest.mark.engine

WEEK_S = 604_800


@pytest.fixture
def door(app: FastAPI, members: Members) -> Doorstep:
    """Alice has an account, and has signed in from home."""
    members.join("alice", password=PASSWORD)
    doorstep = Doorstep(app)
    assert doorstep.sign_in(HOME).status_code == 200
    return doorstep


def fill_account(door: Doorstep, platform: Platform, name: str = "alice", failures: int = 100) -> None:
    """Failures of one account from as many addresses: the last is real, the others are noted as it was."""
    assert door.fail("192.0.2.250", name).status_code == 401
    with platform.pool.connection() as connection:
        connection.execute(
            "INSERT INTO credentials.guess (guess_id, user_id, network, at, with_code, failure)"
            " SELECT overlay(gen_random_uuid()::text PLACING '0000' FROM 1)::uuid, user_id, '192.0.2.0'::inet + n,"
            " at, with_code, failure"
            " FROM (SELECT * FROM credentials.guess ORDER BY guess_id DESC LIMIT 1) g, generate_series(1, %s) n",
            (failures - 1,),
        )


def test_the_waits_grow_and_a_name_without_an_account_waits_as_long(door: Doorstep) -> None:
    known, unknown = [], []
    for n in range(12):
        known.append(door.waits_s(STRANGER))
        unknown.append(door.waits_s("198.51.100.2", "nobody-here"))
        door.wait(BACK_OFF[min(n, 9)].total_seconds() if known[-1] == 0 else known[-1])
    assert known == unknown
    # looked at, looked at, then refused whenever it came a moment too early
    assert known[:3] == [0, 0, 0]
    assert door.sign_in(STRANGER).status_code in (200, 429)


def test_whoever_comes_too_early_is_told_when_to_come_again(door: Doorstep) -> None:
    """The right password does not help, and what is refused is not counted."""
    assert [door.waits_s(STRANGER) for _ in range(5)] == [0, 0, 30, 30, 30]
    refused = door.sign_in(STRANGER)
    assert (refused.status_code, refused.json()["code"], refused.headers["Retry-After"]) == (
        429,
        "too_many_tries",
        "30",
    )
    door.wait(29)
    assert door.sign_in(STRANGER).headers["Retry-After"] == "1"
    door.wait(1)
    assert door.sign_in(STRANGER).status_code == 200


def test_the_answers_to_known_and_unknown_names_are_the_same(door: Doorstep) -> None:
    def shown(name: str, address: str) -> list[Any]:
        answers = [door.fail(address, name) for _ in range(4)]
        bodies = [{k: v for k, v in answer.json().items() if k != "request_id"} for answer in answers]
        headers = [{k: v for k, v in answer.headers.items() if k != "x-request-id"} for answer in answers]
        return [bodies, headers, [answer.status_code for answer in answers]]

    assert shown("alice", STRANGER) == shown("nobody-here", "198.51.100.2")


def test_a_full_account_is_the_same_for_known_and_unknown_names(door: Doorstep, platform: Platform) -> None:
    fill_account(door, platform, "alice")
    fill_account(door, platform, "nobody-here")
    answers = [door.fail(STRANGER, name) for name in ("alice", "nobody-here")]
    assert [answer.status_code for answer in answers] == [429, 429]
    assert len({answer.headers["Retry-After"] for answer in answers}) == 1


def test_a_stranger_cannot_lock_the_owner_out(door: Doorstep, platform: Platform) -> None:
    """Neither by one address nor by many, and neither at home nor at an office where others guess at other names."""
    assert door.sign_in(OFFICE).status_code == 200
    for name in ("bob", "carol", "dave"):
        door.fail(OFFICE, name)
    fill_account(door, platform)
    assert door.waits_s(STRANGER) > WEEK_S
    assert [door.sign_in(address).status_code for address in (HOME, OFFICE)] == [200, 200]


def test_the_owner_waits_a_minute_at_most_at_home(door: Doorstep) -> None:
    for _ in range(8):
        assert door.waits_s(HOME) == 0
        assert door.waits_s(HOME) in (0, 30, 60)
        door.wait(60)
    assert door.sign_in(HOME).status_code == 200


def test_signing_in_opens_the_account_to_strangers_again_but_not_their_addresses(
    door: Doorstep, platform: Platform
) -> None:
    fill_account(door, platform)
    assert door.sign_in(HOME).status_code == 200
    assert door.fail(STRANGER).status_code == 401
    for _ in range(2):
        door.fail("192.0.2.1")
    assert door.sign_in("192.0.2.1").status_code == 429


def test_signing_in_clears_ones_own_failures_and_nobody_elses(door: Doorstep, members: Members) -> None:
    """An attacker who has an account could else sign in to it between guesses, and go on for ever."""
    members.join("mallory", password=PASSWORD)
    assert door.waits_s(STRANGER) == 0
    assert door.sign_in(STRANGER, "mallory").status_code == 200
    assert [door.waits_s(STRANGER) for _ in range(2)] == [0, 30]


def test_a_device_is_known_for_four_weeks(door: Doorstep, platform: Platform) -> None:
    door.wait(days=28)
    fill_account(door, platform)
    assert door.sign_in(HOME).status_code == 429


def test_the_addresses_of_a_64_are_one(door: Doorstep) -> None:
    assert [door.waits_s(f"2001:db8:1:2::{n}") for n in range(1, 4)] == [0, 0, 30]
    assert door.waits_s("2001:db8:1:3::1") == 0


def test_headers_of_an_untrusted_caller_change_nothing(door: Doorstep) -> None:
    body = {"username": "alice", "password": "not the password"}
    answers = [
        door.post("/auth/login", STRANGER, body, **{"X-Forwarded-For": f"192.0.2.{n}", "X-Real-IP": f"192.0.2.{n}"})
        for n in range(3)
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 429]


def test_guesses_at_the_same_moment_see_each_other(door: Doorstep) -> None:
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: door.fail(STRANGER).status_code, range(40)))
    assert 1 <= sum(status in (401, 503) for status in answers) <= AT_ONCE
    assert set(answers) <= {401, 429, 503}


def test_every_process_knows_and_an_empty_cache_forgets_nothing(
    door: Doorstep, make_platform: Callable[..., Platform], platform: Platform
) -> None:
    other = Doorstep(create_app(make_platform(domain.EVENTS)))
    other.now = door.now
    other.wait(0)
    assert [door.waits_s(STRANGER), other.waits_s(STRANGER)] == [0, 0]
    with Redis.from_url(platform.settings.redis.url) as cache:
        cache.flushall()
    assert [door.waits_s(STRANGER), other.waits_s(STRANGER)] == [30, 30]


def test_a_guess_that_a_dying_process_left_counts_as_a_failure(door: Doorstep, platform: Platform) -> None:
    door.fail(STRANGER)
    with platform.pool.connection() as connection:
        connection.execute("UPDATE credentials.guess SET failure = NULL")
    door.wait(31)
    assert [door.waits_s(STRANGER) for _ in range(2)] == [0, 30]


def test_what_was_no_guess_is_not_counted(door: Doorstep, platform: Platform) -> None:
    """Neither a right password, nor a request that is malformed."""
    for _ in range(3):
        assert door.sign_in(HOME).status_code == 200
        assert door.post("/auth/login", STRANGER, {"username": "alice"}).status_code == 422
    assert rows_of(platform, "SELECT count(*) FROM credentials.guess") == [(0,)]


def test_with_a_stolen_access_token_one_guesses_no_more_often(door: Doorstep) -> None:
    token = door.sign_in(HOME).json()["access_token"]
    body = {"current": "not the password", "new": "another long passphrase"}
    answers = [
        door.post("/users/me/password", STRANGER, body, Authorization=f"Bearer {token}").status_code for _ in range(3)
    ]
    assert answers == [403, 403, 429]
    assert door.sign_in(STRANGER).status_code == 429


def test_a_new_password_opens_the_account_again(door: Doorstep, platform: Platform) -> None:
    fill_account(door, platform)
    token = door.sign_in(OFFICE).status_code, door.sign_in(HOME).json()["access_token"]
    assert token[0] == 429
    fill_account(door, platform, failures=99)
    body = {"current": PASSWORD, "new": "another long passphrase"}
    changed = door.post("/users/me/password", HOME, body, Authorization=f"Bearer {token[1]}")
    assert changed.status_code == 200, changed.text
    door.fail("192.0.2.200")
    assert door.sign_in(OFFICE, password="another long passphrase").status_code == 200


def test_no_name_is_kept_of_those_that_were_tried(door: Doorstep, platform: Platform) -> None:
    """People type their password where the name belongs."""
    door.fail(STRANGER, "my-secret-password")
    (row,) = rows_of(platform, "SELECT g::text, user_id FROM credentials.guess g")
    assert "my-secret" not in row[0]
    assert isinstance(row[1], UUID)


# --- what the owner and the staff see of it


def test_the_owner_sees_who_failed_at_its_account(door: Doorstep, members: Members, client: Client) -> None:
    bob = members.join("bob", password=PASSWORD)
    for address, name in ((STRANGER, "alice"), (STRANGER, "bob"), (OFFICE, "alice"), (OFFICE, "nobody-here")):
        door.fail(address, name)
    alice = client.platform.store(SYSTEM).get(User, _id_of(client.platform, "alice"))
    session = members.sign_in(alice.id, "alice")
    shown = client.get(session, "/users/me/failed-logins").json()["items"]
    assert [(item["ip"], item["failure"], item["user_agent"]) for item in shown] == [
        (OFFICE, "password", "testclient"),
        (STRANGER, "password", "testclient"),
    ]
    assert [item["ip"] for item in client.get(bob, "/users/me/failed-logins").json()["items"]] == [STRANGER]
    first = client.get(session, "/users/me/failed-logins", limit=1).json()
    rest = client.get(session, "/users/me/failed-logins", limit=1, cursor=first["next_cursor"]).json()
    assert first["items"] + rest["items"] == shown


def test_senior_staff_see_it_for_a_reason_and_nobody_else(door: Doorstep, members: Members, client: Client) -> None:
    door.fail(STRANGER)
    path, why = f"/users/{_id_of(client.platform, 'alice')}/failed-logins/looks", {"reason": "a stolen account?"}
    moderator, bob = members.join("moda", "moderator"), members.join("bob")
    seen = client.post(moderator, path, why).json()["failed_logins"]
    assert [(item["ip"], item["failure"]) for item in seen] == [(STRANGER, "password")]
    assert client.post(bob, path, why).status_code == 403
    assert client.post(moderator, path, {"reason": ""}).status_code == 422
    assert client.post(moderator, f"/users/{uuid4()}/failed-logins/looks", why).status_code == 404
    (entry,) = client.get(moderator, "/audit", type="look.taken").json()["items"]
    assert (entry["data"]["at"], entry["reason"]) == ("failed_logins", "a stolen account?")


def test_after_thirty_days_nothing_is_left_of_it(door: Doorstep, platform: Platform) -> None:
    door.fail(STRANGER)
    door.wait(days=29)
    door.fail(OFFICE)
    with platform.pool.connection() as connection:
        assert forget_guesses(connection, door.now + timedelta(days=2)) == 1
    assert rows_of(platform, "SELECT host(network) FROM credentials.guess") == [(OFFICE,)]
    assert rows_of(platform, "SELECT * FROM credentials.known_device") == []


def _id_of(platform: Platform, name: str) -> UUID:
    found: UUID = rows_of(platform, "SELECT user_id FROM read.account WHERE username = %s", [name])[0][0]
    return found


# --- behind a proxy


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.9, 203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.9", "203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["203.0.113.7, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("192.0.2.1", ["203.0.113.7"], "192.0.2.1"),
        ("::ffff:10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("testclient", ["203.0.113.7"], None),
    ],
)
def test_a_trusted_proxy_says_where_the_caller_is(peer: str, forwarded: list[str], address: str | None) -> None:
    headers = [(b"x-forwarded-for", hop.encode()) for hop in forwarded]
    request = Request({"type": "http", "client": (peer, 1), "headers": headers})
    assert client_address(request, [ip_network("10.0.0.0/8")]) == address
