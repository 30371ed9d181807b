"""The schema of some routers: each GET route that answers with a model is a root field, and answers are joined."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from graphql import GraphQLArgument, GraphQLField, GraphQLNonNull, GraphQLObjectType, GraphQLSchema
from pydantic import BaseModel

from runtime.freshness import Fresh
from runtime.graphql import resolvers
from runtime.graphql.questions import Asking, Question, question
from runtime.graphql.shapes import Shapes

_VERB = re.compile(r"^(list|get|show)_")
#: Where a field keeps the question that it asks, and the projections that it is read from.
ASKED, READS = "asked", "reads"


@dataclass(frozen=True)
class Asked:
    """A field that asks a question: a root field, or one of an answer that gives the question its `given` arguments."""

    name: str
    route: str
    question: Question
    answer: Any
    projections: frozenset[str]
    about: str
    given: Mapping[str, Callable[[Any], object]]

    @property
    def arguments(self) -> dict[str, Any]:
        """What the client may say."""
        return {name: one for name, one in self.question.arguments.items() if name not in self.given}


@dataclass(frozen=True)
class Lookup:
    """Answers of a kind by their keys: `load` finds those that are there and that the caller may see, and reads the
    same projections as the handler `like`."""

    answer: Any
    load: Callable[[Asking, Collection[Any]], Mapping[Any, Any]]
    like: Callable[..., Any]


@dataclass(frozen=True)
class Join:
    """A field of the answers `on` that leads to others, of all answers of one list at once. `key` is what an answer
    knows the others by, None for nothing; what the lookup does not find is null."""

    on: type[BaseModel]
    name: str
    key: Callable[[Any], Any]
    lookup: Lookup
    about: str


@dataclass(frozen=True)
class Nested:
    """A route that is asked from an answer, too: one that never comes in lists."""

    on: type[BaseModel]
    name: str
    handler: Callable[..., Any]
    given: Mapping[str, Callable[[Any], object]]


@dataclass(frozen=True)
class Schema:
    """What can be asked, and the root fields by name."""

    graphql: GraphQLSchema
    roots: dict[str, Asked]


def build(routers: Sequence[APIRouter], joins: Sequence[Join] = (), nested: Sequence[Nested] = ()) -> Schema:
    """Raises `TypeError` when something of it cannot be said in GraphQL."""
    routes = {route.endpoint: route for router in routers for route in _questions(router)}
    roots = {one.name: one for one in (_asked(_root_name(route.name), route) for route in routes.values())}
    if len(roots) != len(routes):
        raise TypeError("two routes would be the same root field")
    inner = [(one.on, _asked(one.name, routes[one.handler], one.given)) for one in nested]

    def beside(model: type[BaseModel]) -> dict[str, GraphQLField]:
        joined = {
            one.name: _joined_field(shapes, one, routes[one.lookup.like]) for one in joins if issubclass(model, one.on)
        }
        return joined | {one.name: _asked_field(shapes, one) for on, one in inner if issubclass(model, on)}

    shapes = Shapes(resolvers.attribute, beside)
    query = GraphQLObjectType("Query", {name: _asked_field(shapes, one) for name, one in roots.items()})
    return Schema(GraphQLSchema(query), roots)


def _questions(router: APIRouter) -> Iterator[APIRoute]:
    for route in router.routes:
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()) and _is_answer(route.response_model):
            yield route


def _is_answer(model: Any) -> bool:
    return isinstance(model, type) and issubclass(model, BaseModel)


def _root_name(route_name: str) -> str:
    """As the operation in REST, without its verb."""
    return _VERB.sub("", route_name)


def _asked(name: str, route: APIRoute, given: Mapping[str, Callable[[Any], object]] | None = None) -> Asked:
    about = cleandoc(route.endpoint.__doc__ or "")
    asks = question(route.endpoint)
    return Asked(name, route.name, asks, route.response_model, _projections(route), about, given or {})


def _projections(route: APIRoute) -> frozenset[str]:
    fresh = [one.dependency for one in route.dependencies if isinstance(one.dependency, Fresh)]
    return frozenset(name for one in fresh for name in one.projections)


def _asked_field(shapes: Shapes, asked: Asked) -> GraphQLField:
    permission = asked.question.permission
    about = asked.about + (f" Needs `{permission}`." if permission else "")
    arguments = {
        name: GraphQLArgument(shapes.input(one.annotation, required=one.required), description=one.description)
        for name, one in asked.arguments.items()
    }
    made: Any = shapes.output(asked.answer)
    return GraphQLField(
        made.of_type if isinstance(made, GraphQLNonNull) else made,
        args=arguments,
        resolve=resolvers.asked(asked.name, asked.question, asked.given),
        description=about,
        extensions={ASKED: asked, READS: asked.projections},
    )


def _joined_field(shapes: Shapes, join: Join, route: APIRoute) -> GraphQLField:
    made: Any = shapes.output(join.lookup.answer)
    return GraphQLField(
        made.of_type if isinstance(made, GraphQLNonNull) else made,
        resolve=resolvers.joined(join.key, join.lookup.load),
        description=join.about,
        extensions={READS: _projections(route)},
    )
