"""From what a client sent to what may be executed: within the limits, fitting the schema, each value validated."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache, reduce
from typing import Any, NamedTuple

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    NoSchemaIntrospectionCustomRule,
    SelectionNode,
    SelectionSetNode,
    VariableValues,
    get_argument_values,
    get_named_type,
    get_variable_values,
    specified_rules,
    validate,
)

from runtime.graphql.errors import ERRORS_MAX, InvalidDocument, InvalidVariables, TooCostly, TooManyJoins, shown
from runtime.graphql.limits import INTROSPECTION, Read, read
from runtime.graphql.schema import ASKED, READS, Asked, Schema
from runtime.http.pages import LIMIT_DEFAULT

MAX_COST = 1_000
#: Each join of a list is a statement: with these, and those of its question, no list takes more than twelve.
MAX_JOINS = 8
#: As how many the members of a list count that has no `first`.
COUNTED_AS = 5
#: Documents that are kept as they were validated, and up to which length: clients ask the same ones again and again.
KEPT = 256
KEPT_CHARACTERS = 8192


class Prepared(NamedTuple):
    """`arguments` are the values of each field that has any, by the id of its node; `cost` is how many objects the
    answer can have; `projections` are those that it is read from."""

    read: Read
    variables: dict[str, Any]
    arguments: dict[int, dict[str, Any]]
    cost: int
    projections: frozenset[str]


def prepare(
    schema: Schema, text: str, variables: dict[str, Any], operation: str | None = None, *, introspection: bool
) -> Prepared:
    """Raises one of the refusals of `runtime.graphql.errors`."""
    validated = _valid if len(text) <= KEPT_CHARACTERS else _valid.__wrapped__
    found = validated(_Kept(schema), text, introspection)
    named = found.operation.name
    if operation is not None and (named is None or named.value != operation):
        raise InvalidDocument("the document has no operation of that name")
    walk = _Walk(schema, found, _coerced(schema, found, variables))
    cost = walk.weigh(found.operation.selection_set, schema.graphql.query_type).objects
    if cost > MAX_COST:
        raise TooCostly(f"the answer could have {min(cost, 10**9)} objects: ask for at most {MAX_COST}")
    return Prepared(found, variables, walk.arguments, cost, frozenset(walk.projections))


class _Kept:
    """The schema as a key of the cache: one is itself only."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Kept) and other.schema is self.schema

    def __hash__(self) -> int:
        return id(self.schema)


@lru_cache(maxsize=KEPT)
def _valid(kept: _Kept, text: str, introspection: bool) -> Read:
    found = read(text)
    rules = specified_rules if introspection else [*specified_rules, NoSchemaIntrospectionCustomRule]
    errors = validate(kept.schema.graphql, found.document, rules, max_errors=ERRORS_MAX, hide_suggestions=True)
    if errors:
        raise InvalidDocument("the document does not fit the schema", shown("query", errors))
    return found


def _coerced(schema: Schema, found: Read, variables: dict[str, Any]) -> VariableValues:
    declared = found.operation.variable_definitions or ()
    if variables.keys() - {one.variable.name.value for one in declared}:
        raise InvalidVariables("a variable is not declared by the document")
    coerced = get_variable_values(schema.graphql, declared, variables, ERRORS_MAX, hide_suggestions=True)
    if isinstance(coerced, list):
        raise InvalidVariables("a variable does not have its type", shown("variables", coerced))
    return coerced


class Weight(NamedTuple):
    """How many objects a selection can have, and how many fields of it are joins."""

    objects: int = 0
    joins: int = 0

    def beside(self, other: Weight) -> Weight:
        return Weight(self.objects + other.objects, self.joins + other.joins)


class _Walk:
    """A walk over the selected fields and their types; fragments are walked once for each length of list."""

    def __init__(self, schema: Schema, found: Read, variables: VariableValues) -> None:
        self._schema, self._fragments, self._variables = schema, found.fragments, variables
        self._known: dict[tuple[str, int | None], Weight] = {}
        self._joins = Counter[str]()
        self.arguments: dict[int, dict[str, Any]] = {}
        self.projections: set[str] = set()

    def weigh(self, selections: SelectionSetNode | None, on: Any, first: int | None = None) -> Weight:
        """What the fields weigh together; `first` is the length of the page that they are selected from."""
        if selections is None or not isinstance(on, GraphQLObjectType):
            return Weight()
        return reduce(Weight.beside, (self._one(one, on, first) for one in selections.selections), Weight())

    def _one(self, selection: SelectionNode, on: GraphQLObjectType, first: int | None) -> Weight:
        if isinstance(selection, FieldNode):
            weight = self._field(selection, on.fields.get(selection.name.value), first)
            if on is self._schema.graphql.query_type:
                self._check_joins((selection.alias or selection.name).value, weight.joins)
            return weight
        if isinstance(selection, FragmentSpreadNode):
            key = selection.name.value, first
            if key not in self._known:
                self._known[key] = self.weigh(self._fragments[key[0]].selection_set, on, first)
            return self._known[key]
        return self.weigh(getattr(selection, "selection_set", None), on, first)

    def _check_joins(self, root: str, joins: int) -> None:
        """What is selected from one root field in several places is one answer."""
        self._joins[root] += joins
        if self._joins[root] > MAX_JOINS:
            raise TooManyJoins(f"one root field has at most {MAX_JOINS} fields that lead to other answers")

    def _field(self, node: FieldNode, field: GraphQLField | None, first: int | None) -> Weight:
        if field is None or node.name.value in INTROSPECTION:
            return Weight()
        self.projections |= field.extensions.get(READS, frozenset())
        asked: Asked | None = field.extensions.get(ASKED)
        own_first = self._validated(node, field, asked) if asked is not None else None
        inner = get_named_type(field.type)
        if not isinstance(inner, GraphQLObjectType):
            return Weight()
        below = self.weigh(node.selection_set, inner, own_first)
        joins = below.joins + (READS in field.extensions and asked is None)
        return Weight(_length(node, field, first) * (1 + below.objects), joins)

    def _validated(self, node: FieldNode, field: GraphQLField, asked: Asked) -> int | None:
        """Keeps the field's arguments; returns how long its page is, if it is one."""
        if id(node) not in self.arguments:
            try:
                given = get_argument_values(field, node, self._variables, hide_suggestions=True)
            except GraphQLError as error:
                raise InvalidVariables("a variable does not have its type", shown("variables", [error])) from None
            self.arguments[id(node)] = asked.question.validated(given)
        return self.arguments[id(node)].get("first", LIMIT_DEFAULT) if asked.question.is_paged else None


def _length(node: FieldNode, field: GraphQLField, first: int | None) -> int:
    made = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
    if not isinstance(made, GraphQLList):
        return 1
    return first if first is not None and node.name.value == "items" else COUNTED_AS
