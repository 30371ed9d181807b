"""How followers are declared: a Projection turns facts into rows, a Policy turns facts into commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from domain.base import Aggregate
from runtime.db import Writer
from runtime.facts import AnyCaused, AnyFact, Caused
from runtime.store import Store

E = TypeVar("E", bound=Aggregate.Event)
Handler = Callable[[Any, Any], None]


class OnError(StrEnum):
    """What a follower does about a fact that it cannot handle."""

    HALT = "halt"  # stop there until it can: for whatever would be wrong without it
    PARK = "park"  # keep it and all later facts of its stream as dead letters, go on with the other streams
    SKIP = "skip"  # keep it alone as a dead letter: for facts whose order does not matter


class _Declared:
    """Handlers by event class; `on(Aggregate.Event)` takes every event that has no handler of its own."""

    def __init__(self, name: str, on_error: OnError = OnError.HALT, *, causes: bool = True) -> None:
        self.name = name
        self.causes = causes
        self.on_error = on_error
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


class _Batches(NamedTuple):
    """How many facts one transaction may hold: those whose sizes, in the handler's own unit, reach `at_once`; and of
    which kinds others may be among them."""

    at_once: int
    size: Callable[[Any], int]
    amid: frozenset[type[Any]]


class Projection(_Declared):
    """Read tables and the handlers that write them. Handlers are deterministic: facts and own tables, nothing else.

    `tables` are names in schema `read`; a rebuild runs the same handlers on empty copies in a schema beside it.
    `stream` is the column of each table that holds the id of the one stream whose facts make the row, and None where
    rows come from several streams: handlers of a fact then neither read nor write rows of other streams.
    `causes` is for those whose handlers take `Caused` facts. `keyed_last` are tables that rows are copied into and
    never looked for by their key: a rebuild makes it when they are full.
    """

    def __init__(
        self,
        name: str,
        *tables: str,
        stream: str | None = None,
        on_error: OnError = OnError.HALT,
        causes: bool = False,
        keyed_last: Sequence[str] = (),
    ) -> None:
        super().__init__(name, on_error, causes=causes)
        self.tables = tables
        self.keyed_last = frozenset(keyed_last)
        self.stream = stream
        self._batches: dict[Handler, _Batches] = {}
        #: Called with some of the last facts before empty tables are filled up to these; see `foresee`.
        self.foresight: Callable[[Sequence[Any], Any], None] | None = None

    def on(
        self, *kinds: type[E]
    ) -> Callable[[Callable[[Caused[E], Writer], None]], Callable[[Caused[E], Writer], None]]:
        """Declare the handler of these events; one that takes a `Fact` takes a `Caused` one, too."""

        def declare(handler: Callable[[Caused[E], Writer], None]) -> Callable[[Caused[E], Writer], None]:
            self._add(kinds, handler)
            return handler

        return declare

    def on_batch(
        self, *kinds: type[E], at_once: int, size: Callable[[E], int], amid: Iterable[type[Any]] = ()
    ) -> Callable[[Callable[[Sequence[Caused[E]], Writer], None]], Callable[[Sequence[Caused[E]], Writer], None]]:
        """Declare the handler of these events that gets all which follow one another at once, to load and write once.

        What it makes must not depend on where one batch ends and the next begins. A transaction takes facts until the
        sizes of such events reach `at_once`, and at least one. Facts `amid` them, which have handlers of their own, do
        not end a run: the handler gets them, too, in their places, and has to `apply` them.
        """

        def declare(handler: Callable[[Sequence[Caused[E]], Writer], None]) -> Any:
            self._add(kinds, handler)
            self._batches[handler] = _Batches(at_once, size, frozenset(amid))
            return handler

        return declare

    def foresee(
        self, look: Callable[[Sequence[AnyCaused], Writer], None]
    ) -> Callable[[Sequence[AnyCaused], Writer], None]:
        """Declare what a rebuild does first, with some of the last facts that it will come to, or none, and empty
        tables: it may write what these are certain to bring about, if that makes the way there shorter. What the tables
        hold in the end must not depend on it.
        """
        assert self.foresight is None, f"{self.name} foresees twice"
        self.foresight = look
        return look

    def portion(self, facts: Sequence[AnyFact]) -> Sequence[AnyFact]:
        """Those of the facts, from the first one, that belong into one transaction."""
        if not self._batches:
            return facts
        sizes = dict.fromkeys(self._batches, 0)
        for number, fact in enumerate(facts, 1):
            handler = self._handler(fact)
            if batches := self._batches.get(handler):
                sizes[handler] += batches.size(fact.event)
                if sizes[handler] >= batches.at_once:
                    return facts[:number]
        return facts

    def runs(self, facts: Sequence[AnyFact]) -> Iterator[Sequence[AnyFact]]:
        """The facts in order, as `apply` takes them: those of one batch handler together, others alone."""
        run, of, batches = list[AnyFact](), None, None
        for fact in facts:
            handler = self._handler(fact)
            if batches and (handler is of or type(fact.event) in batches.amid):
                run.append(fact)
                continue
            if run:
                yield run
            run, of, batches = [fact], handler, self._batches.get(handler)
        if run:
            yield run

    def apply(self, run: Sequence[AnyFact], db: Writer) -> None:
        """Handle one of the `runs`."""
        handle = self._handler(run[0])
        handle(run if handle in self._batches else run[0], db)

    def apply_all(self, facts: Sequence[AnyFact], db: Writer) -> None:
        """Handle facts in order."""
        if self._batches:
            for run in self.runs(facts):
                self.apply(run, db)
            return
        handlers, other = self.handlers, self.handlers.get(Aggregate.Event)
        for fact in facts:
            handle = handlers.get(type(fact.event), other)
            assert handle is not None
            handle(fact, db)


class Policy(_Declared):
    """Event in, command out. The command's id follows from the event, so that a repeat changes nothing."""

    def on(self, *kinds: type[E]) -> Callable[[Callable[[Caused[E], Store], None]], Callable[[Caused[E], Store], None]]:
        """Declare the handler of these events."""

        def declare(handler: Callable[[Caused[E], Store], None]) -> Callable[[Caused[E], Store], None]:
            self._add(kinds, handler)
            return handler

        return declare

    def apply(self, fact: AnyFact, store: Store) -> None:
        self._handler(fact)(fact, store)


Follower = Projection | Policy
