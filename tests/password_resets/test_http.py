"""Forgotten passwords: a link works once, for an hour, for its user, and asking tells nothing."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pyotp
import pytest
from fastapi import FastAPI
from httpx import Response

from commands.password_resets import answer_reset_requests
from domain.base import SYSTEM
from domain.users import User
from runtime.http.deps import utc_now
from runtime.platform import Platform
from tests.given import rows_of
from tests.in_process import TestClient
from tests.mailbox import links, mails
from tests.members import PASSWORD, Client, Member, Members

pytestmark = pytest.mark.engine

ADDRESS, ANEW = "alice@example.org", "a quite other password"


@pytest.fixture
def alice(members: Members) -> Member:
    return members.join("alice", password=PASSWORD)


def forgot(api: TestClient, email: str = ADDRESS, **headers: str) -> Response:
    answer: Response = api.post("/api/v1/auth/forgot-password", json={"email": email}, headers=headers)
    return answer


def link(api: TestClient, platform: Platform, email: str = ADDRESS, at: timedelta = timedelta()) -> str:
    """The token of a mail that was just asked for."""
    assert forgot(api, email).status_code == 202
    answer_reset_requests(platform, datetime.now(UTC) + at)
    return links(mails(platform, ADDRESS)[-1])["reset-password"]


def reset(api: TestClient, token: str, password: str = ANEW, **fields: Any) -> tuple[int, str | None]:
    answer = api.post("/api/v1/auth/reset-password", json={"token": token, "password": password, **fields})
    return answer.status_code, answer.json().get("code")


def login(api: TestClient, password: str) -> int:
    return int(api.post("/api/v1/auth/login", json={"username": "alice", "password": password}).status_code)


def test_who_has_forgotten_the_password_chooses_another_one(
    client: Client, api: TestClient, platform: Platform, alice: Member, members: Members
) -> None:
    bob = members.join("bob", password=PASSWORD)
    token = link(api, platform, "ALICE@example.org")
    assert reset(api, token) == (200, None)
    assert (login(api, ANEW), login(api, PASSWORD)) == (200, 401)
    assert (client.get(alice, "/users/me").status_code, client.get(bob, "/users/me").status_code) == (401, 200)
    assert mails(platform, ADDRESS)[-1]["Subject"] == "Your password was changed"
    assert reset(api, token, "yet another password") == (422, "reset_token_invalid")
    ended = rows_of(
        platform,
        "SELECT stream_id FROM es.event e JOIN es.event_type t ON t.id = e.type WHERE t.name = 'session.ended'"
        " AND convert_from(data, 'utf8')::jsonb ->> 'reason' = 'password_reset'",
    )
    assert ended == [(alice.pair.session_id,)]


def test_asking_tells_nothing_and_does_the_same_for_everybody(
    api: TestClient, platform: Platform, members: Members, alice: Member
) -> None:
    """The answer, and all that has happened before it, is equal: whose address it is nobody has looked up yet."""
    answers = [forgot(api, email) for email in (ADDRESS, "nobody@example.org")]
    assert [(a.status_code, a.json()) for a in answers] == [(202, answers[0].json())] * 2
    assert answers[0].headers.keys() == answers[1].headers.keys()
    sizes = rows_of(platform, "SELECT count(*) FROM credentials.reset_request")
    assert (sizes, rows_of(platform, "SELECT count(*) FROM credentials.mail")) == ([(2,)], [(0,)])
    answer_reset_requests(platform, datetime.now(UTC))
    assert rows_of(platform, "SELECT count(*) FROM credentials.reset_request") == [(0,)]
    assert [mail["To"] for mail in mails(platform)] == [ADDRESS]


def test_no_address_waits_in_clear(api: TestClient, platform: Platform, alice: Member) -> None:
    forgot(api)
    ((sealed,),) = rows_of(platform, "SELECT sealed FROM credentials.reset_request")
    assert b"alice" not in sealed


def test_a_mailbox_is_not_filled_by_strangers_and_the_last_link_counts(
    api: TestClient, platform: Platform, alice: Member
) -> None:
    first = link(api, platform)
    for _ in range(5):
        forgot(api)
    answer_reset_requests(platform, datetime.now(UTC))
    assert len(mails(platform, ADDRESS)) == 1
    second = link(api, platform, at=timedelta(minutes=6))
    assert reset(api, first) == (422, "reset_token_invalid")
    assert reset(api, second) == (200, None)


def test_a_link_dies_with_the_password_that_it_would_replace(
    client: Client, api: TestClient, platform: Platform, alice: Member
) -> None:
    token = link(api, platform)
    change = {"current": PASSWORD, "new": ANEW}
    assert client.post(alice, "/users/me/password", change).status_code == 200
    assert reset(api, token, "yet another password") == (422, "reset_token_invalid")
    assert "your password was changed" in mails(platform, ADDRESS)[-1].get_content()


@pytest.mark.parametrize(("after", "outcome"), [(59, (200, None)), (61, (422, "reset_token_invalid"))])
def test_a_link_works_for_an_hour(
    app: FastAPI, api: TestClient, platform: Platform, alice: Member, after: int, outcome: tuple[int, str | None]
) -> None:
    token = link(api, platform)
    app.dependency_overrides[utc_now] = lambda: datetime.now(UTC) + timedelta(minutes=after)
    assert reset(api, token) == outcome


def test_a_link_for_something_else_resets_nothing(
    client: Client, api: TestClient, platform: Platform, alice: Member
) -> None:
    client.post(alice, "/users/me/email", {"email": "new@example.org", "password": PASSWORD})
    for token in (*links(mails(platform, "new@example.org")[0]).values(), "A" * 43, "", "x"):
        assert reset(api, token) == (422, "reset_token_invalid")
    assert login(api, PASSWORD) == 200


def test_of_20_uses_at_once_one_works(api: TestClient, platform: Platform, alice: Member) -> None:
    token = link(api, platform)
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda n: reset(api, token, f"{ANEW} {n}"), range(20)))
    assert outcomes.count((200, None)) == 1
    busy = {(503, "busy"), (409, "version_conflict")}
    assert set(outcomes) - busy <= {(200, None), (422, "reset_token_invalid")}
    (won,) = [n for n, outcome in enumerate(outcomes) if outcome[0] == 200]
    assert login(api, f"{ANEW} {won}") == 200


def test_the_second_factor_is_asked_for_all_the_same(
    client: Client, api: TestClient, platform: Platform, alice: Member
) -> None:
    enrolment = client.post(alice, "/auth/enable-2fa", {"password": PASSWORD}).json()
    code = pyotp.TOTP(enrolment["secret"])
    recovery = client.post(alice, "/auth/verify-2fa", {"code": code.at(time.time() - 30)}).json()["recovery_codes"]
    token = link(api, platform)
    assert reset(api, token) == (401, "totp_required")
    assert reset(api, token, totp="000000") == (401, "wrong_totp")
    assert reset(api, token, "password1", totp=recovery[0]) == (422, "weak_password")
    assert login(api, PASSWORD) == 401, "a code is due"
    assert reset(api, token, totp=recovery[0]) == (200, None)


def test_a_host_that_a_request_names_is_in_no_link(api: TestClient, platform: Platform, alice: Member) -> None:
    forgot(api, Host="evil.example")
    answer_reset_requests(platform, datetime.now(UTC))
    text = mails(platform, ADDRESS)[-1].get_content()
    assert "evil" not in text
    assert platform.settings.server.base_url in text


def test_after_a_change_of_the_address_nobody_resets_by_it(
    client: Client, api: TestClient, platform: Platform, alice: Member
) -> None:
    """A thief of a session who knows the password does not get the account for good by taking its address along."""
    before = link(api, platform)
    client.post(alice, "/users/me/email", {"email": "new@example.org", "password": PASSWORD})
    confirm = links(mails(platform, "new@example.org")[-1])["confirm-email"]
    assert api.post("/api/v1/auth/confirm-email", json={"token": confirm}).status_code == 200
    assert reset(api, before) == (422, "reset_token_invalid")
    count = len(mails(platform, ADDRESS))
    forgot(api)
    forgot(api, "new@example.org")
    answer_reset_requests(platform, datetime.now(UTC))
    assert links(mails(platform, "new@example.org")[-1]) == {}
    assert len(mails(platform, ADDRESS)) == count, "nor does the former address get one"


def test_every_reset_is_in_the_users_history(api: TestClient, platform: Platform, alice: Member) -> None:
    reset(api, link(api, platform))
    facts = rows_of(
        platform,
        "SELECT e.stream_id, e.actor_id FROM es.event e JOIN es.event_type t ON t.id = e.type"
        " WHERE t.name = 'user.password_reset'",
    )
    assert facts == [(alice.id, alice.id)]
    assert platform.store(SYSTEM).get(User, UUID(str(alice.id))).email == ADDRESS
