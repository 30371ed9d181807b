"""Rows found by their primary keys: what a key is in memory, and what PostgreSQL is given for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from runtime.gathering.statements import Parameter

#: The value of a primary key of one column, those of several; of a UUID its number, whose comparison is not Python's.
Key = Any
#: A row's key from the parameters of a statement; raises `Unclear`.
KeyReader = Callable[[Sequence[object]], Key]


class Unclear(Exception):
    """The statement is plain, but what it makes of the values only PostgreSQL can say."""


def key_reader(kinds: Sequence[type], held: Sequence[object]) -> KeyReader:
    """For a key whose columns are of these kinds, and get or are compared with these parameters and constants."""
    if len(kinds) == 1 and isinstance(held[0], Parameter):
        return _single_uuid(held[0].n) if kinds[0] is UUID else _single(kinds[0], held[0].n)
    parts = [
        (kind, one.n, None) if isinstance(one, Parameter) else (kind, -1, one)
        for kind, one in zip(kinds, held, strict=True)
    ]

    def read(params: Sequence[object]) -> Key:
        key = list[object]()
        for kind, place, constant in parts:
            value = constant if place < 0 else params[place]
            if type(value) is UUID and kind is UUID:
                key.append(value.int)
            elif type(value) is kind or (kind is str and isinstance(value, str)):
                key.append(value)
            else:
                raise Unclear
        return tuple(key) if len(key) > 1 else key[0]

    return read


def values_of(key: Key, kinds: Sequence[type]) -> tuple[Any, ...]:
    """What PostgreSQL is given for the columns of a key."""
    parts = key if len(kinds) > 1 else (key,)
    return tuple(UUID(int=part) if kind is UUID else part for part, kind in zip(parts, kinds, strict=True))


def _single_uuid(place: int) -> KeyReader:
    def read(params: Sequence[object]) -> Key:
        value = params[place]
        if type(value) is UUID:
            return value.int
        raise Unclear

    return read


def _single(kind: type, place: int) -> KeyReader:
    def read(params: Sequence[object]) -> Key:
        value = params[place]
        if type(value) is kind or (kind is str and isinstance(value, str)):
            return value
        raise Unclear

    return read
