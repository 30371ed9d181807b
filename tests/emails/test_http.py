"""Addresses over HTTP: nobody learns whose one is, the new one has to answer, the former one can take it back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx import Response

from domain.base import SYSTEM
from domain.users import User
from runtime.email_tokens import forget_old_tokens
from runtime.platform import Platform
from runtime.worker.due import settle_emails
from tests.given import rows_of
from tests.in_process import TestClient
from tests.mailbox import links, mails
from tests.members import PASSWORD, Client, Member, Members

pytestmark = pytest.mark.engine

OLD, NEW = "alice@example.org", "alice@new.example.org"


@pytest.fixture
def alice(members: Members) -> Member:
    return members.join("alice", password=PASSWORD)


@pytest.fixture
def verifying(platform: Platform, members: Members, app: FastAPI) -> TestClient:
    """The API of a site that verifies addresses."""
    changed = platform.settings.registration.model_copy(update={"verify_email": True})
    platform.settings = platform.settings.model_copy(update={"registration": changed})
    return TestClient(app)


def register(api: TestClient, name: str, email: str) -> Response:
    body = {"username": name, "email": email, "password": PASSWORD}
    answer: Response = api.post("/api/v1/auth/register", json=body)
    return answer


def post(api: TestClient, path: str, token: str) -> tuple[int, str | None]:
    answer = api.post(f"/api/v1/auth/{path}", json={"token": token})
    return answer.status_code, answer.json().get("code")


def ask(client: Client, who: Member, email: str = NEW, password: str = PASSWORD) -> Response:
    return client.post(who, "/users/me/email", {"email": email, "password": password})


def newest(platform: Platform, to: str) -> dict[str, str]:
    """The links in the newest mail to that address."""
    return links(mails(platform, to)[-1])


def address(platform: Platform, who: Member) -> str:
    return platform.store(SYSTEM).get(User, who.id).email


def login(api: TestClient, name: str = "alice", password: str = PASSWORD) -> int:
    body = {"username": name, "password": password}
    return int(api.post("/api/v1/auth/login", json=body).status_code)


def shown(answer: Response) -> dict[str, Any]:
    """What of an answer does not differ in any case."""
    return {k: v for k, v in answer.json().items() if k not in {"id", "position", "username"}}


def test_registering_with_somebodys_address_does_not_tell_and_its_owner_is_told(
    verifying: TestClient, platform: Platform, alice: Member
) -> None:
    used, free = register(verifying, "eve", "Alice@Example.org"), register(verifying, "bob", "bob@example.org")
    assert (used.status_code, shown(used), used.headers.keys()) == (201, shown(free), free.headers.keys())
    (told,) = mails(platform, "Alice@Example.org")
    assert "You have one" in told.get_content()
    assert (links(told), "eve" in told.get_content()) == ({}, False)
    assert list(newest(platform, "bob@example.org")) == ["verify-email"]
    again = [register(verifying, name, "x@example.org").json()["code"] for name in ("eve", "bob")]
    assert again == ["username_taken"] * 2, "the name does not tell either"


def test_of_several_accounts_that_name_an_address_the_first_to_answer_gets_it(
    verifying: TestClient, platform: Platform, members: Members
) -> None:
    for name in ("bob", "bert"):
        assert register(verifying, name, "b@example.org").status_code == 201
    first, second = (links(mail)["verify-email"] for mail in mails(platform, "b@example.org"))
    assert post(verifying, "verify-email", second) == (200, None)
    assert post(verifying, "verify-email", first) == (409, "email_taken")
    assert register(verifying, "ben", "b@example.org").status_code == 201
    assert "bert" in mails(platform, "b@example.org")[-1].get_content()


def test_of_20_links_to_one_address_used_at_once_one_works(
    verifying: TestClient, platform: Platform, members: Members
) -> None:
    for n in range(5):
        register(verifying, f"bob-{chr(97 + n)}", "b@example.org")
    tokens = [links(mail)["verify-email"] for mail in mails(platform, "b@example.org")]
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda token: post(verifying, "verify-email", token), tokens * 4))
    assert outcomes.count((200, None)) == 1
    assert set(outcomes) <= {
        (200, None), (409, "email_taken"), (409, "already_verified"), (409, "version_conflict"),
        (422, "email_token_invalid"),
    }  # fmt: skip


def test_a_lost_link_is_sent_again_but_not_at_once(verifying: TestClient, client: Client, platform: Platform) -> None:
    user_id = register(verifying, "bob", "bob@example.org").json()["id"]
    (mail,) = mails(platform, "bob@example.org")
    bob = client.members.sign_in(UUID(user_id), "bob", "validating")
    again = client.post(bob, "/users/me/email/confirmation")
    assert (again.status_code, again.json()["code"]) == (409, "mailed_lately")
    with platform.pool.connection() as connection:
        connection.execute("UPDATE credentials.email_token SET issued_at = issued_at - interval '5 minutes'")
    assert client.post(bob, "/users/me/email/confirmation").status_code == 204
    assert post(verifying, "verify-email", links(mail)["verify-email"]) == (422, "email_token_invalid")
    assert post(verifying, "verify-email", newest(platform, "bob@example.org")["verify-email"]) == (200, None)
    assert client.post(bob, "/users/me/email/confirmation").json()["code"] == "already_verified"


def test_a_new_address_counts_once_it_has_answered(
    client: Client, api: TestClient, platform: Platform, alice: Member
) -> None:
    assert ask(client, alice).status_code == 202
    assert address(platform, alice) == OLD
    token = newest(platform, NEW)["confirm-email"]
    assert post(api, "confirm-email", token) == (200, None)
    assert post(api, "confirm-email", token) == (422, "email_token_invalid")
    assert address(platform, alice) == NEW
    me = client.get(alice, "/users/me").json()
    assert (me["email"], me["email_verified"]) == (NEW, True)
    assert [mail["Subject"] for mail in mails(platform, OLD)] == ["Your address changes"] * 2
    assert register(api, "eve", NEW.upper()).json()["code"] == "email_taken"


@pytest.mark.parametrize(
    ("body", "refused"),
    [({"password": "wrong-password"}, (403, "wrong_password")), ({"email": "a@x.org\u2028b@x.org"}, (422, "bad_email")),
     ({"email": OLD}, (409, "same_email"))],
)  # fmt: skip
def test_changes_that_are_none_are_refused(
    client: Client, platform: Platform, alice: Member, body: dict[str, str], refused: tuple[int, str]
) -> None:
    answer = ask(client, alice, **body)
    assert (answer.status_code, answer.json()["code"]) == refused
    assert mails(platform) == []


def test_only_the_last_wish_counts(client: Client, api: TestClient, platform: Platform, alice: Member) -> None:
    ask(client, alice, "typo@example.org")
    ask(client, alice)
    assert post(api, "confirm-email", newest(platform, "typo@example.org")["confirm-email"])[0] == 422
    assert post(api, "confirm-email", newest(platform, NEW)["confirm-email"]) == (200, None)


def test_asking_for_somebodys_address_does_not_tell(
    client: Client, platform: Platform, alice: Member, members: Members
) -> None:
    bob = members.join("bob", password=PASSWORD)
    used, free = ask(client, alice, "BOB@example.org"), ask(client, alice, "free@example.org")
    assert (used.status_code, shown(used)) == (free.status_code, shown(free))
    (told,) = mails(platform, "BOB@example.org")
    assert (links(told), "bob" in told.get_content()) == ({}, True)
    assert address(platform, bob) == "bob@example.org"


def test_an_address_that_somebody_else_confirmed_first_is_taken(
    client: Client, api: TestClient, platform: Platform, alice: Member, members: Members
) -> None:
    ask(client, alice)
    ask(client, members.join("bob", password=PASSWORD))
    first, second = (links(mail)["confirm-email"] for mail in mails(platform, NEW))
    assert post(api, "confirm-email", second) == (200, None)
    assert post(api, "confirm-email", first) == (409, "email_taken")
    assert address(platform, alice) == OLD


def test_the_former_address_cancels_what_has_not_happened_yet(
    client: Client, api: TestClient, platform: Platform, alice: Member
) -> None:
    ask(client, alice)
    assert post(api, "take-back-email", newest(platform, OLD)["take-back-email"]) == (200, None)
    assert post(api, "confirm-email", newest(platform, NEW)["confirm-email"]) == (422, "email_token_invalid")
    assert address(platform, alice) == OLD
    assert login(api) == 200, "nothing was changed, so nobody is shut out"


def test_the_former_address_undoes_a_change_and_shuts_out_who_made_it(
    client: Client, api: TestClient, platform: Platform, alice: Member
) -> None:
    """A thief who knows the password takes the address along; the owner takes everything back."""
    ask(client, alice, "thief@example.org")
    post(api, "confirm-email", newest(platform, "thief@example.org")["confirm-email"])
    assert client.get(alice, "/users/me").status_code == 200
    assert post(api, "take-back-email", newest(platform, OLD)["take-back-email"]) == (200, None)
    assert address(platform, alice) == OLD
    assert (client.get(alice, "/users/me").status_code, login(api)) == (401, 401)
    body = {"token": newest(platform, OLD)["reset-password"], "password": "a quite other password"}
    assert api.post("/api/v1/auth/reset-password", json=body).status_code == 200
    assert login(api, password="a quite other password") == 200
    assert register(api, "thief", "thief@example.org").status_code == 201, "the address of the thief is free again"
    assert register(api, "eve", OLD).json()["code"] == "email_taken"


def test_two_changes_in_a_row_are_undone_from_the_first_address(
    client: Client, api: TestClient, platform: Platform, alice: Member
) -> None:
    owners = []
    for email in ("first@example.org", "second@example.org"):
        user = platform.store(alice.id).get(User, alice.id)
        former = user.email
        ask(client, alice, email)
        post(api, "confirm-email", newest(platform, email)["confirm-email"])
        owners.append(newest(platform, former)["take-back-email"])
        user = platform.store(alice.id).get(User, alice.id)
        user.restore_email(email)  # as if the day of cooling off were over
        platform.store(alice.id).save(user)
    assert post(api, "take-back-email", owners[0]) == (200, None)
    assert address(platform, alice) == OLD
    assert post(api, "take-back-email", owners[1])[0] == 422, "the thief's own way back is closed"


def test_a_change_of_case_alone_is_undone_without_giving_the_address_away(
    client: Client, api: TestClient, platform: Platform, alice: Member
) -> None:
    ask(client, alice, "Alice@example.org")
    post(api, "confirm-email", newest(platform, "Alice@example.org")["confirm-email"])
    assert post(api, "take-back-email", newest(platform, OLD)["take-back-email"]) == (200, None)
    assert address(platform, alice) == OLD
    assert register(api, "eve", OLD).json()["code"] == "email_taken"


def test_after_a_change_the_next_one_waits(client: Client, api: TestClient, platform: Platform, alice: Member) -> None:
    ask(client, alice)
    post(api, "confirm-email", newest(platform, NEW)["confirm-email"])
    answer = ask(client, alice, "third@example.org")
    assert (answer.status_code, answer.json()["code"]) == (409, "email_changed_lately")


def test_a_former_address_stays_with_the_account_until_the_change_is_settled(
    client: Client, api: TestClient, platform: Platform, alice: Member
) -> None:
    ask(client, alice)
    post(api, "confirm-email", newest(platform, NEW)["confirm-email"])
    client.members.catch_up()
    settle_emails(platform, datetime.now(UTC) + timedelta(days=6))
    assert register(api, "eve", OLD).json()["code"] == "email_taken"
    settle_emails(platform, datetime.now(UTC) + timedelta(days=7, seconds=1))
    settle_emails(platform, datetime.now(UTC) + timedelta(days=7, seconds=1))
    assert register(api, "eve", OLD).status_code == 201
    assert post(api, "take-back-email", newest(platform, OLD)["take-back-email"]) == (409, "email_change_over")


def test_who_waits_for_a_confirmation_may_correct_the_address(
    verifying: TestClient, client: Client, platform: Platform
) -> None:
    user_id = register(verifying, "bob", "typo@example.org").json()["id"]
    bob = client.members.sign_in(UUID(user_id), "bob", "validating")
    assert ask(client, bob, "bob@example.org").status_code == 202
    assert post(verifying, "confirm-email", newest(platform, "bob@example.org")["confirm-email"]) == (200, None)
    assert platform.store(SYSTEM).get(User, bob.id).group == "member"


def test_the_history_of_addresses_is_for_staff(
    client: Client, api: TestClient, platform: Platform, alice: Member, members: Members
) -> None:
    moderator = members.join("mia", "moderator")
    ask(client, alice, "typo@example.org")
    ask(client, alice)
    post(api, "confirm-email", newest(platform, NEW)["confirm-email"])
    ask(client, members.join("bob", password=PASSWORD), "other@example.org")
    look = client.post(moderator, f"/users/{alice.id}/email/looks", {"reason": "a claim"}).json()["id"]
    history = client.get(moderator, f"/users/{alice.id}/emails", look=look).json()["items"]
    assert [(one["email"], one["former_email"], one["state"]) for one in history] == [
        (NEW, OLD, "confirmed"), ("typo@example.org", OLD, "asked"),
    ]  # fmt: skip
    assert client.get(alice, f"/users/{alice.id}/emails", look=look).status_code == 403


def test_old_tokens_are_forgotten(client: Client, platform: Platform, alice: Member) -> None:
    ask(client, alice)
    with platform.pool.connection() as connection:
        for days, left in ((1, 2), (3, 1), (9, 0)):
            forget_old_tokens(connection, datetime.now(UTC) + timedelta(days=days))
            assert rows_of(platform, "SELECT count(*) FROM credentials.email_token") == [(left,)]
