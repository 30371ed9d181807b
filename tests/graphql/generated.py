"""Documents of whatever can be selected, with whatever values."""

from __future__ import annotations

import json
from typing import Any

from graphql import GraphQLEnumType, GraphQLField, GraphQLList, GraphQLObjectType, get_named_type, get_nullable_type
from graphql.type import is_required_argument
from hypothesis import strategies as st

from tests.graphql.documents import ROOTS

#: Stands for an id of the site, which is there only later.
THING = "<thing>"
VALUES: dict[str, st.SearchStrategy[str]] = {
    "ID": st.sampled_from([f'"{THING}"'] * 4 + ['"x"', '"0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b77"']),
    "Int64": st.sampled_from(["1", "2", "3", "100", "0", "-1", "101", "9223372036854775807"]),
    "Boolean": st.sampled_from(["true", "false"]),
    "DateTime": st.sampled_from(['"2031-01-01T00:00:00Z"', '"0001-01-01T00:00:00Z"', '"yesterday"']),
    "String": (st.sampled_from(["film", "member", "uploaded", "day", "open", "1", ""]) | st.text(max_size=20)).map(
        json.dumps
    ),
}


@st.composite
def documents(draw: st.DrawFn) -> str:
    """One to three root fields, each with some of its arguments and some of what is in its answer."""
    roots = draw(st.lists(st.sampled_from(sorted(ROOTS)), min_size=1, max_size=3))
    fields = [f"r{n}: {_field(draw, root, ROOTS[root], 6)}" for n, root in enumerate(roots)]
    return "{ " + " ".join(fields) + " }"


def _field(draw: st.DrawFn, name: str, field: GraphQLField, depth: int) -> str:
    said = [
        f"{argument}: {_value(draw, one.type)}"
        for argument, one in field.args.items()
        if is_required_argument(one) or draw(st.integers(0, 3)) == 0
    ]
    inner = get_named_type(field.type)
    selection = f" {_selection(draw, inner, depth - 1)}" if isinstance(inner, GraphQLObjectType) else ""
    return name + (f"({', '.join(said)})" if said else "") + selection


def _value(draw: st.DrawFn, kind: Any) -> str:
    plain = get_nullable_type(kind)
    if isinstance(plain, GraphQLList):
        return f"[{_value(draw, plain.of_type)}]"
    if isinstance(plain, GraphQLEnumType):
        return str(draw(st.sampled_from(sorted(plain.values))))
    return draw(VALUES[plain.name])


def _selection(draw: st.DrawFn, kind: GraphQLObjectType, depth: int) -> str:
    leads_on = {name for name, one in kind.fields.items() if isinstance(get_named_type(one.type), GraphQLObjectType)}
    names = sorted(kind.fields.keys() - (set() if depth > 1 else leads_on))
    chosen = draw(st.lists(st.sampled_from(names), max_size=4, unique=True)) if names else []
    fields = " ".join(_field(draw, name, kind.fields[name], depth) for name in chosen)
    return (
        f"{{ ... on {kind.name} {{ __typename {fields} }} }}" if draw(st.booleans()) else f"{{ __typename {fields} }}"
    )
