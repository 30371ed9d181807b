"""Every operation, as OpenAPI lists them, refuses every kind of bad input: as a problem, and without any trace."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from httpx import Response

from tests.bad_input.mutants import MARKER, misspelt_uuids, mutants
from tests.bad_input.schemas import Operation
from tests.bad_input.site import Site, documented, guarded

DOCUMENT = documented()
OPERATIONS = DOCUMENT.operations
SECURED = [operation for operation in OPERATIONS if operation.secured]
GUARDED = [operation for operation in SECURED if operation.name in guarded()]
WITH_JSON = [operation for operation in OPERATIONS if operation.media_type == "application/json"]
WITH_FORM = [operation for operation in OPERATIONS if operation.media_type == "multipart/form-data"]
WITH_PATH = [operation for operation in OPERATIONS if operation.parameters("path")]
API = [operation for operation in OPERATIONS if operation.path.startswith("/api/")]

JSON = {"Content-Type": "application/json"}
_CODE = re.compile(r"[a-z][a-z0-9_]{2,40}")


def names(operation: Operation) -> str:
    return operation.name


def path_of(site: Site, operation: Operation, **values: object) -> str:
    """The path with ids of real things, or with these instead."""
    found: dict[str, object] = {}
    for parameter in operation.parameters("path"):
        name = parameter["name"]
        found[name] = "member" if name == "slug" else site.document.good(parameter["schema"], name, site.things)
    return operation.path.format_map(found | values)


def query_of(site: Site, operation: Operation) -> dict[str, str]:
    """The query parameters that have to be there."""
    required = [one for one in operation.parameters("query") if one["required"]]
    return {one["name"]: str(site.document.good(one["schema"], one["name"], site.things)) for one in required}


def good_body(site: Site, operation: Operation) -> dict[str, Any]:
    """The options of a request whose body, if there is one, fits the schema."""
    if operation.media_type is None:
        return {}
    fields = site.document.good(site.document.body(operation), "", site.things)
    if operation.media_type == "application/json":
        return {"json": fields}
    files = {name: ("x.torrent", b"de") for name in binary(site, operation)}
    return {"files": files, "data": {name: str(value) for name, value in fields.items() if name not in files}}


def binary(site: Site, operation: Operation) -> list[str]:
    properties = site.document.body(operation)["properties"]
    return [name for name, schema in properties.items() if "contentMediaType" in schema]


def send(
    site: Site, operation: Operation, path: str, headers: dict[str, str] | None = None, **options: Any
) -> Response:
    """One request, by the sysop unless `headers` say otherwise."""
    all_headers = site.sysop.headers if headers is None else headers
    answer: Response = site.client.request(operation.method, path, headers=all_headers, **options)
    return answer


def why_not_refused(site: Site, before: tuple[int, int], answer: Response, status: int, codes: frozenset[str]) -> str:
    """What is wrong with this refusal, or nothing."""
    if not 400 <= answer.status_code < 500:
        return f"answered {answer.status_code}: {answer.text[:200]}"
    if answer.headers["content-type"] != "application/problem+json":
        return "no problem document"
    shown = answer.json()
    if not _CODE.fullmatch(shown["code"]) or shown["status"] != answer.status_code:
        return f"a strange problem: {answer.text}"
    if not shown["request_id"] or shown["request_id"] != answer.headers["x-request-id"]:
        return "no request id"
    if MARKER in answer.text.lower():
        return f"an echo: {answer.text}"
    if site.counts() != before:
        return "something was recorded"
    if (status and answer.status_code != status) or (codes and shown["code"] not in codes):
        return f"{answer.status_code} {shown['code']} instead of {status} {set(codes)}"
    return ""


class Refusals:
    """Collects what was not refused as it should be, so that one run shows all of it."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._before = site.counts()
        self._wrong: list[str] = []

    def expect(self, about: str, answer: Response, status: int = 0, *codes: str) -> None:
        why = why_not_refused(self._site, self._before, answer, status, frozenset(codes))
        if why:
            self._wrong.append(f"{about}: {why}")

    def check(self) -> None:
        assert not self._wrong, "\n".join(self._wrong)


@pytest.mark.parametrize("operation", SECURED, ids=names)
def test_nobody_comes_in_without_a_good_token(site: Site, operation: Operation) -> None:
    refusals = Refusals(site)
    tokens = [
        "",
        "Bearer",
        f"Bearer {MARKER}",
        f"Basic {MARKER}",
        "Bearer a.b.c",
        "Bearer \xff",
        "Bearer " + "a" * 50_000,
    ]
    for token in tokens:
        headers = {"Authorization": token.encode("latin-1")} if token else {}
        options = good_body(site, operation) | {"params": query_of(site, operation)}
        answer = send(site, operation, path_of(site, operation), headers, **options)  # type: ignore[arg-type]
        refusals.expect(f"with {token[:20]!r}", answer, 401, "unauthenticated")
    refusals.check()


def test_guards_are_recognised() -> None:
    assert {"approve_torrent", "list_users", "grant_points"} <= {operation.name for operation in GUARDED}


@pytest.mark.parametrize("operation", GUARDED, ids=names)
def test_a_member_without_the_permission_is_refused(site: Site, operation: Operation) -> None:
    refusals = Refusals(site)
    options = good_body(site, operation) | {"params": query_of(site, operation)}
    answer = send(site, operation, path_of(site, operation), site.outsider.headers, **options)
    refusals.expect("without permission", answer, 403, "not_permitted")
    refusals.check()


@pytest.mark.parametrize("operation", WITH_JSON, ids=names)
def test_a_bad_json_body_is_refused(site: Site, operation: Operation) -> None:
    refusals, path = Refusals(site), path_of(site, operation)
    schema, good = site.document.body(operation), good_body(site, operation)["json"]
    for about, body, status, codes in mutants(site.document, schema, good):
        answer = send(site, operation, path, {**site.sysop.headers, **JSON}, content=body)
        refusals.expect(about, answer, status, *codes)
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "application/json; charset=utf-16",
        "application/json; charset*" + "9" * 5000 + "=x",
    ):
        answer = send(site, operation, path, {**site.sysop.headers, "Content-Type": kind}, content=b'{"a": 1}')
        refusals.expect(f"as {kind[:60]}", answer, 415, "unsupported_media_type")
    refusals.check()


@pytest.mark.parametrize("operation", WITH_FORM, ids=names)
def test_a_bad_form_is_refused(site: Site, operation: Operation) -> None:
    refusals, path, good = Refusals(site), path_of(site, operation), good_body(site, operation)
    schema = site.document.body(operation)
    texts = [name for name in schema["properties"] if name not in good["files"]]
    for name in schema["required"]:
        data = {key: value for key, value in good["data"].items() if key != name}
        files = {key: value for key, value in good["files"].items() if key != name}
        files |= {} if files else {"": ("x", b"x")}
        refusals.expect(f"without {name}", send(site, operation, path, data=data, files=files), 422)
    refusals.expect(
        "unknown field",
        send(site, operation, path, files=good["files"], data={**good["data"], "is_staff": MARKER}),
        422,
        "unknown_field",
    )
    for name in texts:
        for text in (f"{MARKER}\0", f"{MARKER}\x1b", MARKER * 11_000, MARKER.encode() + b"\xff\xfe\x80"):
            data = {**good["data"], name: text}
            refusals.expect(f"{name}: {text[-4:]!r}", send(site, operation, path, files=good["files"], data=data), 422)
        if schema["properties"][name].get("type") != "array":
            data = {**good["data"], name: [good["data"][name], MARKER]}
            answer = send(site, operation, path, files=good["files"], data=data)
            refusals.expect(f"{name} twice", answer, 422, "duplicate_key")
    refusals.expect("JSON", send(site, operation, path, json={}), 0)
    for kind in BAD_FORM_TYPES:
        answer = send(site, operation, path, {**site.sysop.headers, "Content-Type": kind}, content=b"--x\r\n")
        refusals.expect(f"as {kind[:60]}", answer)
    refusals.check()


BAD_FORM_TYPES = (
    "multipart/form-data",
    "multipart/form-data; boundary=",
    "multipart/form-data; boundary=x",
    "multipart/form-data; boundary=x; charset=undefined",
    "multipart/form-data; boundary*=undefined''x",
    "multipart/form-data; boundary*" + "9" * 5000 + "=x",
    "multipart/form-data; boundary=" + "x" * 10_000,
    "multipart/mixed; boundary=x",
    "text/plain",
    "",
)


@pytest.mark.parametrize("operation", WITH_PATH, ids=names)
def test_a_bad_path_is_refused(site: Site, operation: Operation) -> None:
    refusals = Refusals(site)
    options = good_body(site, operation) | {"params": query_of(site, operation)}
    for parameter in operation.parameters("path"):
        name, is_id = parameter["name"], parameter["schema"].get("format") == "uuid"
        for unknown in [str(uuid4()), str(UUID(int=0)), "0199a4f0-5b5c-1c3e-9d1e-7a2f6a1c9b00"]:
            answer = send(site, operation, path_of(site, operation, **{name: unknown}), **options)
            refusals.expect(f"unknown {unknown}", answer, 404, "not_found")
        misspelt = [*misspelt_uuids(), MARKER, "0", "-1", "%20", "%C3%A9", "%FF", "1" * 60_000] if is_id else ["%C3%A9"]
        for wrong in misspelt:
            answer = send(site, operation, path_of(site, operation, **{name: wrong}), **options)
            refusals.expect(f"misspelt {wrong[:60]}", answer, *((422, "invalid") if is_id else (404, "not_found")))
        for nowhere in ("%00", "%0A", "%1B"):
            answer = send(site, operation, path_of(site, operation, **{name: nowhere}), **options)
            refusals.expect(f"nowhere {nowhere}", answer, 404, "not_found")
    refusals.check()


@pytest.mark.parametrize("operation", API, ids=names)
def test_a_bad_query_string_is_refused(site: Site, operation: Operation) -> None:
    refusals, path, body = Refusals(site), path_of(site, operation), good_body(site, operation)

    def ask(query: str, status: int, *codes: str) -> None:
        refusals.expect(query[:80], send(site, operation, f"{path}?{query}", **body), status, *codes)

    ask(f"{MARKER}=%00", 422, "control_characters")
    ask(f"{MARKER}=%ff", 422, "malformed_parameter")
    ask(f"{MARKER}=%ED%A0%80", 422, "malformed_parameter")
    ask("x=1&x=1", 422, "duplicate_parameter")
    ask("&".join(f"x{n}=1" for n in range(200)), 422, "malformed_parameter")
    for parameter in operation.parameters("query"):
        name, schema = parameter["name"], site.document.resolved(parameter["schema"])
        required = "&".join(f"{key}={quote(value)}" for key, value in query_of(site, operation).items() if key != name)
        for wrong in bad_values(name, schema):
            ask(f"{required}&{name}={wrong}", 422, "invalid", "bad_cursor", "bad_moment")
        ask(f"{name}=1&{name}=2", 422, "duplicate_parameter")
        ask(f"{name}=%1B", 422, "control_characters")
    refusals.check()


def bad_values(name: str, schema: dict[str, Any]) -> list[str]:
    """What this query parameter cannot be."""
    wrong: list[str] = []
    if schema.get("type") == "integer":
        wrong += [
            "",
            "-1",
            "abc",
            MARKER,
            "1_0",
            "%205",
            "%2B5",
            "1.0",
            "1e1",
            "0x1",
            "007",
            "9" * 30,
            "9" * 5000,
            "%D9%A3",
        ]
        wrong += [str(schema["minimum"] - 1), str(schema["maximum"] + 1)]
    if "enum" in schema or "const" in schema or schema.get("type") == "boolean" or schema.get("format") == "uuid":
        wrong += ["", MARKER, "null", "%E2%80%AE", "2"]
    if schema.get("format") == "uuid":
        wrong += [quote(one) for one in misspelt_uuids()]
    if "maxLength" in schema:
        wrong.append("a" * (schema["maxLength"] + 1))
    if name == "cursor":
        wrong += ["", MARKER, "%C3%A9", "A" * 40, "====", "AAAAAAAAAAAAAAAAAAAAAFsidG9ycmVudHMiXQ"]
    if name in ("at", "after", "before"):
        wrong += [
            "",
            "-1",
            MARKER,
            "1e9",
            "2024-02-30T00:00:00Z",
            "9999-12-31T23:59:59-01:00",
            "9" * 19,
            "300000-01-01T00:00:00Z",
        ]
    return wrong


@pytest.mark.parametrize("operation", API, ids=names)
def test_a_bad_header_is_refused(site: Site, operation: Operation) -> None:
    refusals, path = Refusals(site), path_of(site, operation)
    options = good_body(site, operation) | {"params": query_of(site, operation)}
    wrong: dict[str, list[Any]] = {
        "idempotency-key": ["", MARKER, "7", *misspelt_uuids()],
        "if-match": ["", MARKER, "-1", "*", "0", "1.0", "9" * 30, 'W/"1"', '"1', "\u0663".encode()],
        "x-min-position": ["", MARKER, "-1", "1_0", "9" * 30, "9" * 5000, "1.0", b"\xff"],
    }
    for parameter in operation.parameters("header"):
        for value in wrong.get(parameter["name"], []):
            headers: Any = {**site.sysop.headers, parameter["name"]: value}
            refusals.expect(
                f"{parameter['name']}: {value[:40]!r}", send(site, operation, path, headers, **options), 422
            )
    refusals.check()


@pytest.mark.parametrize("path", sorted({operation.path for operation in OPERATIONS}))
def test_other_methods_are_refused(site: Site, path: str) -> None:
    refusals = Refusals(site)
    here = [operation for operation in OPERATIONS if operation.path == path]
    known = {operation.method.upper() for operation in here}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", MARKER.upper()} - known:
        answer = site.client.request(method, path_of(site, here[0]), headers=site.sysop.headers)
        refusals.expect(method, answer, 405, "method_not_allowed")
    refusals.check()
