"""How fields get their values: attributes of answers, questions, and joins that are loaded for whole lists at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from graphql import GraphQLResolveInfo
from pydantic import BaseModel

from runtime.graphql.execution import Execution
from runtime.graphql.questions import Asking, Question
from runtime.graphql.shapes import ModelField, dumper

Resolver = Callable[..., Any]
Info = GraphQLResolveInfo[Any]


def attribute(field: ModelField) -> Resolver:
    """A field that an answer has itself."""
    name = field.attribute
    if field.leads_on:

        def lead_on(answer: Any, info: Info) -> Any:
            value = getattr(answer, name)
            execution: Execution = info.context
            first = next(_answers(value), None)
            if first is not None and not execution.lists.has(first):
                together = (getattr(one, name) for one in execution.lists.of(answer))
                execution.lists.add(one for value in together for one in _answers(value))
            return value

        return lead_on
    dump = dumper(field.annotation)
    return lambda answer, _: dump(getattr(answer, name))


def asked(name: str, question: Question, given: Mapping[str, Callable[[Any], object]]) -> Resolver:
    """A field whose value is the answer to a question."""

    def ask(source: Any, info: Info, **_: Any) -> Any:
        execution: Execution = info.context
        values = execution.arguments[id(info.field_nodes[0])]
        return execution.ask(name, question, {**values, **{key: value(source) for key, value in given.items()}})

    return ask


def joined(key: Callable[[Any], Any], load: Callable[[Asking, Collection[Any]], Mapping[Any, Any]]) -> Resolver:
    """A field that leads from an answer to others."""

    def lead(answer: Any, info: Info) -> Any:
        wanted = key(answer)
        if wanted is None:
            return None
        execution: Execution = info.context
        return execution.loaded(answer, key, load).get(wanted)

    return lead


def _answers(value: Any) -> Iterator[BaseModel]:
    if isinstance(value, BaseModel):
        yield value
    elif isinstance(value, list):
        yield from (one for one in value if isinstance(one, BaseModel))
