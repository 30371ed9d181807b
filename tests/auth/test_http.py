"""Coming in: registration, sign-in, refresh, sign-out, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response

from commands.registration import create_user
from domain.base import SYSTEM
from domain.errors import Conflict
from domain.sessions import Session
from domain.users import User
from projections.users import users
from runtime.platform import Platform
from runtime.settings import Settings
from tests.given import projected, rows_of
from tests.mailbox import links, mails
from tests.members import PASSWORD, Members

pytestmark = pytest.mark.engine


@pytest.fixture
def with_registration(settings: Settings, platform: Platform, app: FastAPI) -> Callable[..., TestClient]:
    """The API of a site whose registration is set otherwise."""

    def make(**registration: Any) -> TestClient:
        changed = settings.model_copy(update={"registration": settings.registration.model_copy(update=registration)})
        platform.settings = changed
        return TestClient(app)

    return make


def register(api: TestClient, name: str = "alice", **fields: Any) -> Response:
    body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD, **fields}
    headers = {"Idempotency-Key": body.pop("key")} if "key" in body else {}
    answer: Response = api.post("/api/v1/auth/register", json=body, headers=headers)
    return answer


def login(api: TestClient, name: str = "alice", password: str = PASSWORD, **fields: Any) -> Response:
    answer: Response = api.post("/api/v1/auth/login", json={"username": name, "password": password, **fields})
    return answer


def bearer(tokens: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def me(api: TestClient, headers: dict[str, str]) -> int:
    return int(api.get("/api/v1/users/me", headers=headers).status_code)


def ended(platform: Platform, reason: str) -> list[UUID]:
    rows = rows_of(
        platform,
        "SELECT stream_id FROM es.event e JOIN es.event_type t ON t.id = e.type"
        " WHERE t.name = 'session.ended' AND convert_from(data, 'utf8')::jsonb ->> 'reason' = %s",
        [reason],
    )
    return [row[0] for row in rows]


def test_a_newcomer_registers_signs_in_and_sees_itself(api: TestClient, platform: Platform, members: Members) -> None:
    registered = register(api)
    assert registered.status_code == 201, registered.text
    assert registered.json()["username"] == "alice"
    assert registered.json()["group"] == "member"
    tokens = login(api, "ALICE").json()
    assert tokens.keys() == {"access_token", "refresh_token", "token_type", "expires_in", "position"}
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 600)
    projected(platform, users)
    shown = api.get("/api/v1/users/me", headers=bearer(tokens)).json()
    assert (shown["id"], shown["username"]) == (registered.json()["id"], "alice")


def test_who_signs_in_before_it_was_projected_is_asked_to_wait(api: TestClient, members: Members) -> None:
    register(api)
    answer = api.get("/api/v1/users/me", headers=bearer(login(api).json()))
    assert (answer.status_code, answer.json()["code"]) == (503, "projection_behind")
    assert answer.headers["Retry-After"] == "1"


def test_a_repeated_registration_gets_the_first_answer(api: TestClient, platform: Platform, members: Members) -> None:
    key = str(uuid4())
    first, again = register(api, key=key), register(api, key=key)
    assert again.status_code == 201
    assert again.json() == first.json()
    other = register(api, "bob", key=key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")


def test_neither_name_nor_address_nor_password_is_kept_in_clear(
    api: TestClient, platform: Platform, members: Members
) -> None:
    """Crypto-shredding reaches what is encrypted; the replies that repeats get are kept as long as events."""
    register(api, "shredded", key=str(uuid4()))
    for query in (
        "SELECT data FROM es.event",
        "SELECT reply FROM es.command",
        "SELECT hash::bytea FROM credentials.password",
    ):
        kept = b"".join(bytes(row[0]) for row in rows_of(platform, query))
        assert b"shredded" not in kept
        assert PASSWORD.encode() not in kept


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"username": "al"}, 422, "bad_username"),
        ({"username": "admin\u200b"}, 422, "bad_username"),
        ({"username": "System"}, 422, "reserved_username"),
        ({"email": "a@x"}, 422, "bad_email"),
        ({"email": "a@x.org\r\nBcc: b@x.org"}, 422, "control_characters"),
        ({"password": "1234567"}, 422, "weak_password"),
        ({"password": "password1"}, 422, "weak_password"),
        ({"password": "x" * 257}, 422, "weak_password"),
        ({"password": "nul\x00nul-nul"}, 422, "control_characters"),
        ({"password": 12345678}, 422, "invalid"),
        ({"group": "sysop"}, 422, "unknown_field"),
        ({"is_staff": True}, 422, "unknown_field"),
        ({"id": str(uuid4())}, 422, "unknown_field"),
    ],
)
def test_bad_registrations_are_refused(
    api: TestClient, members: Members, fields: dict[str, Any], status: int, code: str
) -> None:
    answer = register(api, **{"name": "alice", **{k: v for k, v in fields.items()}})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_names_and_addresses_are_taken_whatever_their_case(api: TestClient, members: Members) -> None:
    register(api)
    name = register(api, "ALICE", email="other@example.org")
    address = register(api, "bob", email="Alice@Example.org")
    assert (name.status_code, name.json()["code"]) == (409, "username_taken")
    assert (address.status_code, address.json()["code"]) == (409, "email_taken")


def test_of_many_who_claim_a_name_at_once_one_gets_it(platform: Platform, members: Members) -> None:
    def claim(n: int) -> bool:
        try:
            create_user(
                platform.store(SYSTEM),
                platform.secrets.site,
                username="alice" if n % 2 else "ALICE",
                email=f"a{n}@example.org",
                password=PASSWORD,
                group="member",
                now=datetime.now(UTC),
            )
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(claim, range(6))) == 1
    assert rows_of(platform, "SELECT count(*) FROM credentials.password") == [(1,)]


@pytest.mark.parametrize("mode", ["closed", "invite", "application"])
def test_a_site_that_is_not_open_refuses(
    with_registration: Callable[..., TestClient], members: Members, mode: str
) -> None:
    answer = register(with_registration(mode=mode))
    assert (answer.status_code, answer.json()["code"]) == (403, "registration_closed")


def test_where_addresses_are_verified_the_mail_lets_in(
    with_registration: Callable[..., TestClient], platform: Platform, members: Members
) -> None:
    api = with_registration(verify_email=True)
    registered = register(api).json()
    assert (registered["group"], [k for k in registered if "token" in k]) == ("validating", [])
    (mail,) = mails(platform, "alice@example.org")
    token = links(mail)["verify-email"]

    answer = api.post("/api/v1/auth/verify-email", json={"token": token})
    assert answer.status_code == 200
    assert platform.store(SYSTEM).get(User, UUID(registered["id"])).group == "member"
    again = api.post("/api/v1/auth/verify-email", json={"token": token})
    assert (again.status_code, again.json()["code"]) == (422, "email_token_invalid")


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "A" * 257])
def test_unknown_links_are_refused(api: TestClient, members: Members, token: str) -> None:
    assert api.post("/api/v1/auth/verify-email", json={"token": token}).status_code == 422


def test_every_reason_not_to_come_in_has_one_answer(api: TestClient, platform: Platform, members: Members) -> None:
    members.join("alice", password=PASSWORD)
    members.join("eve", "banned", password=PASSWORD)
    dora = platform.store(SYSTEM).get(User, members.join("dora", password=PASSWORD).id)
    dora.disable("spam")
    platform.store(SYSTEM).save(dora)
    answers = [login(api, "nobody-here"), login(api, "alice", "wrong-password"), login(api, "dora"), login(api, "eve")]
    shown = [{k: v for k, v in a.json().items() if k != "request_id"} for a in answers]
    assert [a.status_code for a in answers] == [401] * 4
    assert shown == [shown[0]] * 4
    assert shown[0]["code"] == "wrong_credentials"


def test_a_repeated_sign_in_makes_new_tokens(api: TestClient, members: Members) -> None:
    members.join("alice", password=PASSWORD)
    headers = {"Idempotency-Key": str(uuid4())}
    body = {"username": "alice", "password": PASSWORD}
    first, again = (api.post("/api/v1/auth/login", json=body, headers=headers).json() for _ in range(2))
    assert first["refresh_token"] != again["refresh_token"]
    assert me(api, bearer(first)) == me(api, bearer(again)) == 200


def test_a_refresh_token_is_exchanged_for_new_tokens(api: TestClient, members: Members) -> None:
    alice = members.join("alice", password=PASSWORD)
    answer = api.post("/api/v1/auth/refresh", json={"refresh_token": alice.pair.refresh_token})
    assert answer.status_code == 200
    assert me(api, bearer(answer.json())) == 200
    in_grace = api.post("/api/v1/auth/refresh", json={"refresh_token": alice.pair.refresh_token})
    assert in_grace.json()["refresh_token"] == answer.json()["refresh_token"]


def test_a_stolen_refresh_token_ends_the_session_and_that_is_recorded(
    api: TestClient, platform: Platform, members: Members
) -> None:
    alice, bob = members.join("alice", password=PASSWORD), members.join("bob", password=PASSWORD)
    fresh = api.post("/api/v1/auth/refresh", json={"refresh_token": alice.pair.refresh_token}).json()
    with platform.pool.connection() as connection:
        connection.execute("UPDATE credentials.refresh_token SET rotated_at = rotated_at - interval '1 minute'")
    reused = api.post("/api/v1/auth/refresh", json={"refresh_token": alice.pair.refresh_token})
    assert (reused.status_code, reused.json()["code"]) == (401, "unauthenticated")
    assert me(api, bearer(fresh)) == 401
    assert me(api, bob.headers) == 200
    assert ended(platform, "reuse") == [alice.pair.session_id]


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "A" * 300, 7, None])
def test_what_is_no_refresh_token_is_refused(api: TestClient, members: Members, token: object) -> None:
    assert api.post("/api/v1/auth/refresh", json={"refresh_token": token}).status_code in (401, 422)


def test_an_access_token_does_not_refresh_and_a_refresh_token_does_not_open(api: TestClient, members: Members) -> None:
    alice = members.join("alice", password=PASSWORD)
    answer = api.post("/api/v1/auth/refresh", json={"refresh_token": alice.pair.access_token[:256]})
    assert answer.status_code in (401, 422)
    assert me(api, {"Authorization": f"Bearer {alice.pair.refresh_token}"}) == 401


def test_after_signing_out_neither_token_works(api: TestClient, platform: Platform, members: Members) -> None:
    alice, bob = members.join("alice", password=PASSWORD), members.join("bob", password=PASSWORD)
    body = {"refresh_token": alice.pair.refresh_token}
    assert [api.post("/api/v1/auth/logout", json=body).status_code for _ in range(2)] == [204, 204]
    assert me(api, alice.headers) == 401
    assert api.post("/api/v1/auth/refresh", json=body).status_code == 401
    assert me(api, bob.headers) == 200
    assert ended(platform, "logout") == [alice.pair.session_id]
    assert platform.store(SYSTEM).get(Session, bob.pair.session_id).ended is False


def test_signing_out_with_an_unknown_token_tells_nothing(api: TestClient, members: Members) -> None:
    assert api.post("/api/v1/auth/logout", json={"refresh_token": "A" * 43}).status_code == 204


def test_who_was_shut_out_meanwhile_cannot_refresh(api: TestClient, platform: Platform, members: Members) -> None:
    alice = members.join("alice", password=PASSWORD)
    user = platform.store(SYSTEM).get(User, alice.id)
    user.disable("spam")
    platform.store(SYSTEM).save(user)
    answer = api.post("/api/v1/auth/refresh", json={"refresh_token": alice.pair.refresh_token})
    assert answer.status_code == 401
    assert platform.store(SYSTEM).get(Session, alice.pair.session_id).ended
