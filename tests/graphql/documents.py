"""Documents made from the schema: every field of an answer, as deep as a document may go."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Set
from typing import Any

from graphql import GraphQLField, GraphQLObjectType, get_named_type
from graphql.type import is_required_argument

from queries import SCHEMA
from runtime.graphql.limits import MAX_DEPTH
from runtime.graphql.prepare import MAX_JOINS
from runtime.graphql.schema import READS

ROOTS: Mapping[str, GraphQLField] = SCHEMA.graphql.query_type.fields if SCHEMA.graphql.query_type else {}
#: The fields that lead somewhere.
Path = tuple[str, ...]


def whole(root: str, arguments: Mapping[str, object] | None = None, depth: int = MAX_DEPTH) -> Iterator[str]:
    """Documents that together select everything from a root field, each with as many joins as are allowed; pages are
    as long as `arguments` say."""
    kind = get_named_type(ROOTS[root].type)
    for joins in _groups(list(_joins(kind, depth - 1, ()))):
        yield f"{{ {call(root, arguments or {})} {_selection(kind, depth - 1, (), joins)} }}"


def alone(root: str, arguments: Mapping[str, object] | None = None) -> str:
    """A root field with everything that is its own answer."""
    return f"{{ {call(root, arguments or {})} {_selection(get_named_type(ROOTS[root].type), MAX_DEPTH, (), set())} }}"


def call(root: str, arguments: Mapping[str, object]) -> str:
    """The root field with its arguments as literals."""
    said = [f"{name}: {_literal(ROOTS[root], name, value)}" for name, value in arguments.items()]
    return root + (f"({', '.join(said)})" if said else "")


def required(root: str) -> list[str]:
    """The arguments that have to be there."""
    return [name for name, one in ROOTS[root].args.items() if is_required_argument(one)]


def _selection(kind: Any, depth: int, here: Path, joins: Set[Path]) -> str:
    names = []
    for name, field, inner in _fields(kind):
        path = (*here, name)
        if inner is None:
            names.append(name)
        elif depth > 1 and (READS not in field.extensions or path in joins):
            first = "(first: 2)" if "first" in field.args else ""
            names.append(f"{name}{first} {_selection(inner, depth - 1, path, joins)}")
    return "{ " + (" ".join(names) or "__typename") + " }"


def _joins(kind: Any, depth: int, here: Path) -> Iterator[Path]:
    """Where joins, and questions that an answer asks, are within that depth."""
    for name, field, inner in _fields(kind):
        if inner is not None and depth > 1:
            if READS in field.extensions:
                yield (*here, name)
            yield from _joins(inner, depth - 1, (*here, name))


def _groups(joins: list[Path]) -> Iterator[set[Path]]:
    """Some at once, each with those that lead to it."""
    group: set[Path] = set()
    for path in joins:
        chain = {one for one in joins if path[: len(one)] == one}
        if len(group | chain) > MAX_JOINS:
            yield group
            group = set()
        group |= chain
    yield group


def _fields(kind: Any) -> Iterator[tuple[str, GraphQLField, GraphQLObjectType | None]]:
    """Those that need no argument, with the type of what they lead to."""
    assert isinstance(kind, GraphQLObjectType)
    for name, field in kind.fields.items():
        inner = get_named_type(field.type)
        if not any(is_required_argument(one) for one in field.args.values()):
            yield name, field, inner if isinstance(inner, GraphQLObjectType) else None


def _literal(field: GraphQLField, name: str, value: object) -> str:
    kind = get_named_type(field.args[name].type).name
    return str(value) if kind == "Int64" else json.dumps(str(value))
