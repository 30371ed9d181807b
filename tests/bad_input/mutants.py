"""Bad variants of a good JSON body: where, what instead, and the codes with which it is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.bad_input.schemas import OTHERS, Document, Schema

#: In every value that we send, and in no answer.
MARKER = "zq9marker"
#: What is longer than any text that a command takes.
TOO_LONG = 100_000


class Mutant(NamedTuple):
    """A body with one thing wrong."""

    about: str
    body: bytes
    status: int  # 0 for any refusal
    codes: frozenset[str] = frozenset()


def mutants(document: Document, schema: Schema, good: dict[str, Any]) -> Iterator[Mutant]:
    """Everything that a body of this schema is refused for; `good` fits the schema."""
    yield from _documents(good)
    whole = {"required": [], **schema}
    for name in whole["required"]:
        without = {key: value for key, value in good.items() if key != name}
        yield _mutant(f"without {name}", json.dumps(without), 422, "invalid")
    for path, part in document.leaves(schema, good):
        yield from _values(document, part, good, path)


def _mutant(about: str, text: str, status: int, *codes: str) -> Mutant:
    return Mutant(about, text.encode(), status, frozenset(codes))


def _documents(good: dict[str, Any]) -> Iterator[Mutant]:
    """The body as a whole."""
    text = json.dumps(good)
    for broken in ("{", text[:-1], text + text, text[:-1] + ",}", text + "//", "\ufeff" + text, "'x'", "[" * 100_000):
        yield _mutant(f"broken: {broken[:20]}", broken, 400, "malformed_json")
    yield Mutant("no UTF-8", b'{"\xff":1}', 400, frozenset({"malformed_json"}))
    for other in ("[]", '"x"', "0", "true"):
        yield _mutant(f"other: {other}", other, 422, "invalid")
    yield _mutant("unknown field", json.dumps(good | {"is_staff": MARKER}), 422, "unknown_field")
    yield _mutant("the client's position", json.dumps(good | {"position": 1, "actor_id": MARKER}), 422, "unknown_field")
    yield _mutant("an odd name", json.dumps(good | {f"<{MARKER}>": 1}), 422, "unknown_field")
    yield _mutant("nested", f'{{"deep": {"[" * 101}{"]" * 101}}}', 400, "malformed_json")
    for name in good:
        twice = text[:-1] + f', "{name}": {json.dumps(good[name])}}}'
        yield _mutant(f"{name} twice", twice, 422, "duplicate_key")


def _values(document: Document, part: Schema, good: dict[str, Any], path: tuple[str | int, ...]) -> Iterator[Mutant]:
    """One place of the body."""

    def put(raw: str, *codes: str, status: int = 422) -> Mutant:
        return _mutant(f"{path}: {raw[:40]}", _with(good, path, raw), status, *codes)

    for text in ("\\u0000", "\\ud800", "\\udc00\\ud800", "\\u001b[31m", "\\u0085", "\\r\\n"):
        yield put(f'"{MARKER}{text}"', "control_characters")
    for number in ("NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 30, "-9223372036854775808", "9" * 5000):
        yield put(number, "number_out_of_range")
    schema = document.resolved(part)
    for other in OTHERS.get(schema.get("type", ""), ()):
        yield put(json.dumps(other), "invalid")
    if not document.takes_null(part):
        yield put("null", "invalid")
    if schema.get("type") == "string":
        yield put(json.dumps(MARKER * (TOO_LONG // len(MARKER))), status=0)  # by the field or by what it is about
    if "enum" in schema or "format" in schema:
        for wrong in ("", MARKER, " ", "0", MARKER.upper()):
            yield put(json.dumps(wrong), "invalid")
    if schema.get("format") == "uuid":
        for wrong in misspelt_uuids():
            yield put(json.dumps(wrong), "invalid")
    if schema.get("format") == "date-time":
        for wrong in ("2024-02-30T00:00:00Z", "2031-01-01", "2031-01-01T24:00:00Z", "2031-01-01T23:59:60Z",
                      "2031-01-01T00:00:00", "300000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "1e9"):  # fmt: skip
            yield put(json.dumps(wrong), "invalid")
    if schema.get("type") in ("integer", "number"):
        for wrong in ("-1", "-0.5", "1e-7", str(2**63 - 1)):
            yield put(wrong, "invalid")


def misspelt_uuids() -> tuple[str, ...]:
    """Other spellings of an id, and what is nearly one."""
    known = "0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b00"
    return (known.upper(), "{" + known + "}", "urn:uuid:" + known, known.replace("-", ""), known + "0", known[:-1])


def _with(good: dict[str, Any], path: tuple[str | int, ...], raw: str) -> str:
    """The body as JSON, with these characters where `path` leads."""
    body: Any = copy.deepcopy(good)
    place: Any = body
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = "@here@"
    return json.dumps(body).replace('"@here@"', raw)
