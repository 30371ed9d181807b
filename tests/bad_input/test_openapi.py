"""The OpenAPI document is whole: a client made from it knows every operation, refusal, header and bound."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.http.openapi import PROBLEMS
from tests.bad_input.schemas import Operation
from tests.bad_input.site import documented

DOCUMENT = documented()
OPERATIONS = DOCUMENT.operations
API = [operation for operation in OPERATIONS if operation.path.startswith("/api/")]


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a document."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(part)


def names(operation: Operation) -> str:
    return operation.name


def test_every_reference_leads_somewhere_and_everything_is_referred_to() -> None:
    references = {part["$ref"] for part in parts(DOCUMENT.raw) if "$ref" in part}
    assert all(DOCUMENT.at(reference) for reference in references)
    for section in ("schemas", "responses"):
        made = {f"#/components/{section}/{name}" for name in DOCUMENT.raw["components"][section]}
        assert made <= references


def test_operations_have_short_names_of_their_own() -> None:
    found = [operation.name for operation in OPERATIONS]
    assert len(set(found)) == len(found)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{3,40}", name) for name in found)
    assert not [name for name in found if "api_v1" in name]


def test_every_tag_is_described() -> None:
    described = {tag["name"] for tag in DOCUMENT.raw["tags"] if tag["description"]}
    assert {tag for operation in OPERATIONS for tag in operation.spec["tags"]} <= described


#: There is nothing to say, or the caller has it already.
WITHOUT_CONTENT = {"204", "304"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=names)
def test_an_operation_says_what_it_does_and_answers(operation: Operation) -> None:
    assert operation.spec["description"]
    assert len(operation.spec["tags"]) == 1
    for status, response in operation.spec["responses"].items():
        described = DOCUMENT.at(response["$ref"]) if "$ref" in response else response
        assert described["description"]
        if status not in WITHOUT_CONTENT:
            assert described["content"]
            assert all(content["schema"] for content in described["content"].values())


@pytest.mark.parametrize("operation", API, ids=names)
def test_an_operation_names_its_refusals(operation: Operation) -> None:
    responses = operation.spec["responses"]
    refusals = {status for status in responses if status >= "400"}
    assert {"400", "422", "503"} <= refusals
    assert "security" not in operation.spec or {"401", "403"} <= refusals
    assert "{" not in operation.path or "404" in refusals
    assert operation.method == "get" or "409" in refusals
    assert operation.media_type is None or {"413", "415"} <= refusals
    for status in refusals:
        content = DOCUMENT.at(responses[status]["$ref"]) if "$ref" in responses[status] else responses[status]
        assert content["content"] == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def test_refusals_are_described_once_for_all() -> None:
    responses = DOCUMENT.raw["components"]["responses"]
    assert set(responses) == {f"Problem{status}" for status in PROBLEMS}
    assert responses["Problem503"]["headers"]["Retry-After"]["schema"] == {"type": "integer"}
    problem = DOCUMENT.raw["components"]["schemas"]["Problem"]
    assert set(problem["required"]) == {"type", "title", "status", "code", "detail", "request_id"}
    assert "HTTPValidationError" not in DOCUMENT.raw["components"]["schemas"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=names)
def test_parameters_have_schemas_and_headers_are_described(operation: Operation) -> None:
    places = [(one["in"], one["name"]) for one in operation.spec.get("parameters", [])]
    assert len(set(places)) == len(places)
    assert {name for place, name in places if place == "path"} == set(re.findall(r"{(\w+)}", operation.path))
    for parameter in operation.spec.get("parameters", []):
        assert DOCUMENT.resolved(parameter["schema"])["type"]
        assert parameter["in"] != "header" or parameter["description"]


@pytest.mark.parametrize("operation", API, ids=names)
def test_commands_take_their_headers_and_queries_theirs(operation: Operation) -> None:
    headers = {one["name"] for one in operation.parameters("header")}
    asking = {"x-min-position"} | ({"if-none-match"} if "304" in operation.spec["responses"] else set())
    assert headers <= (asking if operation.method == "get" else {"idempotency-key", "if-match"})
    assert operation.method == "get" or "idempotency-key" in headers


#: What browsers ask for on their own, by addresses that nobody guesses.
WITHOUT_TOKEN = {"get_avatar"}


def test_who_needs_a_token_is_said() -> None:
    schemes = DOCUMENT.raw["components"]["securitySchemes"]
    assert all(scheme["description"] for scheme in schemes.values())
    for operation in API:
        named = {name for one in operation.spec.get("security", []) for name in one}
        assert named <= set(schemes)
        assert bool(named) or operation.spec["tags"] == ["auth"] or operation.name in WITHOUT_TOKEN, operation.name


def test_numbers_and_pages_show_their_bounds() -> None:
    strange = [part for part in parts(DOCUMENT.raw) if {"ge", "le", "gt", "lt"} & set(part)]
    assert strange == []
    for operation in OPERATIONS:
        for parameter in operation.parameters("query"):
            schema = DOCUMENT.resolved(parameter["schema"])
            assert schema["type"] != "integer" or {"minimum", "maximum"} <= set(schema), operation.name
            if parameter["name"] == "limit":
                assert (schema["minimum"], schema["maximum"], schema["default"]) == (1, 100, 25)


def test_bodies_are_json_that_takes_no_other_fields_or_a_described_form() -> None:
    for operation in OPERATIONS:
        if operation.media_type is not None:
            schema = DOCUMENT.body(operation)
            assert operation.media_type in ("application/json", "multipart/form-data")
            assert (schema["type"], schema["additionalProperties"]) == ("object", False), operation.name
    form = DOCUMENT.body(next(operation for operation in OPERATIONS if operation.name == "upload_torrent"))
    assert form["properties"]["file"]["contentMediaType"] == "application/octet-stream"
    assert set(form["properties"]) == {"file", "name", "description", "category", "tags", "anonymous"}
