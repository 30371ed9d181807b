"""Making an account: of many who want one address one gets it, and of who is erased nothing of how it came stays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from httpx import Response

from projections import ALL
from runtime.embedded import Valkey
from runtime.platform import Platform
from runtime.rebuild import verify
from runtime.worker.due import erase_persons
from tests.erasures import dump
from tests.given import rows_of
from tests.in_process import TestClient
from tests.mailbox import links, mails
from tests.members import PASSWORD, Client, Member, Members

pytestmark = pytest.mark.engine

MARKERS = ("zq7first@zq7.example.org", "zq7second@zq7.example.org", "zq7third@zq7.example.org", "Zq7Name", "Zq7Other")
WORDS = "zq7 seeds whatever zq7 downloads, and has done so for years"
PAGE = "https://zq7.example.org/profile"


def register(api: TestClient, name: str, email: str, **fields: Any) -> Response:
    body = {"username": name, "email": email, "password": PASSWORD, **fields}
    answer: Response = api.post("/api/v1/auth/register", json=body)
    return answer


def test_of_20_who_register_with_one_address_at_once_one_gets_it(
    api: TestClient, platform: Platform, members: Members
) -> None:
    def one(n: int) -> tuple[int, str | None]:
        answer = register(api, f"user-{chr(97 + n)}", "One@example.org" if n % 2 else "one@EXAMPLE.org")
        return answer.status_code, answer.json().get("code")

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(one, range(20)))
    assert outcomes.count((201, None)) == 1
    assert set(outcomes) <= {(201, None), (409, "email_taken"), (409, "version_conflict"), (503, "busy")}
    assert rows_of(platform, "SELECT count(*) FROM credentials.password") == [(1,)]


def test_the_claims_of_a_refused_registration_are_kept_by_nobody(api: TestClient, members: Members) -> None:
    register(api, "alice", "alice@example.org")
    assert register(api, "bob", "alice@example.org").json()["code"] == "email_taken"
    assert register(api, "alice", "bob@example.org").json()["code"] == "username_taken"
    assert register(api, "bob", "bob@example.org").status_code == 201


@pytest.mark.parametrize("field", ["group", "is_staff", "uploaded", "passkey", "invites", "id", "verified"])
def test_nobody_registers_with_more_than_there_is(api: TestClient, members: Members, field: str) -> None:
    """F8."""
    answer = register(api, "alice", "alice@example.org", **{field: 1})
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_field")


def test_of_somebody_who_is_erased_nothing_stays_of_how_it_came_and_what_it_was_called(
    client: Client,
    api: TestClient,
    platform: Platform,
    owner: psycopg.Connection[Any],
    database: str,
    valkey: Valkey,
) -> None:
    """Applied, was let in, got another address, asked for a third one, was renamed."""
    changed = platform.settings.registration.model_copy(update={"mode": "application"})
    platform.settings = platform.settings.model_copy(update={"registration": changed})
    admin = client.members.join("ada", "administrator")
    zq7 = _comes_by_application(client, api, platform, admin)
    _changes_everything(client, api, platform, admin, zq7)
    client.members.catch_up()
    before = dump.everything(database, valkey.url(), platform.settings.data_dir)
    assert {marker for _, marker in dump.places(before, *MARKERS, WORDS, PAGE)} == {*MARKERS, WORDS, PAGE}

    assert client.post(zq7, "/users/me/erasure", {"password": PASSWORD}).status_code == 202
    for _ in range(4):  # each look is a second later
        client.members.catch_up()
        erase_persons(platform, datetime.now(UTC))
        owner.execute("UPDATE keys.subject SET destroyed_at = destroyed_at - interval '2 seconds'")
    client.members.catch_up()
    owner.execute("VACUUM FULL")
    after = dump.everything(database, valkey.url(), platform.settings.data_dir)
    assert dump.places(after, *MARKERS, WORDS, PAGE) == set()
    mine = {"users", "emails", "invites", "applications"}
    found = [table for one in ALL if one.name in mine for table in verify(platform, one)]
    assert [table for table in found if table.differences] == []
    assert api.get(f"/api/v1/users/{admin.id}", headers=admin.headers).status_code == 200


def _comes_by_application(client: Client, api: TestClient, platform: Platform, admin: Member) -> Member:
    applied = {"email": MARKERS[0], "text": WORDS, "links": [PAGE]}
    application = api.post("/api/v1/auth/applications", json=applied).json()["id"]
    assert client.post(admin, f"/applications/{application}/approve").status_code == 200
    code = links(mails(platform, MARKERS[0])[-1])["invite"]
    made = register(api, MARKERS[3], MARKERS[0], invite=code)
    assert made.status_code == 201, made.text
    return client.members.sign_in(UUID(made.json()["id"]), MARKERS[3])


def _changes_everything(client: Client, api: TestClient, platform: Platform, admin: Member, zq7: Member) -> None:
    asked = {"email": MARKERS[2], "password": PASSWORD}
    assert client.post(zq7, "/users/me/email", asked).status_code == 202
    assert client.post(zq7, "/users/me/email", {**asked, "email": MARKERS[1]}).status_code == 202
    token = links(mails(platform, MARKERS[1])[-1])["confirm-email"]
    assert api.post("/api/v1/auth/confirm-email", json={"token": token}).status_code == 200
    renamed = {"username": MARKERS[4], "reason": "asked for it"}
    assert client.post(admin, f"/users/{zq7.id}/username", renamed).status_code == 200
