"""Values for the part of JSON Schema that our OpenAPI document uses: one good one, and many of any kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from hypothesis import strategies as st

Schema = dict[str, Any]

#: What a JSON Schema type is not.
OTHERS: dict[str, tuple[object, ...]] = {
    "string": (7, True, ["x"], {"x": "x"}),
    "integer": ("7", True, 1.5, [7], {}),
    "number": ("7", True, [7], {}),
    "boolean": ("true", 1, []),
    "array": ("x", 7, {}),
    "object": ("x", 7, []),
}


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    spec: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.spec["operationId"])

    @property
    def secured(self) -> bool:
        return "security" in self.spec

    @property
    def media_type(self) -> str | None:
        return next(iter(self.spec.get("requestBody", {}).get("content", {})), None)

    def parameters(self, place: str) -> list[dict[str, Any]]:
        return [parameter for parameter in self.spec.get("parameters", []) if parameter["in"] == place]


class Document:
    """An OpenAPI document whose references are followed."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.raw = document
        self.operations = [
            Operation(method, path, spec)
            for path, methods in document["paths"].items()
            for method, spec in methods.items()
        ]

    def resolved(self, schema: Schema) -> Schema:
        """Without reference, and without the null that an optional value may be."""
        while True:
            if "$ref" in schema:
                schema = self.at(schema["$ref"])
            elif "anyOf" in schema:
                schema = next(one for one in schema["anyOf"] if one.get("type") != "null")
            else:
                return schema

    def at(self, reference: str) -> Schema:
        """What `#/components/…` points at."""
        found: Any = self.raw
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
        assert isinstance(found, dict)
        return found

    def body(self, operation: Operation) -> Schema:
        """The schema of the operation's body, which has one."""
        assert operation.media_type is not None
        return self.resolved(operation.spec["requestBody"]["content"][operation.media_type]["schema"])

    def good(self, schema: Schema, name: str, things: Mapping[str, object]) -> Any:
        """A value that fits; `things` has the ids that are in use."""
        schema = self.resolved(schema)
        if "enum" in schema:
            return schema["enum"][0]
        if "const" in schema:
            return schema["const"]
        match schema.get("type"):
            case "object":
                return {key: self.good(part, key, things) for key, part in schema.get("properties", {}).items()}
            case "array":
                return [self.good(schema["items"], name, things)]
            case "integer" | "number":
                return max(1, schema.get("minimum", 1))
            case "boolean":
                return True
        return self._good_text(schema, name, things)

    def _good_text(self, schema: Schema, name: str, things: Mapping[str, object]) -> str:
        if schema.get("format") == "uuid":
            return str(things.get(name, uuid4()))
        if schema.get("format") == "date-time":
            return "2099-01-01T00:00:00Z"
        if name in things:
            return str(things[name])
        return "a word"[: schema.get("maxLength", 6)].ljust(schema.get("minLength", 0), "x")

    def leaves(self, schema: Schema, value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[Any, Schema]]:
        """Every place of a good value, with the schema that it has there (null included)."""
        whole = self.resolved(schema)
        if path:
            yield path, schema
        if isinstance(value, dict):
            for key, part in value.items():
                yield from self.leaves(whole["properties"][key], part, (*path, key))
        if isinstance(value, list):
            for at, part in enumerate(value):
                yield from self.leaves(whole["items"], part, (*path, at))

    def takes_null(self, schema: Schema) -> bool:
        return any(one.get("type") == "null" for one in schema.get("anyOf", []))

    def any_value(self, schema: Schema, name: str, things: Mapping[str, object]) -> st.SearchStrategy[Any]:
        """Values that fit, or nearly."""
        schema = self.resolved(schema)
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        match schema.get("type"):
            case "object":
                parts = {key: self.any_value(part, key, things) for key, part in schema.get("properties", {}).items()}
                required = {key: parts.pop(key) for key in schema.get("required", [])}
                return st.fixed_dictionaries(required, optional=parts)
            case "array":
                return st.lists(self.any_value(schema["items"], name, things), max_size=3)
            case "integer" | "number":
                least, most = schema.get("minimum", 0), schema.get("maximum", 2**63 - 1)
                return st.sampled_from([least, most, 1, 1, 2]) | st.integers(least, most)
            case "boolean":
                return st.booleans()
        return self._any_text(schema, name, things)

    def _any_text(self, schema: Schema, name: str, things: Mapping[str, object]) -> st.SearchStrategy[str]:
        if schema.get("format") == "uuid":
            fitting = [str(things.get(name, uuid4()))] * 8
            return st.sampled_from(fitting + sorted(str(one) for one in things.values())) | st.uuids().map(str)
        if schema.get("format") == "date-time":
            moments = st.sampled_from(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999Z"])
            return moments | st.datetimes().map(lambda moment: moment.isoformat() + "Z")
        return st.sampled_from(WORDS[name]) | TEXTS if name in WORDS else TEXTS


#: Values that get a request past the first rules, by the names of fields.
WORDS = {
    "category": ["movies-hd"],
    "slug": ["member", "vip"],
    "group": ["member", "elite", "vip"],
    "email": ["ada@example.net", "a+b@example.net"],
    "username": ["Ada-Lovelace", "ada"],
    "password": ["correct horse battery staple"],
    "tag": ["drama"],
    "actor": ["ada", "system"],
}

#: What people type, and what they paste: signs of query languages, expanding ligatures, scripts without blanks.
TEXTS = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)
    | st.text("ab \"'-!&|():*<>\\%_{}[]$;,./+#~@\u00e9\u4e2d\u0301\ufdfa\u200b\u202e", max_size=40)
    | st.sampled_from(["㌖" * 256, "ﷲ" * 256, "e\u0301" * 120, "a" * 256, "'", '"', "\\", "movies-hd", "ada", "or"])
)
