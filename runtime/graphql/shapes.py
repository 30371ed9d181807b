"""Answer models as object types, types of parameters as input types: made of them, so that nothing is said twice.

A value is serialized by its model, as REST answers have it; the scalars of the schema only name what JSON it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from enum import StrEnum
from inspect import cleandoc
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin
from uuid import UUID

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLField,
    GraphQLFloat,
    GraphQLID,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLString,
    Undefined,
)
from graphql.language import IntValueNode, StringValueNode, ValueNode
from pydantic import BaseModel, PlainSerializer, TypeAdapter
from pydantic.fields import FieldInfo

from domain.base import MAX_COUNT

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_RESERVED = {"true", "false", "null"}


def _whole(value: Any) -> Any:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_COUNT else Undefined


def _whole_literal(node: ValueNode, _: object = None) -> Any:
    return _whole(int(node.value)) if isinstance(node, IntValueNode) and len(node.value) < 21 else Undefined


def _text(value: Any) -> Any:
    return value if isinstance(value, str) else Undefined


def _text_literal(node: ValueNode, _: object = None) -> Any:
    return node.value if isinstance(node, StringValueNode) else Undefined


def _as_it_is(value: Any) -> Any:
    return value


INT64 = GraphQLScalarType(
    "Int64",
    description="A whole number of up to 63 bits and its sign, as JSON has it.",
    coerce_output_value=_as_it_is,
    coerce_input_value=_whole,
    coerce_input_literal=_whole_literal,
)
DATE_TIME = GraphQLScalarType(
    "DateTime",
    description="A moment as 2031-01-01T00:00:00Z.",
    coerce_output_value=_as_it_is,
    coerce_input_value=_text,
    coerce_input_literal=_text_literal,
)
DATE = GraphQLScalarType(
    "Date", description="A day (UTC) as 2031-01-01.", coerce_output_value=_as_it_is, coerce_input_value=_text
)
JSON = GraphQLScalarType(
    "JSON",
    description="What has no names of its own: any JSON, as REST answers have it.",
    coerce_output_value=_as_it_is,
)
#: Looked through in this order: a bool is an int, a datetime a date.
_SCALARS: tuple[tuple[type, GraphQLScalarType], ...] = (
    (bool, GraphQLBoolean),
    (int, INT64),
    (float, GraphQLFloat),
    (str, GraphQLString),
    (UUID, GraphQLID),
    (datetime, DATE_TIME),
    (date, DATE),
)


class ModelField(NamedTuple):
    """One field of an answer: its name in answers, its attribute, and what is in it."""

    name: str
    attribute: str
    annotation: Any
    description: str | None

    @property
    def leads_on(self) -> bool:
        """Whether there are answers in it, which have fields of their own."""
        return model_in(self.annotation) is not None


#: The resolver of a field, and the fields that a model has beside its own.
Resolve = Callable[[ModelField], Callable[..., Any]]
Beside = Callable[[type[BaseModel]], Mapping[str, GraphQLField]]


class Shapes:
    """Every type of one schema, by name."""

    def __init__(self, resolve: Resolve, beside: Beside) -> None:
        self._resolve, self._beside = resolve, beside
        self._objects: dict[str, tuple[type[BaseModel], GraphQLObjectType]] = {}
        self._enums: dict[type[StrEnum], GraphQLEnumType] = {}

    def output(self, annotation: Any) -> Any:
        """The type of what is annotated so; raises `TypeError` for what GraphQL cannot say."""
        if (inner := _without_null(annotation)) is not None:
            return _nullable(self.output(inner))
        if _plain(annotation) in (Any, NoneType):
            return self.leaf(_plain(annotation))
        return GraphQLNonNull(self._output(annotation))

    def _output(self, annotation: Any) -> Any:
        plain = _plain(annotation)
        if isinstance(plain, type) and issubclass(plain, BaseModel):
            return self.object(plain)
        if get_origin(plain) in (list, frozenset, set, tuple):
            return GraphQLList(self.output(get_args(plain)[0]))
        if model_in(annotation) is not None:
            raise TypeError(f"answers in {annotation} cannot be selected from")
        return self.leaf(plain)

    def input(self, annotation: Any, *, required: bool) -> GraphQLInputType:
        """The type of an argument; what its rules are besides is known where it is validated."""
        inner = _without_null(annotation)
        plain = _plain(annotation if inner is None else inner)
        found: Any = self.leaf(plain)
        if get_origin(plain) is list:
            found = GraphQLList(self.input(get_args(plain)[0], required=True))
        return GraphQLNonNull(found) if required and inner is None else found

    def leaf(self, plain: Any) -> Any:
        if get_origin(plain) is Literal or plain is NoneType:
            return GraphQLString
        if isinstance(plain, type) and issubclass(plain, StrEnum):
            return self._enum(plain)
        scalars = (scalar for kind, scalar in _SCALARS if isinstance(plain, type) and issubclass(plain, kind))
        return next(scalars, JSON)

    def _enum(self, kind: type[StrEnum]) -> Any:
        """Values are named as in REST; where one cannot be a name, they are texts."""
        if not all(_NAME.fullmatch(one) and one not in _RESERVED for one in kind):
            return GraphQLString
        if kind not in self._enums:
            self._enums[kind] = GraphQLEnumType(kind.__name__, {str(one): str(one) for one in kind})
        return self._enums[kind]

    def object(self, model: type[BaseModel]) -> GraphQLObjectType:
        name = type_name(model)
        known, made = self._objects.get(name, (model, None))
        if known is not model:
            raise TypeError(f"{known.__module__} and {model.__module__} both have a {name}")
        if made is None:
            description = cleandoc(model.__doc__) if model.__doc__ else None
            made = GraphQLObjectType(name, lambda: self._fields(model), description=description)
            self._objects[name] = (model, made)
        return made

    def _fields(self, model: type[BaseModel]) -> dict[str, GraphQLField]:
        own = {
            field.name: GraphQLField(
                self.output(field.annotation), resolve=self._resolve(field), description=field.description
            )
            for field in fields_of(model)
        }
        return {**self._beside(model), **own}


def fields_of(model: type[BaseModel]) -> Iterator[ModelField]:
    """What REST answers show of it."""
    for name, info in model.model_fields.items():
        if not info.exclude:
            shown = info.serialization_alias or info.alias or name
            yield ModelField(shown, name, annotation_of(info), info.description)


def annotation_of(info: FieldInfo) -> Any:
    """The annotation of a field with what was taken out of it."""
    return Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation


def type_name(model: type[BaseModel]) -> str:
    """`TorrentItem`, and `TorrentItemPage` for a page of them."""
    generic = model.__pydantic_generic_metadata__
    if generic["origin"] is None:
        return model.__name__
    return "".join(type_name(one) for one in generic["args"]) + generic["origin"].__name__


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation leads to, if any."""
    plain = _plain(annotation)
    if isinstance(plain, type) and issubclass(plain, BaseModel):
        return plain
    return next((found for one in get_args(plain) if (found := model_in(one)) is not None), None)


def dumper(annotation: Any) -> Callable[[Any], Any]:
    """What makes JSON of a value, as a model with such a field would."""
    adapter = TypeAdapter[Any](annotation)
    return lambda value: adapter.dump_python(value, mode="json")


def _without_null(annotation: Any) -> Any:
    """What else than null may be there; None if null may not."""
    bare, metadata = _bare(annotation)
    if get_origin(bare) not in (Union, UnionType) or NoneType not in get_args(bare):
        return None
    rest: Any = Union[tuple(one for one in get_args(bare) if one is not NoneType)]  # noqa: UP007
    return Annotated[rest, *metadata] if metadata else rest


def _plain(annotation: Any) -> Any:
    """Without what is annotated; what is serialized as something else is that."""
    bare, metadata = _bare(annotation)
    serialized = [one.return_type for one in metadata if isinstance(one, PlainSerializer)]
    return serialized[-1] if serialized else bare


def _bare(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(annotation) is Annotated:
        bare, *metadata = get_args(annotation)
        return bare, tuple(metadata)
    return annotation, ()


def _nullable(made: Any) -> Any:
    return made.of_type if isinstance(made, GraphQLNonNull) else made
