"""Documents made from the schema: every field of an answer, as deep as a document may go."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from graphql import GraphQLField, GraphQLObjectType, get_named_type
from graphql.type import is_required_argument

from queries import SCHEMA
from runtime.graphql.limits import MAX_DEPTH

ROOTS: Mapping[str, GraphQLField] = SCHEMA.graphql.query_type.fields if SCHEMA.graphql.query_type else {}


def whole(root: str, arguments: Mapping[str, object] | None = None, depth: int = MAX_DEPTH) -> str:
    """The root field with everything that can be selected from its answer; pages are of the default length or as
    `arguments` say."""
    return f"{{ {call(root, arguments or {})} {everything(get_named_type(ROOTS[root].type), depth - 1)} }}"


def call(root: str, arguments: Mapping[str, object]) -> str:
    """The root field with its arguments as literals."""
    said = [f"{name}: {_literal(ROOTS[root], name, value)}" for name, value in arguments.items()]
    return root + (f"({', '.join(said)})" if said else "")


def everything(kind: Any, depth: int) -> str:
    """A selection of every field, without those that would need arguments or more levels."""
    assert isinstance(kind, GraphQLObjectType)
    return "{ __typename " + " ".join(_fields(kind, depth)) + " }"


def required(root: str) -> list[str]:
    """The arguments that have to be there."""
    return [name for name, one in ROOTS[root].args.items() if is_required_argument(one)]


def _fields(kind: GraphQLObjectType, depth: int) -> Iterator[str]:
    for name, field in kind.fields.items():
        inner = get_named_type(field.type)
        if any(is_required_argument(one) for one in field.args.values()):
            continue
        if not isinstance(inner, GraphQLObjectType):
            yield name
        elif depth > 2:
            yield f"{name}{'(first: 2)' if 'first' in field.args else ''} {everything(inner, depth - 1)}"


def _literal(field: GraphQLField, name: str, value: object) -> str:
    kind = get_named_type(field.args[name].type).name
    return str(value) if kind == "Int64" else json.dumps(str(value))
