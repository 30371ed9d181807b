"""How followers are declared: a Projection turns facts into rows, a Policy turns facts into commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from domain.base import Aggregate
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.store import Store

E = TypeVar("E", bound=Aggregate.Event)
Handler = Callable[[Any, Any], None]


class _Declared:
    """Handlers by event class; `on(Aggregate.Event)` takes every event that has no handler of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.handlers: dict[type[Any], Handler] = {}

    @property
    def topics(self) -> list[str] | None:
        """The topics to read, or None for all."""
        return None if Aggregate.Event in self.handlers else [kind.TOPIC for kind in self.handlers]

    def _add(self, kinds: Iterable[type[Any]], handler: Handler) -> None:
        for kind in kinds:
            assert kind not in self.handlers, f"{self.name} handles {kind.__qualname__} twice"
            self.handlers[kind] = handler

    def _handler(self, fact: AnyFact) -> Handler:
        return self.handlers.get(type(fact.event)) or self.handlers[Aggregate.Event]


class Projection(_Declared):
    """Read tables and the handlers that write them. Handlers are deterministic: facts and own tables, nothing else.

    `tables` are names in schema `read`; a rebuild runs the same handlers on empty copies in a schema beside it.
    """

    def __init__(self, name: str, *tables: str) -> None:
        super().__init__(name)
        self.tables = tables

    def on(self, *kinds: type[E]) -> Callable[[Callable[[Fact[E], Writer], None]], Callable[[Fact[E], Writer], None]]:
        """Declare the handler of these events."""

        def declare(handler: Callable[[Fact[E], Writer], None]) -> Callable[[Fact[E], Writer], None]:
            self._add(kinds, handler)
            return handler

        return declare

    def apply(self, fact: AnyFact, db: Writer) -> None:
        self._handler(fact)(fact, db)


class Policy(_Declared):
    """Event in, command out. The command's id follows from the event, so that a repeat changes nothing."""

    def on(self, *kinds: type[E]) -> Callable[[Callable[[Fact[E], Store], None]], Callable[[Fact[E], Store], None]]:
        """Declare the handler of these events."""

        def declare(handler: Callable[[Fact[E], Store], None]) -> Callable[[Fact[E], Store], None]:
            self._add(kinds, handler)
            return handler

        return declare

    def apply(self, fact: AnyFact, store: Store) -> None:
        self._handler(fact)(fact, store)


Follower = Projection | Policy
