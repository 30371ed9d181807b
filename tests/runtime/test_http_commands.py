"""Who is asking, what is repeated, and what two who write at once get: the same for every command."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from runtime.http import body as bodies
from runtime.platform import Platform
from runtime.store import Store, VersionConflict
from tests.given import rows_of
from tests.in_process import TestClient
from tests.runtime.note_api import create_account
from tests.runtime.note_calls import JSON, NOTES, is_problem, send
from tests.runtime.notes import Note


def test_whoever_has_no_good_token_is_refused(client: TestClient, notes: Platform) -> None:
    del client.headers["Authorization"]
    for value in ("", "Bearer", "Bearer x", "Basic YTpi", "Bearer " + "a" * 100_000):
        answer = client.get("/api/v1/me", headers={"Authorization": value})
        assert is_problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert is_problem(send(client, b'{"author": "a"}'), 401, "unauthenticated")
    assert rows_of(notes, "SELECT count(*) FROM es.event") == [(0,)]


def test_an_ended_session_is_refused_at_once(client: TestClient, owner: psycopg.Connection[Any]) -> None:
    assert client.get("/api/v1/me").status_code == 200
    owner.execute("UPDATE credentials.session SET revoked_at = now()")
    assert is_problem(client.get("/api/v1/me"), 401, "unauthenticated")


def test_a_disabled_account_is_refused_at_once(client: TestClient, owner: psycopg.Connection[Any]) -> None:
    owner.execute("UPDATE read.account SET state = 'disabled'")
    assert is_problem(client.get("/api/v1/me"), 403, "account_disabled")


def test_an_account_being_validated_is_let_in_as_not_enabled(
    client: TestClient, owner: psycopg.Connection[Any]
) -> None:
    owner.execute("UPDATE read.account SET state = 'validating'")
    assert client.get("/api/v1/me").json()["enabled"] is False


def test_a_permission_is_needed_where_a_route_says_so(client: TestClient, owner: psycopg.Connection[Any]) -> None:
    note = client.post(NOTES, json={"author": "a"}).json()["id"]
    owner.execute("UPDATE read.user_group SET permissions = '{site.login}'")
    assert is_problem(client.post(f"{NOTES}/{note}/close"), 403, "not_permitted")
    owner.execute("UPDATE read.user_group SET permissions = '{site.login,notes.close}'")
    assert client.post(f"{NOTES}/{note}/close").status_code == 204


def test_an_optional_body_may_be_left_out(client: TestClient) -> None:
    for body in (b"", b"{}", b'{"reason": "done"}'):
        note = client.post(NOTES, json={"author": "a"}).json()["id"]
        assert client.post(f"{NOTES}/{note}/close", content=body, headers=JSON).status_code == 204


def test_a_repeat_with_the_same_key_gets_the_first_answer(client: TestClient, notes: Platform) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    first, again = (client.post(NOTES, json={"author": "a", "points": 1.5}, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotent-replayed"] == "true"
    assert first.json()["secret"]
    assert again.json() == first.json() | {"secret": None}
    assert rows_of(notes, "SELECT count(*) FROM es.event") == [(1,)]


def test_a_repeat_of_an_answer_without_a_body_has_none(client: TestClient) -> None:
    note = client.post(NOTES, json={"author": "a"}).json()["id"]
    key = {"Idempotency-Key": str(uuid4())}
    answers = [client.post(f"{NOTES}/{note}/close", headers=key) for _ in range(2)]
    assert [(a.status_code, a.content) for a in answers] == [(204, b""), (204, b"")]


def test_another_body_under_the_same_key_is_refused(client: TestClient) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    client.post(NOTES, json={"author": "a"}, headers=key)
    assert is_problem(client.post(NOTES, json={"author": "b"}, headers=key), 409, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", "x", "{0199a4f0-0000-7000-8000-0000000000ad}"])
def test_a_key_is_a_uuid(client: TestClient, key: str) -> None:
    answer = client.post(NOTES, json={"author": "a"}, headers={"Idempotency-Key": key})
    assert is_problem(answer, 422, "invalid")


def test_keys_of_different_callers_are_independent(
    client: TestClient, notes: Platform, owner: psycopg.Connection[Any]
) -> None:
    key, bob = {"Idempotency-Key": str(uuid4())}, uuid4()
    create_account(owner, bob)
    first = client.post(NOTES, json={"author": "a"}, headers=key).json()
    with notes.pool.connection() as connection:
        client.headers["Authorization"] = f"Bearer {start_session(notes, connection, bob)}"
    second = client.post(NOTES, json={"author": "a"}, headers=key).json()
    assert first["id"] != second["id"]


def start_session(platform: Platform, connection: psycopg.Connection[Any], user_id: UUID) -> str:
    return platform.tokens.start_session(connection, user_id, datetime.now(UTC)).access_token


def test_an_upload_is_repeated_under_another_boundary(client: TestClient, notes: Platform) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    answers = [
        client.post(f"{NOTES}/upload", files={"file": ("x.bin", b"12345")}, data={"author": "a\r\nb"}, headers=key)
        for _ in range(2)
    ]
    assert [a.status_code for a in answers] == [201, 201], answers[0].text
    assert answers[0].request.headers["content-type"] != answers[1].request.headers["content-type"]
    assert answers[0].json() == answers[1].json()
    other = client.post(f"{NOTES}/upload", files={"file": ("x.bin", b"54321")}, data={"author": "a\r\nb"}, headers=key)
    assert is_problem(other, 409, "idempotency_key_reused")


def test_a_form_is_checked_like_json(client: TestClient) -> None:
    file = {"file": ("../../x\x00.bin", b"12345")}
    assert is_problem(client.post(f"{NOTES}/upload", files=file, data={"author": "a\x00"}), 422, "control_characters")
    assert is_problem(client.post(f"{NOTES}/upload", json={"author": "a"}), 422, "invalid")
    broken = {"Content-Type": "multipart/form-data"}
    assert is_problem(client.post(f"{NOTES}/upload", content=b"x", headers=broken), 400, "bad_request")


def test_an_edit_names_the_version_it_looks_at(client: TestClient) -> None:
    note = client.post(NOTES, json={"author": "a"}).json()["id"]
    path = f"{NOTES}/{note}/lines"
    assert client.post(path, json={"number": 1}, headers={"If-Match": '"1"'}).json()["version"] == 2
    assert is_problem(client.post(path, json={"number": 1}, headers={"If-Match": "1"}), 409, "version_conflict")
    assert is_problem(client.post(path, json={"number": 1}, headers={"If-Match": "99"}), 409, "version_conflict")
    for bad in ("-1", "x", "0", '"1', "*", "1.0", ""):
        assert is_problem(client.post(path, json={"number": 1}, headers={"If-Match": bad}), 422, "bad_if_match")


def test_a_lost_race_is_run_again_unless_a_version_was_named(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = client.post(NOTES, json={"author": "a"}).json()["id"]
    losses = iter([True, True, False] + [True] * 10)
    save = Store.save

    def unlucky(self: Store, *aggregates: Any, **options: Any) -> Any:
        if next(losses):
            raise VersionConflict("somebody was faster")
        return save(self, *aggregates, **options)

    monkeypatch.setattr(Store, "save", unlucky)
    assert client.post(f"{NOTES}/{note}/lines", json={"number": 5}).json()["version"] == 2
    assert is_problem(client.post(f"{NOTES}/{note}/lines", json={"number": 5}), 409, "version_conflict")


def test_twenty_callers_in_parallel_all_get_their_line_in(
    client: TestClient, notes: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "ATTEMPTS", 20)
    note = client.post(NOTES, json={"author": "a"}).json()["id"]
    with ThreadPoolExecutor(5) as threads:
        answers = list(threads.map(lambda _: client.post(f"{NOTES}/{note}/lines", json={"number": 1}), range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert notes.history.aggregate(Note, UUID(note)).lines == 20


def test_an_unknown_id_is_not_found_and_a_misspelt_one_is_not_valid(client: TestClient) -> None:
    assert is_problem(client.post(f"{NOTES}/{uuid4()}/lines", json={"number": 1}), 404, "not_found")
    assert is_problem(client.post(f"{NOTES}/{str(uuid4()).upper()}/lines", json={"number": 1}), 422, "invalid")


def test_a_broken_rule_answers_with_its_own_code(client: TestClient) -> None:
    note = client.post(NOTES, json={"author": "a"}).json()["id"]
    client.post(f"{NOTES}/{note}/close")
    assert is_problem(client.post(f"{NOTES}/{note}/lines", json={"number": 1}), 409, "already_closed")


def test_a_command_without_an_actor_is_our_mistake(client: TestClient, notes: Platform) -> None:
    assert is_problem(client.post(f"{NOTES}/anonymous", json={"author": "a"}), 500, "internal")
    assert rows_of(notes, "SELECT count(*) FROM es.event") == [(0,)]
    key = {"Idempotency-Key": str(uuid4())}
    answers = [client.post(f"{NOTES}/registered", json={"author": "a"}, headers=key).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert rows_of(notes, "SELECT actor_id FROM es.event") == [(UUID(answers[0]["id"]),)]


def test_the_callers_program_is_kept_beside_the_command(client: TestClient, notes: Platform) -> None:
    client.post(NOTES, json={"author": "a"}, headers={"User-Agent": "x" * 300, "X-Forwarded-For": "192.0.2.1"})
    assert rows_of(notes, "SELECT ip, user_agent FROM es.command_context") == [(None, "x" * 200)]
