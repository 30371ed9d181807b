"""Applications over HTTP: filed by strangers, answered by staff, by mail."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx import Response

from domain.base import SYSTEM
from domain.users import User
from runtime.platform import Platform
from tests.given import rows_of
from tests.in_process import TestClient
from tests.mailbox import links, mails
from tests.members import PASSWORD, Client, Member, Members

pytestmark = pytest.mark.engine

EMAIL = "stranger@example.org"
TEXT = "I have seeded everything that I ever downloaded, for years."


@pytest.fixture
def taking(platform: Platform, members: Members, app: FastAPI) -> TestClient:
    """The API of a site that takes applications."""
    changed = platform.settings.registration.model_copy(update={"mode": "application"})
    platform.settings = platform.settings.model_copy(update={"registration": changed})
    return TestClient(app)


@pytest.fixture
def moderator(members: Members) -> Member:
    return members.join("mia", "moderator")


def apply(api: TestClient, email: str = EMAIL, **fields: Any) -> Response:
    answer: Response = api.post("/api/v1/auth/applications", json={"email": email, "text": TEXT, **fields})
    return answer


def outcome(answer: Response) -> tuple[int, str | None]:
    return answer.status_code, answer.json().get("code")


def listed(client: Client, who: Member, state: str = "open") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = client.get(who, "/applications", state=state).json()["items"]
    return items


def test_who_is_approved_makes_the_account_that_the_application_named(
    taking: TestClient, client: Client, platform: Platform, moderator: Member
) -> None:
    filed = apply(taking, links=["https://example.org/me"])
    assert filed.status_code == 201
    apply(taking, "another@example.org")
    first, second = listed(client, moderator)
    assert (first["email"], first["text"], first["links"]) == (EMAIL, TEXT, ["https://example.org/me"])
    assert second["email"] == "another@example.org"
    assert client.post(moderator, f"/applications/{first['id']}/approve").status_code == 200
    code = links(mails(platform, EMAIL)[-1])["invite"]
    body = {"username": "newcomer", "email": EMAIL, "password": PASSWORD}
    assert outcome(taking.post("/api/v1/auth/register", json=body)) == (403, "registration_closed")
    made = taking.post("/api/v1/auth/register", json={**body, "invite": code})
    assert made.status_code == 201
    assert platform.store(SYSTEM).get(User, UUID(made.json()["id"])).email_verified
    (approved,) = listed(client, moderator, "approved")
    assert (approved["member_id"], approved["answered_by"]) == (made.json()["id"], str(moderator.id))
    assert [one["email"] for one in listed(client, moderator)] == ["another@example.org"]


def test_who_is_rejected_learns_why_and_may_apply_again(
    taking: TestClient, client: Client, platform: Platform, moderator: Member
) -> None:
    apply(taking)
    (one,) = listed(client, moderator)
    rejected = {"reason": "Tell us more about yourself"}
    assert client.post(moderator, f"/applications/{one['id']}/reject", rejected).status_code == 200
    (mail,) = mails(platform, EMAIL)
    assert ("Tell us more" in mail.get_content(), links(mail)) == (True, {})
    assert outcome(client.post(moderator, f"/applications/{one['id']}/approve")) == (409, "application_answered")
    assert apply(taking).status_code == 201
    (before,) = listed(client, moderator, "rejected")
    assert before["reason"] == "Tell us more about yourself"


def test_an_address_has_one_open_application_however_many_are_sent_at_once(
    taking: TestClient, platform: Platform
) -> None:
    emails = [EMAIL, EMAIL.upper()] * 10
    with ThreadPoolExecutor(8) as pool:
        outcomes = [outcome(answer) for answer in pool.map(lambda email: apply(taking, email), emails)]
    assert outcomes.count((201, None)) == 1
    assert set(outcomes) <= {(201, None), (409, "already_applied"), (409, "version_conflict")}
    query = "SELECT count(*) FROM es.event e JOIN es.event_type t ON t.id = e.type WHERE t.name = 'application.filed'"
    assert rows_of(platform, query) == [(1,)]


def test_applying_does_not_tell_whose_an_address_is_and_staff_see_when_they_approve(
    taking: TestClient, client: Client, moderator: Member, members: Members
) -> None:
    members.join("bob", password=PASSWORD)
    assert apply(taking, "bob@example.org").status_code == apply(taking).status_code == 201
    one = next(one for one in listed(client, moderator) if one["email"] == "bob@example.org")
    assert outcome(client.post(moderator, f"/applications/{one['id']}/approve")) == (409, "address_not_invitable")
    assert len(listed(client, moderator)) == 2


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"text": "hi"}, "bad_application"), ({"links": ["javascript:x"]}, "bad_application"),
     ({"email": "x"}, "bad_email"), ({"text": "x" * 10_001}, "invalid"),
     ({"links": ["https://x.org/"] * 11}, "invalid"), ({"invite": "x"}, "unknown_field")],
)  # fmt: skip
def test_what_is_no_application_is_refused(taking: TestClient, fields: dict[str, Any], code: str) -> None:
    assert outcome(apply(taking, **fields)) == (422, code)


def test_a_site_that_takes_none_takes_none(
    api: TestClient, client: Client, members: Members, moderator: Member
) -> None:
    assert outcome(apply(api)) == (403, "registration_closed")
    bob = members.join("bob")
    assert outcome(client.get(bob, "/applications")) == (403, "not_permitted")


def test_nothing_of_an_application_is_kept_in_clear(taking: TestClient, platform: Platform) -> None:
    apply(taking, links=["https://example.org/me"])
    for column in ("data FROM es.event", "reply FROM es.command"):
        kept = b"".join(bytes(row[0]) for row in rows_of(platform, f"SELECT {column}"))
        assert not any(word in kept for word in (b"stranger", b"for years", b"example.org/me"))
