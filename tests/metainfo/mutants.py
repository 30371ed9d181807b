"""Damaged torrents, the same for the same seed: bytes changed blindly, and values changed within the structure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from domain.metainfo.bencode import decode, encode

_ODD_INTEGERS = (-1, 0, 1, 2, 3, 20, 100, 300, 16_383, 16_384, 32_768, 50_000, 2**27, 2**31, 2**47, 2**48, 2**63 - 1)
_ODD_STRINGS = (b"", b".", b"..", b"a", b"A.TXT", b"a/b", b"\xff", b"x" * 20, bytes(32), b"r" * 32, b"p", b"l", b"h")
_ODD_KEYS = (
    *(b"", b"attr", b"file tree", b"files", b"length", b"meta version", b"name", b"name.utf-8", b"path", b"path.utf-8"),
    *(b"piece layers", b"piece length", b"pieces", b"pieces root", b"private", b"root hash", b"similar", b"source"),
    *(b"ssl-cert", b"symlink path", b"url-list", b"nodes", b"announce-list", b"creation date", b"a.txt", b"sub"),
)


def mutants(originals: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """`count` damaged copies, half of them still canonical bencode, with one to three changes each."""
    rng = Random(seed)
    trees = [decode(original) for original in originals]
    for number in range(count):
        which = rng.randrange(len(originals))
        if number % 2:
            yield _damaged_bytes(originals[which], rng)
        else:
            yield _damaged_tree(trees[which], rng)


def _damaged_bytes(data: bytes, rng: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(changed) - 8)
        match rng.randrange(5):
            case 0:
                changed[at] = rng.randrange(256)
            case 1:
                del changed[at : at + rng.randint(1, 8)]
            case 2:
                changed[at:at] = rng.choice((b"e", b"d", b"l", b"i0e", b"0:", b"1:a", b"9", b"-", changed[:at][-8:]))
            case 3:
                changed[at] ^= 1 << rng.randrange(8)
            case _:
                changed[at] = rng.choice(b"0123456789dlei:-")
    return bytes(changed)


def _damaged_tree(tree: Any, rng: Random) -> bytes:
    changed = decode(encode(tree))
    for _ in range(rng.randint(1, 3)):
        holder, key = rng.choice(list(_places(changed)))
        match rng.randrange(6):
            case 0:
                del holder[key]
            case 1:
                holder[key] = _grafted(changed, rng)
            case 2 if isinstance(holder, list):
                holder.insert(key, holder[rng.randrange(len(holder))])
            case 2 | 3 if isinstance(holder, dict):
                holder[rng.choice(_ODD_KEYS)] = rng.choice((holder[key], _odd(rng)))
            case 3:
                holder.reverse()
            case _:
                holder[key] = _near(holder[key], rng)
        if not list(_places(changed)):
            break
    return encode(changed)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key or index) below `value`."""
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def _odd(rng: Random) -> Any:
    return rng.choice((*_ODD_INTEGERS, *_ODD_STRINGS, [], {}, [b"a"], {b"": {}}))


def _grafted(tree: Any, rng: Random) -> Any:
    """A copy of some other part of the same tree."""
    holder, key = rng.choice(list(_places(tree)))
    return decode(encode(holder[key]))


def _near(value: Any, rng: Random) -> Any:
    if isinstance(value, int):
        return rng.choice((max(value, 0) - 1, min(value, 2**62 - 1) * 2, rng.choice(_ODD_INTEGERS)))
    if isinstance(value, bytes) and value:
        at = rng.randrange(len(value))
        return rng.choice((value[:at], value + b"x", value * 2, value[:at] + b"~" + value[at + 1 :]))
    return _odd(rng)
