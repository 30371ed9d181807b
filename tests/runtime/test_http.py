"""The API's front door: what it reads, what it refuses, and what every answer looks like."""

from __future__ import annotations

import contextlib
import json
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.errors import DomainError
from runtime.http.body import MalformedJson, strict_json
from runtime.http.types import Command, Points
from runtime.platform import Platform
from runtime.telemetry import COMMANDS, HTTP_REQUESTS
from tests.given import projected, rows_of
from tests.in_process import TestClient
from tests.runtime.note_api import ADA, note_app
from tests.runtime.note_calls import JSON, NOTES, is_problem, send


def test_a_command_answers_with_id_version_and_position(client: TestClient, notes: Platform) -> None:
    answer = client.post(NOTES, json={"author": "Ada"})
    assert answer.status_code == 201
    shown = answer.json()
    assert shown["version"] == 1
    assert rows_of(notes, "SELECT stream_id, position, actor_id FROM es.event") == [
        (UUID(shown["id"]), shown["position"], ADA)
    ]


def test_dates_enumerations_and_lists_are_read_from_their_json_spelling(client: TestClient) -> None:
    command = {
        "author": "Ada", "colour": "blue", "tags": ["a", "b"], "until": "2031-01-01T01:00:00+01:00",
        "points": 12.345, "of": str(uuid4()),
    }  # fmt: skip
    shown = client.post(NOTES, json=command).json()
    assert (shown["points"], shown["colour"]) == (12.345, "blue")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 422, "invalid"),
        (b"null", 422, "invalid"),
        (b"[]", 422, "invalid"),
        (b'"x"', 422, "invalid"),
        (b"0", 422, "invalid"),
        (b"{} {}", 400, "malformed_json"),
        (b'{"author": "a",}', 400, "malformed_json"),
        (b'{"author": "a"} // comment', 400, "malformed_json"),
        (b'\xef\xbb\xbf{"author": "a"}', 400, "malformed_json"),
        (b'{"author": "\xff"}', 400, "malformed_json"),
        ('{"author": "a"}'.encode("utf-16"), 400, "malformed_json"),
        (b'{"author": "a', 400, "malformed_json"),
        (b'{"author": "a\nb"}', 400, "malformed_json"),
        (b"[" * 100_000, 400, "malformed_json"),
        (b'{"author": ' + b"[" * 150 + b"]" * 150 + b"}", 400, "malformed_json"),
        (b'{"author": "a", "lines": NaN}', 422, "number_out_of_range"),
        (b'{"author": "a", "lines": -Infinity}', 422, "number_out_of_range"),
        (b'{"author": "a", "lines": 1e999}', 422, "number_out_of_range"),
        (b'{"author": "a", "lines": 9223372036854775808}', 422, "number_out_of_range"),
        (b'{"author": "a", "lines": ' + b"9" * 5000 + b"}", 422, "number_out_of_range"),
        (b'{"author": "a", "lines": 1.0}', 422, "invalid"),
        (b'{"author": "a", "lines": "7"}', 422, "invalid"),
        (b'{"author": "a", "lines": true}', 422, "invalid"),
        (b'{"author": 7}', 422, "invalid"),
        (b'{"author": "a", "author": "b"}', 422, "duplicate_key"),
        (b'{"author": "a", "x": {"y": 1, "y": 2}}', 422, "duplicate_key"),
        (b'{"author": "a\\u0000"}', 422, "control_characters"),
        (b'{"author": "\\ud800"}', 422, "control_characters"),
        (b'{"author": "\\udc00\\ud800"}', 422, "control_characters"),
        (b'{"author": "a\\u0085"}', 422, "control_characters"),
        (b'{"author": "a\\r\\n"}', 422, "control_characters"),
        (b'{"author\\u0000": "a"}', 422, "control_characters"),
        (b'{"author": "a", "actor_id": "x"}', 422, "unknown_field"),
        (b'{"author": "a", "position": 7}', 422, "unknown_field"),
        (b'{"author": "a", "__proto__": {}}', 422, "unknown_field"),
        (b'{"author": {"$ne": 1}}', 422, "invalid"),
        (b'{"author": "a", "colour": "green"}', 422, "invalid"),
        (b'{"author": "a", "until": "2031-01-01"}', 422, "invalid"),
        (b'{"author": "a", "until": "2031-01-01T00:00:00"}', 422, "invalid"),
        (b'{"author": "a", "until": "2024-02-30T00:00:00Z"}', 422, "invalid"),
        (b'{"author": "a", "until": "0001-01-01T00:00:00+10:00"}', 422, "invalid"),
        (b'{"author": "a", "until": 1700000000}', 422, "invalid"),
        (b'{"author": "a", "of": "0199A4F0-0000-7000-8000-0000000000AD"}', 422, "invalid"),
        (b'{"author": "a", "of": "{0199a4f0-0000-7000-8000-0000000000ad}"}', 422, "invalid"),
        (b'{"author": "a", "of": "0199a4f0000070008000000000000ad0"}', 422, "invalid"),
    ],
)
def test_a_body_that_two_readers_could_read_differently_is_refused(
    client: TestClient, notes: Platform, body: bytes, status: int, code: str
) -> None:
    assert is_problem(send(client, body), status, code)
    assert rows_of(notes, "SELECT count(*) FROM es.event") == [(0,)]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", ""]
)
def test_only_json_is_read_as_json(client: TestClient, content_type: str) -> None:
    assert is_problem(send(client, b'{"author": "a"}', **{"Content-Type": content_type}), 415, "unsupported_media_type")


def test_a_compressed_body_is_not_unpacked(client: TestClient) -> None:
    assert is_problem(send(client, b"\x1f\x8b", **{"Content-Encoding": "gzip"}), 415, "unsupported_media_type")


def test_a_body_has_a_largest_size(notes: Platform, client: TestClient) -> None:
    assert is_problem(send(client, b'"' + b"a" * 2**20 + b'"'), 413, "body_too_large")
    small = TestClient(note_app(notes, max_body_bytes=100), headers=client.headers)
    assert is_problem(send(small, b'{"author": "' + b"a" * 100 + b'"}'), 413, "body_too_large")
    endless = (b"a" * 60 for _ in range(10))
    assert is_problem(small.post(NOTES, content=endless, headers=JSON), 413, "body_too_large")


def test_errors_name_fields_and_repeat_no_values(client: TestClient) -> None:
    answer = send(client, b'{"author": "a", "lines": "leaked-value", "<script>": "leaked-value", "tags": [7]}')
    assert is_problem(answer, 422, "unknown_field")
    assert {e["field"] for e in answer.json()["errors"]} == {"lines", "?", "tags.0"}
    assert all(set(e) == {"field", "message"} for e in answer.json()["errors"])
    assert "leaked" not in answer.text
    assert "script" not in answer.text


DOCUMENTS = st.recursive(st.none() | st.integers() | st.floats() | st.text(max_size=5), st.lists)


@for_all(st.binary(max_size=64) | DOCUMENTS.map(lambda document: json.dumps(document).encode()))
def test_the_reader_answers_any_bytes_with_a_value_or_a_refusal(body: bytes) -> None:
    with contextlib.suppress(DomainError):
        assert strict_json(body) == json.loads(body)


class Gift(Command):
    points: Points


@pytest.mark.parametrize(
    ("written", "thousandths"), [("1", 1000), ("0.001", 1), ("0.1", 100), ("2.50", 2500), ("9000000000000", 9 * 10**15)]
)
def test_points_become_thousandths(written: str, thousandths: int) -> None:
    assert Gift.model_validate(strict_json(f'{{"points": {written}}}'.encode())).points == thousandths


@pytest.mark.parametrize(
    "written", ["0", "-1", "0.0001", "1e-9", "9000000000001", "true", '"1"', "null", "8000000000000.5", "[1]"]
)
def test_other_amounts_of_points_are_refused(written: str) -> None:
    with pytest.raises(ValueError, match="points"):
        Gift.model_validate(strict_json(f'{{"points": {written}}}'.encode()))


def test_nesting_is_limited_where_python_is_not() -> None:
    assert strict_json(b"[" * 100 + b"]" * 100) is not None
    with pytest.raises(MalformedJson):
        strict_json(b"[" * 101 + b"]" * 101)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("limit=1&limit=2", 422, "duplicate_parameter"),
        ("author=%00", 422, "control_characters"),
        ("author=%ff", 422, "malformed_parameter"),
        ("limit=0", 422, "invalid"),
        ("limit=101", 422, "invalid"),
        ("limit=-1", 422, "invalid"),
        ("limit=1_0", 422, "invalid"),
        ("limit=%205", 422, "invalid"),
        ("cursor=forged", 422, "bad_cursor"),
        ("cursor=", 422, "bad_cursor"),
        ("cursor=%C3%A9", 422, "bad_cursor"),
        ("limit=100", 200, ""),
    ],
)
def test_a_query_string_means_one_thing(client: TestClient, query: str, status: int, code: str) -> None:
    answer = client.get(f"{NOTES}?{query}")
    assert answer.status_code == 200 if status == 200 else is_problem(answer, status, code)


@pytest.mark.parametrize("number", ["1_000", "%205", "+5", "9223372036854775808", "007"])
def test_numbers_in_paths_have_one_spelling(client: TestClient, number: str) -> None:
    assert is_problem(client.get(f"/api/v1/numbers/{number}"), 422, "invalid")


def test_times_in_queries_have_one_spelling(client: TestClient) -> None:
    assert client.get("/api/v1/at?when=2020-01-01T00:00:00Z").json() is True
    assert is_problem(client.get("/api/v1/at?when=1577836800"), 422, "invalid")


@pytest.mark.parametrize(
    "path",
    ["/api/v1/nothing", "/api/v1/me/", "/api/v1//me", "/api/v1/me%00", "/API/v1/me", "/api/v1/%2e%2e/me", "/.env"],
)
def test_odd_paths_are_not_found(client: TestClient, path: str) -> None:
    assert is_problem(client.get(path, follow_redirects=False), 404, "not_found")


def test_other_methods_are_refused(client: TestClient) -> None:
    assert is_problem(client.request("PROPFIND", "/api/v1/me"), 405, "method_not_allowed")
    assert is_problem(client.delete("/api/v1/me", headers={"X-HTTP-Method-Override": "GET"}), 405, "method_not_allowed")


@pytest.mark.parametrize("host", ["", "a b", "evil/?x=", "evil@good", "a" * 300, "good:port", "[::1"])
def test_a_malformed_host_is_refused(client: TestClient, host: str) -> None:
    assert is_problem(client.get("/api/v1/me", headers={"Host": host}), 400, "bad_host")


def test_a_foreign_host_is_refused_when_hosts_are_named(notes: Platform, client: TestClient) -> None:
    named = TestClient(note_app(notes, allowed_hosts=frozenset({"site.example", "[::1]"})), headers=client.headers)
    assert is_problem(named.get("/api/v1/me", headers={"Host": "evil.example"}), 421, "misdirected_request")
    assert named.get("/api/v1/me", headers={"Host": "Site.example:8080"}).status_code == 200
    assert named.get("/api/v1/me", headers={"Host": "[::1]:8080"}).status_code == 200


def test_every_answer_carries_security_headers_and_a_request_id(client: TestClient) -> None:
    for answer in (client.get("/api/v1/me"), client.get("/nothing"), client.get("/api/v1/crash")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert UUID(answer.headers["x-request-id"]).version == 7
        assert "access-control-allow-origin" not in answer.headers


def test_a_plain_request_id_is_kept_and_any_other_is_replaced(client: TestClient) -> None:
    def echoed(given: str) -> str:
        return str(client.get("/api/v1/me", headers={"X-Request-ID": given}).headers["x-request-id"])

    assert echoed("abcd-1234") == "abcd-1234"
    for given in ("short", "a" * 65, "semi;colon-semi", "with space in it"):
        assert UUID(echoed(given)).version == 7


def test_a_bug_is_a_problem_without_details(client: TestClient) -> None:
    answer = client.get("/api/v1/crash")
    assert is_problem(answer, 500, "internal")
    assert "secret" not in answer.text


def test_an_absent_database_is_503_and_comes_back(client: TestClient, notes: Platform, database: str) -> None:
    name = rows_of(notes, "SELECT current_database()")[0][0]
    with psycopg.connect(database.replace(name, "postgres"), autocommit=True) as elsewhere:
        elsewhere.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        elsewhere.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        notes.pool.timeout = 0.2
        answer = client.get("/api/v1/me")
        assert is_problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "1"
        elsewhere.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    notes.pool.timeout = 5
    assert client.get("/api/v1/me").status_code == 200


def test_a_read_connection_changes_nothing(client: TestClient) -> None:
    assert is_problem(client.get("/api/v1/change"), 500, "internal")


def test_pages_follow_each_other_to_the_end(client: TestClient, notes: Platform) -> None:
    made = {client.post(NOTES, json={"author": f"a{n}"}).json()["id"] for n in range(7)}
    projected(notes, *notes.followers)
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        page = client.get(NOTES, params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert len(seen) == 7
    assert set(seen) == made
    assert seen == sorted(seen)


def test_a_cursor_is_good_for_its_own_list_only(client: TestClient) -> None:
    cursor = client.get("/api/v1/others?limit=2").json()["next_cursor"]
    assert client.get(f"/api/v1/others?cursor={cursor}").status_code == 200
    assert is_problem(client.get(f"{NOTES}?cursor={cursor}"), 422, "bad_cursor")
    assert is_problem(client.get(f"/api/v1/others?cursor={cursor[:-2]}AA"), 422, "bad_cursor")


def test_the_schema_shows_bodies_keys_and_the_token(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    post = schema["paths"]["/api/v1/notes"]["post"]
    assert {p["name"] for p in post["parameters"]} == {"idempotency-key", "if-match"}
    assert post["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/OpenNote")
    assert schema["components"]["schemas"]["OpenNote"]["additionalProperties"] is False
    assert "HTTPBearer" in schema["components"]["securitySchemes"]


def test_requests_are_counted_under_their_route(client: TestClient) -> None:
    def counted() -> tuple[float, float]:
        labels = HTTP_REQUESTS.labels("POST", "/api/v1/notes/{note_id}/lines", "200")
        return labels._value.get(), COMMANDS.labels("add_line", "done")._value.get()

    before = counted()
    note = client.post(NOTES, json={"author": "a"}).json()["id"]
    client.post(f"{NOTES}/{note}/lines", json={"number": 1})
    assert counted() == (before[0] + 1, before[1] + 1)
