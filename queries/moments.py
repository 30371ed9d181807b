"""A point in the past as a query names it, a number (version or position) or a time, and what was there then."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import takewhile
from typing import Any, TypeVar
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from domain.base import Aggregate
from domain.errors import Malformed
from runtime.facts import AnyFact, FactLog
from runtime.http.types import Timestamp
from runtime.store import History

A = TypeVar("A", bound=Aggregate)

_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_timestamp = TypeAdapter[datetime](Timestamp)


class BadMoment(Malformed):
    """Neither a whole number nor a time with its offset."""


def moment(text: str) -> int | datetime:
    """`7` or `2031-01-01T00:00:00Z`; raises `BadMoment`."""
    if _NUMBER.fullmatch(text):
        return int(text)
    try:
        return _timestamp.validate_python(text)
    except ValidationError:
        raise BadMoment("write a whole number, or a time as 2031-01-01T00:00:00Z") from None


def time(text: str) -> datetime:
    """A time alone; raises `BadMoment`."""
    found = moment(text)
    if isinstance(found, int):
        raise BadMoment("write a time as 2031-01-01T00:00:00Z")
    return found


def facts_until(history: History, stream_id: UUID, at: datetime) -> list[AnyFact]:
    """What had happened in a stream by then, oldest first."""
    return list(takewhile(lambda fact: fact.at <= at, FactLog(history).stream(stream_id)))


def as_of(history: History, kind: type[A], stream_id: UUID, at: datetime) -> A | None:
    """The aggregate as it was then; None before it was made."""
    found: Any = None
    for fact in facts_until(history, stream_id, at):
        found = fact.event.mutate(found)
    return found if isinstance(found, kind) else None
