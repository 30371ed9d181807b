"""Which bytes are canonical bencode (BEP 3), and what do they say?

Every value has exactly one encoding here, so `encode(decode(data)) == data` for all data that decodes. Nothing is
allocated by a claimed length, no call nests, and the number of tokens is bounded by the size of the input.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from domain.metainfo.errors import InvalidMetainfo

Value: TypeAlias = "int | bytes | list[Value] | dict[bytes, Value]"

#: Containers within containers; what libtorrent takes (load_torrent_limits.max_decode_depth).
MAX_DEPTH = 100

#: Integers are signed 64-bit, what every client stores them in.
INT_MIN, INT_MAX = -(2**63), 2**63 - 1

#: The heads (length and colon) of nearly all strings in a .torrent, so that most strings cost no number parsing.
_HEADS = {b"%d:" % n: n for n in range(100)}

#: Paths with more parts are read with all else, where they count as many tokens.
_PLAIN_PARTS = 16

#: How an entry of a version 1 list of files starts; see `_file_entry`.
_FILE_ENTRY = re.compile(rb"d(?:4:attr1:([hpx]))?6:lengthi(0|[1-9][0-9]{0,17})e4:pathl")

#: The end of a container, among the values still to be written.
_END = object()

_LENGTH = re.compile(rb"(0|[1-9][0-9]{0,8}):")
_INTEGER = re.compile(rb"i(0|-?[1-9][0-9]{0,18})e")
_SHORT_INTEGER = re.compile(rb"i(0|-?[1-9][0-9]{0,17})e")
_LONG_INTEGER = re.compile(rb"i-?[1-9][0-9]{19}")
_UNFINISHED_LENGTH = re.compile(rb"[1-9][0-9]{0,8}\Z|0\Z")
_UNFINISHED_INTEGER = re.compile(rb"i(-?|0|-?[1-9][0-9]{0,18})\Z")
_LENGTH_LIKE = re.compile(rb"[-+ ]?[0-9]|[-+]")


def decode(data: bytes, *, max_depth: int = MAX_DEPTH, max_tokens: int | None = None) -> Value:
    """The value that `data`, all of it, encodes; `InvalidMetainfo` if it is not canonical.

    `max_tokens` counts keys, values and ends of containers, a plain file entry as one; unless given it is
    `default_max_tokens(len(data))`.
    """
    return _decode(data, max_depth, max_tokens)[0]


def decode_members(data: bytes) -> tuple[dict[bytes, Value], dict[bytes, bytes]]:
    """The dictionary that `data` encodes, and the exact bytes of those of its members that are lists or dictionaries.

    An info-hash is taken over these bytes, never over what a search for `4:info` finds.
    """
    value, spans = _decode(data, MAX_DEPTH, None)
    if not isinstance(value, dict):
        raise InvalidMetainfo("not_a_dict", "The file is bencoded, but is not a dictionary.")
    keys = list(value)
    return value, {keys[index // 2]: data[start:end] for index, start, end in spans}


def default_max_tokens(size: int) -> int:
    """Room for 20,000 files with short names, and for no file that is nothing but structure.

    A file costs 1 token in a plain list and 10 in a file tree, where it takes at least 74 bytes; a bomb of `0:` or
    `le` has a token in 1 or 2 bytes.
    """
    return 50_000 + size // 8


def encode(value: Value) -> bytes:
    """The canonical encoding of `value`; `TypeError` for anything that bencode cannot say (text, bool, None)."""
    out: list[bytes] = []
    todo: list[object] = [value]
    while todo:
        item = todo.pop()
        if item is _END:
            out.append(b"e")
        elif type(item) is bytes:
            out.append(b"%d:%b" % (len(item), item))
        elif type(item) is int:
            out.append(b"i%de" % _int64(item))
        elif type(item) is list:
            out.append(b"l")
            todo += (_END, *reversed(item))
        elif type(item) is dict:
            out.append(b"d")
            todo.append(_END)
            for key in sorted(item, reverse=True):
                todo += (item[key], _key(key))
        else:
            raise TypeError(f"bencode has no {type(item).__name__}")
    return b"".join(out)


def _key(key: object) -> bytes:
    if type(key) is not bytes:
        raise TypeError("keys are bytes")
    return key


def _int64(number: int) -> int:
    if not INT_MIN <= number <= INT_MAX:
        raise OverflowError("integers are signed 64-bit")
    return number


def _decode(data: bytes, max_depth: int, max_tokens: int | None) -> tuple[Value, list[tuple[int, int, int]]]:
    tokens = default_max_tokens(len(data)) if max_tokens is None else max_tokens
    if not data:
        raise InvalidMetainfo("empty", "The file is empty.")
    spans: list[tuple[int, int, int]] = []
    value: Value
    if data[0] in b"dl":
        value, end = _container(data, max_depth, tokens, spans)
    elif data[0] in b"i":
        value, end = _integer(data, 0)
    else:
        value, end = _string(data, 0)
    if end != len(data):
        raise InvalidMetainfo("malformed", "There are bytes after the end of the bencoded value.")
    return value, spans


def _container(data: bytes, max_depth: int, max_tokens: int, spans: list[tuple[int, int, int]]) -> tuple[Value, int]:
    """The container at the start of `data` and where it ends; appends (item index, start, end) of those within it.

    One flat loop with a stack of half-read containers. A dictionary is read as a list (key, value, key, value …) and
    checked as a whole when it closes, which leaves the work per token to a few calls into C.
    """
    size, heads, integer, file_entry = len(data), _HEADS, _SHORT_INTEGER.match, _FILE_ENTRY.match
    stack: list[tuple[list[Value], bool, int]] = []
    items: list[Value] = []
    start, is_dict, pos = 0, data[0] == 0x64, 1
    value: Value
    for _ in range(max_tokens):
        if pos >= size:
            raise InvalidMetainfo("malformed", "The file ends too early.")
        kind = data[pos]
        if 0x30 <= kind <= 0x39:  # a digit
            body = pos + 2
            length = heads.get(data[pos:body])
            if length is None:
                body = pos + 3
                length = heads.get(data[pos:body])
            if length is None or body + length > size:
                value, pos = _string(data, pos)
                items.append(value)
            else:
                pos = body + length
                items.append(data[body:pos])
        elif kind == 0x65:  # e
            pos += 1
            value = _dictionary(items) if is_dict else items
            if not stack:
                return value, pos
            opened = start
            items, is_dict, start = stack.pop()
            items.append(value)
            if not stack:
                spans.append((len(items) - 1, opened, pos))
        elif kind == 0x69:  # i
            if found := integer(data, pos):
                items.append(int(found[1]))
                pos = found.end()
            else:
                value, pos = _integer(data, pos)
                items.append(value)
        elif kind == 0x64 and (
            # Not at the top, where spans are due, nor so deep that the list within it would be too deep.
            (found := file_entry(data, pos)) and 0 < len(stack) < max_depth - 2 and (entry := _file_entry(data, found))
        ):
            value, pos = entry
            items.append(value)
        elif kind == 0x64 or kind == 0x6C:  # d, l
            stack.append((items, is_dict, start))
            if len(stack) >= max_depth:
                raise InvalidMetainfo("too_deep", f"Lists and dictionaries nest deeper than {max_depth}.")
            items, is_dict, start = [], kind == 0x64, pos
            pos += 1
        else:
            raise _not_a_value(data, pos)
    raise InvalidMetainfo("too_many_tokens", "The file has too many values for its size.")


def _file_entry(data: bytes, found: re.Match[bytes]) -> tuple[Value, int] | None:
    """The plain entry of a version 1 list of files that starts at `found`, and where it ends; None for anything else.

    Only for speed: the loop above reads the same entry to the same value in eight steps or more, which for 20,000
    files is most of the time that an upload may take. Whatever is unusual or wrong here is left to that loop.
    """
    attributes, length = found.groups()
    path: list[Value] = []
    at = found.end()
    while data[at : at + 2] != b"ee":
        if len(path) == _PLAIN_PARTS:
            return None
        body = at + 2
        count = _HEADS.get(data[at:body])
        if count is None:
            body = at + 3
            count = _HEADS.get(data[at:body])
        if count is None or body + count > len(data):
            return None
        at = body + count
        path.append(data[body:at])
    if attributes is None:
        return {b"length": int(length), b"path": path}, at + 2
    return {b"attr": attributes, b"length": int(length), b"path": path}, at + 2


def _dictionary(items: list[Value]) -> dict[bytes, Value]:
    if not items:
        return {}
    if len(items) == 2 and type(items[0]) is bytes:
        return {items[0]: items[1]}
    keys = items[::2]
    if len(items) % 2:
        raise InvalidMetainfo("malformed", "A dictionary has a key without a value.")
    try:
        b"".join(keys)  # type: ignore[arg-type]  # the cheapest way to ask whether all are bytes
    except TypeError:
        raise InvalidMetainfo("malformed", "A dictionary has a key that is not a string.") from None
    value: dict[bytes, Value] = dict(zip(keys, items[1::2], strict=True))  # type: ignore[arg-type]  # just asked
    if len(value) != len(keys):
        raise InvalidMetainfo("duplicate_key", "A dictionary has the same key twice.")
    if keys != sorted(keys):  # type: ignore[type-var]  # just asked
        raise InvalidMetainfo("unsorted_keys", "The keys of a dictionary are not sorted (BEP 3).")
    return value


def _string(data: bytes, pos: int) -> tuple[bytes, int]:
    found = _LENGTH.match(data, pos)
    if found is None:
        raise _not_a_value(data, pos)
    end = found.end() + int(found[1])
    if end > len(data):
        # A length beyond any upload's size is a lie, a smaller one may be a file cut short: told apart for the user.
        if len(found[1]) > 8:
            raise InvalidMetainfo("malformed_string", "A string claims to be longer than any .torrent file.")
        raise InvalidMetainfo("malformed", "The file ends within a string.")
    return data[found.end() : end], end


def _integer(data: bytes, pos: int) -> tuple[int, int]:
    found = _INTEGER.match(data, pos)
    if found is not None:
        number = int(found[1])
        if INT_MIN <= number <= INT_MAX:
            return number, found.end()
    if found is not None or _LONG_INTEGER.match(data, pos):
        raise InvalidMetainfo("int_range", "An integer does not fit in 64 bits.")
    if _UNFINISHED_INTEGER.match(data, pos):
        raise InvalidMetainfo("malformed", "The file ends within an integer.")
    raise InvalidMetainfo("malformed_int", "An integer is not written in its one canonical form.")


def _not_a_value(data: bytes, pos: int) -> InvalidMetainfo:
    if _UNFINISHED_LENGTH.match(data, pos):
        return InvalidMetainfo("malformed", "The file ends within the length of a string.")
    if _LENGTH_LIKE.match(data, pos):
        return InvalidMetainfo("malformed_string", "The length of a string is not written in its one canonical form.")
    return InvalidMetainfo("malformed", "The file is not bencoded.")
