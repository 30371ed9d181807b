"""A handler as a question: what its signature asks the client for, and how to call it without a request of its own.

FastAPI's own words are read: `Annotated[…, Query()]`, models of a query string, `Depends`. What the handlers of this
site get from a request (the caller, a connection, a page) comes from the `Asking` of the document instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, NamedTuple, Protocol, get_args, get_origin, get_type_hints

from fastapi import Request
from fastapi.params import Depends, Header, Query
from psycopg import Connection
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from runtime.graphql.errors import InvalidArguments
from runtime.http import deps
from runtime.http.deps import Permitted
from runtime.http.pages import LIMIT_DEFAULT, PageLimit, PageRequest, page_request
from runtime.platform import Platform


class Asking(Protocol):
    """Who asks, when, and what the answer is read from."""

    @property
    def request(self) -> Request: ...
    @property
    def platform(self) -> Platform: ...
    @property
    def caller(self) -> deps.Caller: ...
    @property
    def now(self) -> Any: ...
    @property
    def min_position(self) -> int | None: ...
    def db(self) -> Connection[Any]: ...
    def credentials_db(self) -> Connection[Any]: ...
    def page(self, limit: int, cursor: str | None) -> PageRequest: ...


Values = Mapping[str, Any]
#: Gives a parameter its value, of what the client said.
Fill = Callable[[Asking, Values], Any]


class Argument(NamedTuple):
    """What the client may or must say; `annotation` has the rules."""

    annotation: Any
    required: bool = False
    description: str | None = None


FIRST = Argument(PageLimit, description=f"how many, at most 100; {LIMIT_DEFAULT} unless given")
CURSOR = Argument(
    Annotated[str | None, Field(max_length=2048)], description="the `next_cursor` of the page before this one"
)
#: Where handlers say themselves how long their list is.
_RENAMED = {"limit": "first"}

#: What needs no argument, by the dependency that REST gets it from.
_GIVEN: dict[Callable[..., Any], Fill] = {
    deps.caller: lambda asking, _: asking.caller,
    deps.platform: lambda asking, _: asking.platform,
    deps.settings: lambda asking, _: asking.platform.settings,
    deps.secrets: lambda asking, _: asking.platform.secrets,
    deps.utc_now: lambda asking, _: asking.now,
    deps.read_db: lambda asking, _: asking.db(),
    deps.credentials_db: lambda asking, _: asking.credentials_db(),
}


@dataclass(frozen=True)
class Question:
    """One handler: `permission` is what its signature names, `apart` that it reads from connections of its own."""

    arguments: dict[str, Argument]
    call: Fill
    permission: str | None
    apart: bool

    def validated(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values by argument, as the handler gets them; raises `InvalidArguments`."""
        found, errors = {}, []
        for name, value in given.items():
            try:
                found[name] = self._adapters[name].validate_python(value)
            except ValidationError as error:
                errors += [{"field": name, "message": str(one["msg"])} for one in error.errors(include_url=False)]
        if errors:
            raise InvalidArguments("an argument is not valid", errors)
        return found

    @cached_property
    def _adapters(self) -> dict[str, TypeAdapter[Any]]:
        return {name: TypeAdapter(argument.annotation) for name, argument in self.arguments.items()}

    @property
    def is_paged(self) -> bool:
        return "first" in self.arguments and self.arguments["first"].annotation == PageLimit


def question(handler: Callable[..., Any]) -> Question:
    """Raises `TypeError` for a parameter that only a request of its own could fill."""
    arguments: dict[str, Argument] = {}
    found = list(_dependencies(handler))
    permissions = [str(one.permission) for one in found if isinstance(one, Permitted)]
    return Question(
        arguments,
        _called(handler, arguments),
        permissions[0] if permissions else None,
        apart=deps.credentials_db in found or (deps.platform in found and deps.read_db not in found),
    )


def _parameters(function: Callable[..., Any]) -> Iterator[tuple[inspect.Parameter, Any, list[Any]]]:
    """Each parameter with what it is annotated as, and with what besides."""
    target = function if inspect.isfunction(function) else type(function).__call__
    hints = get_type_hints(target, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints[name]
        yield parameter, hint, list(get_args(hint)[1:]) if get_origin(hint) is Annotated else []


def _dependencies(function: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    for _, _, metadata in _parameters(function):
        for one in metadata:
            if isinstance(one, Depends) and one.dependency is not None:
                yield one.dependency
                if one.dependency not in _GIVEN and one.dependency is not page_request:
                    yield from _dependencies(one.dependency)


def _called(function: Callable[..., Any], arguments: dict[str, Argument]) -> Fill:
    """Calls the function; what that needs from the client is added to `arguments`."""
    fills = {
        parameter.name: _fill(parameter, hint, metadata, arguments)
        for parameter, hint, metadata in _parameters(function)
    }

    def call(asking: Asking, values: Values) -> Any:
        filled = {name: fill(asking, values) for name, fill in fills.items()}
        return _finished(function(**{name: value for name, value in filled.items() if value is not _UNSAID}))

    return call


def _fill(parameter: inspect.Parameter, hint: Any, metadata: list[Any], arguments: dict[str, Argument]) -> Fill:
    depends = next((one.dependency for one in metadata if isinstance(one, Depends)), None)
    if depends is page_request:
        arguments |= {"first": FIRST, "cursor": CURSOR}
        return lambda asking, values: asking.page(values.get("first", LIMIT_DEFAULT), values.get("cursor"))
    if depends in _GIVEN:
        return _GIVEN[depends]
    if depends is not None:
        if inspect.isgeneratorfunction(depends) or inspect.isasyncgenfunction(depends):
            raise TypeError(f"{depends.__name__} is to be left again: say in `_GIVEN` what it is for a document")
        return _called(depends, arguments)
    if hint is Request:
        return lambda asking, _: asking.request
    if any(isinstance(one, Header) for one in metadata):
        if parameter.name != "x_min_position":
            raise TypeError(f"{parameter.name} is a header")
        return lambda asking, _: asking.min_position
    if isinstance(model := _bare(hint), type) and issubclass(model, BaseModel):
        return _model(model, arguments)
    return _argument(parameter, hint, metadata, arguments)


def _model(model: type[BaseModel], arguments: dict[str, Argument]) -> Fill:
    """A model of the query string: its fields are arguments, but for those that only REST's paging reads."""
    names = [name for name, info in model.model_fields.items() if not info.exclude]
    for name in names:
        info = model.model_fields[name]
        annotation = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        arguments[name] = Argument(annotation, info.is_required(), info.description)
    return lambda _, values: model.model_validate({name: values[name] for name in names if name in values})


def _argument(parameter: inspect.Parameter, hint: Any, metadata: list[Any], arguments: dict[str, Argument]) -> Fill:
    queries = [one for one in metadata if isinstance(one, Query)]
    alias = next((one.alias for one in queries if one.alias), parameter.name)
    description = next((one.description for one in queries if one.description), None)
    name = _RENAMED.get(alias, alias)
    default = _UNSAID if parameter.default is inspect.Parameter.empty else parameter.default
    arguments[name] = Argument(hint, default is _UNSAID, description)
    return lambda _, values: values.get(name, default)


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _finished(value: Any) -> Any:
    """What an asynchronous dependency returns that waits for nothing."""
    if not inspect.iscoroutine(value):
        return value
    try:
        value.send(None)
    except StopIteration as done:
        return done.value
    raise TypeError("a dependency waits for something")


#: What the client did not say and the function knows itself.
_UNSAID: Any = object()
