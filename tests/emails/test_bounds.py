"""How much mail others can make the site write to somebody: a share over all ways to name an address, in silence."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import Response

from commands.password_resets import answer_reset_requests
from domain.base import SYSTEM
from domain.users import User
from runtime.platform import Platform
from tests.given import rows_of
from tests.in_process import TestClient
from tests.mailbox import links, mails
from tests.members import PASSWORD, Client, Member, Members

pytestmark = pytest.mark.engine

VICTIM = "victim@example.org"


@pytest.fixture
def verifying(platform: Platform, members: Members, app: FastAPI) -> TestClient:
    """The API of a site that verifies addresses and takes applications."""
    changed = platform.settings.registration.model_copy(update={"verify_email": True})
    platform.settings = platform.settings.model_copy(update={"registration": changed})
    return TestClient(app)


@pytest.fixture
def admin(members: Members) -> Member:
    """Who needs no invites to send one."""
    return members.join("ada", "administrator", password=PASSWORD)


def register(api: TestClient, name: str, email: str = VICTIM) -> Response:
    body = {"username": name, "email": email, "password": PASSWORD}
    answer: Response = api.post("/api/v1/auth/register", json=body)
    return answer


def invite(client: Client, who: Member, email: str) -> Response:
    return client.at_once("POST", "/invites", who, {"email": email})


def change(client: Client, who: Member, email: str) -> Response:
    return client.at_once("POST", "/users/me/email", who, {"email": email, "password": PASSWORD})


def shown(answer: Response) -> tuple[Any, ...]:
    """All of an answer that does not differ in any case."""
    body = answer.json() if answer.content else {}
    varying = {"id", "position", "username", "version", "expires_at"}
    return answer.status_code, {k: v for k, v in body.items() if k not in varying}, answer.headers.keys()


def to_victim(platform: Platform) -> int:
    return sum("victim" in mail["To"].replace(".", "") for mail in mails(platform))


def verified(platform: Platform, who: Member) -> None:
    user = platform.store(SYSTEM).get(User, who.id)
    user.verify_email()
    platform.store(SYSTEM).save(user)


def an_hour_passes(platform: Platform) -> None:
    with platform.pool.connection() as connection:
        connection.execute(
            "UPDATE credentials.mail_bound SET sent_at = ARRAY(SELECT at - interval '1 hour' FROM unnest(sent_at) at)"
        )
        connection.execute("UPDATE credentials.email_token SET issued_at = issued_at - interval '5 minutes'")
        connection.execute("UPDATE credentials.invite_code SET issued_at = issued_at - interval '5 minutes'")


def test_all_ways_to_name_an_address_share_its_bound_and_answer_as_ever(
    verifying: TestClient, client: Client, platform: Platform, admin: Member
) -> None:
    ways: list[Callable[[int], Response]] = [
        lambda n: register(verifying, f"eve-{'abcd'[n]}"),
        lambda n: invite(client, admin, f"victim+{n}@example.org"),
        lambda n: change(client, admin, "v.i.c.t.i.m@example.org"),
    ]
    rounds = [[shown(way(n)) for way in ways] for n in range(4)]
    assert [status for status, *_ in rounds[0]] == [201, 201, 202]
    assert rounds == [rounds[0]] * 4, "what was mailed and what was not have one answer"
    assert to_victim(platform) == 5
    register(verifying, "bob", "bob@example.org")
    assert len(mails(platform, "bob@example.org")) == 1
    an_hour_passes(platform)
    register(verifying, "eve-x")
    assert to_victim(platform) == 6


def test_of_20_invites_at_once_to_one_mailbox_five_are_mailed(
    client: Client, platform: Platform, admin: Member
) -> None:
    client.members.catch_up()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: invite(client, admin, f"victim+{n}@example.org"), range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert to_victim(platform) == 5


def test_whoever_names_an_address_again_and_again_keeps_no_link_from_its_owner(
    verifying: TestClient, client: Client, platform: Platform, members: Members, admin: Member
) -> None:
    victim = members.join("victim", password=PASSWORD)
    for n in range(8):
        register(verifying, f"eve-{'abcdefgh'[n]}")
    assert to_victim(platform) == 5
    tokens = []
    for minutes in range(0, 70, 10):
        verifying.post("/api/v1/auth/forgot-password", json={"email": VICTIM})
        answer_reset_requests(platform, datetime.now(UTC) + timedelta(minutes=minutes))
        tokens = [links(mail)["reset-password"] for mail in mails(platform, VICTIM) if "password" in mail["Subject"]]
    assert len(tokens) == 5
    assert rows_of(platform, "SELECT count(*) FROM credentials.reset_request") == [(0,)]
    body = {"token": tokens[-1], "password": "a quite other password"}
    assert verifying.post("/api/v1/auth/reset-password", json=body).status_code == 200, "the last that left works"
    assert client.get(victim, "/users/me").status_code == 401


def test_an_invite_and_a_confirmation_that_are_not_mailed_again_leave_the_link_of_before(
    verifying: TestClient, client: Client, platform: Platform, admin: Member
) -> None:
    invite_id = invite(client, admin, VICTIM).json()["id"]
    newcomer = client.members.sign_in(register(verifying, "newcomer").json()["id"], "newcomer", "validating")
    for n in range(3):
        register(verifying, f"eve-{'abc'[n]}")
    first = {name: token for mail in mails(platform, VICTIM)[:2] for name, token in links(mail).items()}
    with platform.pool.connection() as connection:
        connection.execute("UPDATE credentials.email_token SET issued_at = issued_at - interval '5 minutes'")
        connection.execute("UPDATE credentials.invite_code SET issued_at = issued_at - interval '5 minutes'")
    again = [client.post(admin, f"/invites/{invite_id}/resend"), client.post(newcomer, "/users/me/email/confirmation")]
    assert [answer.status_code for answer in again] == [202, 204]
    once_more = [client.post(admin, f"/invites/{invite_id}/resend").status_code]
    once_more.append(client.post(newcomer, "/users/me/email/confirmation").status_code)
    assert once_more == [409, 409], "not at once, mailed or not"
    assert to_victim(platform) == 5
    assert verifying.post("/api/v1/auth/verify-email", json={"token": first["verify-email"]}).status_code == 200
    body = {"username": "gwendolyn", "email": VICTIM, "password": PASSWORD, "invite": first["invite"]}
    refused = verifying.post("/api/v1/auth/register", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "email_taken"), "the code works, the address is used"


def test_no_notice_to_an_address_that_has_answered_is_lost(
    client: Client, platform: Platform, members: Members, admin: Member
) -> None:
    victim, eve = members.join("victim", password=PASSWORD), members.join("eve", password=PASSWORD)
    verified(platform, victim)
    for _ in range(7):
        assert change(client, eve, VICTIM).status_code == 202
    assert to_victim(platform) == 5
    passwords = [PASSWORD, *(f"a quite other password {n}" for n in range(7))]
    for current, new in zip(passwords, passwords[1:], strict=False):
        assert client.post(victim, "/users/me/password", {"current": current, "new": new}).status_code == 200
    assert to_victim(platform) == 5 + 7


def test_whoever_makes_an_account_with_somebodys_address_cannot_fill_its_mailbox_by_notices(
    client: Client, platform: Platform, members: Members
) -> None:
    eve = members.join("victim", password=PASSWORD)  # the address is hers as far as the site knows, nobody asked it
    for n in range(9):
        assert change(client, eve, f"eve.{'abcdefghi'[n]}@example.com").status_code == 202
    assert to_victim(platform) == 5


def test_two_who_ask_for_each_others_address_at_once_do_not_wait_crosswise(
    client: Client, platform: Platform, members: Members
) -> None:
    pair = [members.join(name, password=PASSWORD) for name in ("alice", "bob")]
    wanted = ["bob@example.org", "alice@example.org"]
    members.catch_up()
    with ThreadPoolExecutor(2) as threads:
        for _ in range(5):
            answers = threads.map(lambda n: change(client, pair[n], wanted[n]), range(2))
            assert [answer.status_code for answer in answers] == [202, 202]
