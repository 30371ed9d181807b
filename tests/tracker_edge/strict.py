"""Judges of replies, as strict as the standards: canonical bencode (BEP 3) and HTTP/1.1 responses (RFC 9112)."""

from __future__ import annotations

import re
from typing import NamedTuple

Value = int | bytes | list["Value"] | dict[bytes, "Value"]

_INTEGER = re.compile(rb"i(0|-?[1-9][0-9]*)e")
_LENGTH = re.compile(rb"(0|[1-9][0-9]*):")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2}) [ -~]+\r\n")
_FIELD = re.compile(rb"([A-Za-z-]+): ([!-~](?:[ -~]*[!-~])?)\r\n")


class Response(NamedTuple):
    """One response; `fields` have their names in lower case."""

    status: int
    fields: dict[bytes, bytes]
    body: bytes


def bencoded(data: bytes) -> Value:
    """The one value that these bytes are in canonical form; raises ValueError for anything else."""
    value, end = _value(data, 0)
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes after the value")
    return value


def _value(data: bytes, at: int) -> tuple[Value, int]:
    kind = data[at : at + 1]
    if kind == b"i":
        found = _INTEGER.match(data, at)
        if found is None:
            raise ValueError(f"no integer at {at}")
        return int(found[1]), found.end()
    if kind == b"l":
        return _list(data, at + 1)
    if kind == b"d":
        return _dictionary(data, at + 1)
    return _text(data, at)


def _text(data: bytes, at: int) -> tuple[bytes, int]:
    length = _LENGTH.match(data, at)
    if length is None:
        raise ValueError(f"no value at {at}")
    end = length.end() + int(length[1])
    if end > len(data):
        raise ValueError(f"a string beyond the end at {at}")
    return data[length.end() : end], end


def _list(data: bytes, at: int) -> tuple[Value, int]:
    items: list[Value] = []
    while data[at : at + 1] != b"e":
        item, at = _value(data, at)
        items.append(item)
    return items, at + 1


def _dictionary(data: bytes, at: int) -> tuple[Value, int]:
    found: dict[bytes, Value] = {}
    last: bytes | None = None
    while data[at : at + 1] != b"e":
        name, at = _text(data, at)
        if last is not None and name <= last:
            raise ValueError(f"key {name!r} after {last!r}")
        found[name], at = _value(data, at)
        last = name
    return found, at + 1


def responses(stream: bytes) -> list[Response]:
    """The responses that the stream is made of, to its last byte; raises ValueError when it is anything else.

    A 405 may be to HEAD, and is then without the body that its Content-Length announces (RFC 9110 section 9.3.2).
    """
    found, at = [], 0
    while at < len(stream):
        line = _STATUS_LINE.match(stream, at)
        if line is None:
            raise ValueError(f"no status line: {stream[at : at + 40]!r}")
        fields, at = _fields(stream, line.end())
        length = fields[b"content-length"]
        if _LENGTH.fullmatch(length + b":") is None:
            raise ValueError(f"Content-Length {length!r}")
        body = stream[at : at + int(length)]
        if int(line[1]) == 405 and (len(body) < int(length) or body.startswith(b"HTTP/1.")):
            body = b""
        elif len(body) < int(length):
            raise ValueError(f"{len(body)} bytes of body instead of {int(length)}")
        at += len(body)
        found.append(Response(int(line[1]), fields, body))
    return found


def _fields(stream: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
    fields: dict[bytes, bytes] = {}
    while stream[at : at + 2] != b"\r\n":
        field = _FIELD.match(stream, at)
        if field is None or field[1].lower() in fields:
            raise ValueError(f"no field, or one that is there twice: {stream[at : at + 40]!r}")
        fields[field[1].lower()] = field[2]
        at = field.end()
    if b"content-length" not in fields:
        raise ValueError("no Content-Length")
    return fields, at + 2
