"""Arrays as PostgreSQL's binary format has them (`array_send`), packed in one go.

psycopg's own dumpers ask every element for its type and its format: for the five arrays of an append that took a third
of what a command's save costs its process.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import ClassVar, Self
from uuid import UUID

from psycopg import adapters
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

_HEAD = struct.Struct(">iiIii")  # dimensions, whether there are nulls, type of the elements, how many, lower bound
_SIZE = struct.Struct(">i")


class PackedArray(bytes):
    """The bytes of one array, which is a parameter like any other value."""

    element: ClassVar[str]  # PostgreSQL's name of the elements' type

    @classmethod
    def pack(cls, elements: Iterable[bytes]) -> Self:
        sized = [_SIZE.pack(len(one)) + one for one in elements]
        return cls(_HEAD.pack(1, 0, adapters.types[cls.element].oid, len(sized), 1) + b"".join(sized))


class UuidArray(PackedArray):
    element = "uuid"

    @classmethod
    def of(cls, values: Iterable[UUID]) -> Self:
        return cls.pack([value.bytes for value in values])


class IntArray(PackedArray):
    element = "int4"

    @classmethod
    def of(cls, values: Iterable[int]) -> Self:
        return cls.pack([value.to_bytes(4, "big", signed=True) for value in values])


class SmallintArray(PackedArray):
    element = "int2"

    @classmethod
    def of(cls, values: Iterable[int]) -> Self:
        return cls.pack([value.to_bytes(2, "big", signed=True) for value in values])


class ByteaArray(PackedArray):
    element = "bytea"


def _dumper(kind: type[PackedArray]) -> type[Dumper]:
    class PackedDumper(Dumper):
        oid = adapters.types[kind.element].array_oid
        format = Format.BINARY

        def dump(self, obj: PackedArray) -> Buffer:
            return obj

    return PackedDumper


for _kind in (UuidArray, IntArray, SmallintArray, ByteaArray):
    adapters.register_dumper(_kind, _dumper(_kind))
