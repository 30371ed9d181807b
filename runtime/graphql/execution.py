"""One document being answered: who asks, what has been read, and what became of each field.

All of it is read at one moment, in one transaction that can change nothing, but for what is replayed from histories.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

import structlog
from fastapi import Request
from graphql import ExecutionResult, GraphQLError
from psycopg import Connection, DatabaseError
from psycopg.errors import QueryCanceled
from pydantic import BaseModel

from domain.errors import DomainError, NotFound
from runtime.graphql.questions import Question
from runtime.http.deps import Caller, credentials_db
from runtime.http.pages import PageRequest
from runtime.http.problems import AWAY
from runtime.platform import Platform
from runtime.telemetry import GRAPHQL_DURATION, GRAPHQL_FIELDS

log = structlog.get_logger()

#: A document that has not been answered by then is given up.
WAIT_S = 5.0


_TOO_SLOW = "this took too long: ask for less at once"


class TooSlow(DomainError):
    """The answer took too long; ask for less of it."""

    status: ClassVar[int] = 503


class Asker(NamedTuple):
    """Who asks, for what, and with which request."""

    request: Request
    platform: Platform
    caller: Caller
    now: datetime
    min_position: int | None = None


class Lists:
    """Which answers came together in one list: what is joined to one of them is joined to all at once."""

    def __init__(self) -> None:
        self._of: dict[int, list[Any]] = {}

    def add(self, answers: Iterable[Any]) -> None:
        together = list(answers)
        for one in together:
            self._of.setdefault(id(one), together)

    def has(self, answer: Any) -> bool:
        return id(answer) in self._of

    def of(self, answer: Any) -> list[Any]:
        if not self.has(answer):
            self.add([answer])  # and keep it, so that its id stays its own
        return self._of[id(answer)]


class Execution:
    """The `Asking` of one document; `arguments` are the validated values by field node. Close it afterwards."""

    def __init__(self, asker: Asker, arguments: Mapping[int, Mapping[str, Any]]) -> None:
        self.request, self.platform, self.caller, self.now, self.min_position = asker
        self.arguments = arguments
        self.lists = Lists()
        self._loaded: dict[Hashable, Mapping[Any, Any] | DomainError] = {}
        self._until = time.monotonic() + WAIT_S
        self._open = ExitStack()
        self._db: Connection[Any] | None = None

    def db(self) -> Connection[Any]:
        if self._db is None:
            self._db = self._open.enter_context(_reading(self.platform))
        return self._db

    def credentials_db(self) -> Connection[Any]:
        """For one question that is asked apart."""
        return self._open.enter_context(_credentials(self.platform))

    def page(self, limit: int, cursor: str | None) -> PageRequest:
        return PageRequest(limit, cursor, self.platform.site_key("cursors"))

    def close(self) -> None:
        """Give the connection back; the next reading begins another one."""
        self._db = None
        self._open.close()

    def __enter__(self) -> Execution:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, name: str, question: Question, values: Mapping[str, Any]) -> Any:
        """The answer, None for what is not there. Raises as the handler does."""
        self._check_time()
        if not question.apart:
            return self._ask(name, question, values)
        self.close()  # nobody waits for one connection while holding another
        try:
            return self._ask(name, question, values)
        finally:
            self.close()

    def _ask(self, name: str, question: Question, values: Mapping[str, Any]) -> Any:
        outcome, began = "failed", time.monotonic()
        try:
            answer = question.call(self, values)
            outcome = "answered"
            return answer
        except NotFound:
            outcome = "nothing"
            return None
        except DomainError:
            outcome = "refused"
            raise
        except DatabaseError:
            self.close()  # its transaction is of no use to other fields
            raise
        finally:
            GRAPHQL_FIELDS.labels(name, outcome).inc()
            GRAPHQL_DURATION.labels(name).observe(time.monotonic() - began)

    def loaded(
        self, answer: Any, key: Callable[[Any], Any], load: Callable[[Any, Collection[Any]], Mapping[Any, Any]]
    ) -> Mapping[Any, Any]:
        """What is joined to the answer and to those that came with it, by key; raises what `load` raised."""
        together = self.lists.of(answer)
        name = key, load, id(together)
        if name not in self._loaded:
            self._check_time()
            keys = {wanted for one in together if (wanted := key(one)) is not None}
            self._loaded[name] = self._load(load, keys)
        found = self._loaded[name]
        if isinstance(found, DomainError):
            raise found
        return found

    def _load(
        self, load: Callable[[Any, Collection[Any]], Mapping[Any, Any]], keys: Collection[Any]
    ) -> Mapping[Any, Any] | DomainError:
        try:
            found = load(self, keys)
        except DomainError as refused:
            return refused
        except DatabaseError:
            self.close()
            raise
        self.lists.add(one for value in found.values() for one in (value if isinstance(value, list) else [value]))
        return found

    def _check_time(self) -> None:
        if time.monotonic() > self._until:
            raise TooSlow(_TOO_SLOW)


_credentials = contextmanager(credentials_db)


@contextmanager
def _reading(platform: Platform) -> Iterator[Connection[Any]]:
    """As `read_db`, with all of one moment."""
    with platform.query_pool.connection() as connection, connection.transaction():
        connection.execute(
            f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL statement_timeout = {int(WAIT_S * 1000)}"
        )
        yield connection


class AnswerError(BaseModel):
    """Why a field is null; `extensions` has the stable `code` that REST would refuse with."""

    message: str
    path: list[str | int]
    locations: list[dict[str, int]]
    extensions: dict[str, str]


def told(result: ExecutionResult, request_id: str) -> list[AnswerError]:
    """The errors as the client is told them. Raises what concerns the whole site rather than a field."""
    return [_told(error, request_id) for error in result.errors or []]


def _told(error: GraphQLError, request_id: str) -> AnswerError:
    cause = error.original_error
    if isinstance(cause, QueryCanceled):
        raise TooSlow(_TOO_SLOW) from cause
    if isinstance(cause, AWAY) or (isinstance(cause, DomainError) and cause.status == 503):
        raise cause
    code, message = "internal", "something went wrong on our side"
    if isinstance(cause, DomainError):
        code, message = cause.code, str(cause)
    else:
        log.error("internal_error", request_id=request_id, route="/graphql", exc_info=cause or error)
    return AnswerError(
        message=message,
        path=list(error.path or []),
        locations=[{"line": one.line, "column": one.column} for one in error.locations or []],
        extensions={"code": code},
    )
