"""Compose files as Compose reads them: the part of YAML 1.2 that ours use, and one file laid over another.

Block mappings and sequences, flow sequences and mappings on one line, quoted and plain scalars, anchors, aliases and
merge keys. Whatever else there is in a file is refused and not guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_KEY = re.compile(r"([A-Za-z_<][\w.<-]*):(?: +(.*))?$")
_FLOW = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[^\s,\[\]{}"][^,\[\]{}]*|[\[\]{},])')
#: Lists that say one thing: a file on top replaces them, it adds to others.
_REPLACED = {"command", "entrypoint", "test"}


class NotOurs(ValueError):
    """A line that is no part of the YAML that is understood here."""


class Line(NamedTuple):
    number: int
    indent: int
    text: str


def load(text: str) -> Any:
    """The document; raises `NotOurs` naming the line."""
    lines = list(_lines(text))
    value, rest = _block(lines, 0, {})
    if rest != len(lines):
        raise NotOurs(f"line {lines[rest].number}: indentation")
    return value


def over(base: Any, top: Any, key: str = "") -> Any:
    """What Compose makes of two files: mappings merged, lists added to, everything else replaced."""
    if isinstance(base, dict) and isinstance(top, dict):
        return {name: over(base.get(name), top.get(name), name) for name in [*base, *(n for n in top if n not in base)]}
    if isinstance(base, list) and isinstance(top, list) and key not in _REPLACED:
        return base + [one for one in top if one not in base]
    return base if top is None else top


def filled(value: Any, variables: dict[str, str]) -> Any:
    """`${NAME}`, `${NAME:-default}` and `${NAME:?why}` replaced; raises KeyError for a name that has to be given."""
    if isinstance(value, dict):
        return {name: filled(one, variables) for name, one in value.items()}
    if isinstance(value, list):
        return [filled(one, variables) for one in value]
    if not isinstance(value, str):
        return value

    def replaced(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        return variables[name] if name in variables or kind != ":-" else rest

    return re.sub(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}", replaced, value)


def _lines(text: str) -> Iterator[Line]:
    for number, raw in enumerate(text.splitlines(), start=1):
        if "\t" in raw:
            raise NotOurs(f"line {number}: a tab")
        bare = re.sub(r"(^|\s)#.*$", "", raw) if '"' not in raw else raw
        if bare.strip():
            yield Line(number, len(bare) - len(bare.lstrip()), bare.strip())


def _block(lines: list[Line], at: int, anchors: dict[str, Any]) -> tuple[Any, int]:
    if lines[at].text.startswith("- "):
        return _sequence(lines, at, anchors)
    return _mapping(lines, at, anchors)


def _mapping(lines: list[Line], at: int, anchors: dict[str, Any]) -> tuple[dict[str, Any], int]:
    indent, found, merged = lines[at].indent, dict[str, Any](), dict[str, Any]()
    while at < len(lines) and lines[at].indent == indent:
        line = lines[at]
        match = _KEY.match(line.text)
        if not match or match[1] in found:
            raise NotOurs(f"line {line.number}: {line.text!r} is no key, or a second one of that name")
        name, rest = match[1], match[2] or ""
        anchor = re.fullmatch(r"&(\w+)", rest)
        if rest and not anchor:
            value, at = _scalar(rest, line, anchors), at + 1
        elif at + 1 < len(lines) and lines[at + 1].indent > indent:
            value, at = _block(lines, at + 1, anchors)
        else:
            value, at = None, at + 1
        if anchor:
            anchors[anchor[1]] = value
        if name == "<<":
            for one in value if isinstance(value, list) else [value]:
                merged = {**one, **merged}
        else:
            found[name] = value
    return {**merged, **found}, at


def _sequence(lines: list[Line], at: int, anchors: dict[str, Any]) -> tuple[list[Any], int]:
    indent, found = lines[at].indent, []
    while at < len(lines) and lines[at].indent == indent and lines[at].text.startswith("- "):
        line = lines[at]
        text = line.text[2:].lstrip()
        if _KEY.match(text):
            inner = Line(line.number, indent + len(line.text) - len(text), text)
            lines[at] = inner
            value, at = _mapping(lines, at, anchors)
        else:
            value, at = _scalar(text, line, anchors), at + 1
        found.append(value)
    return found, at


def _scalar(text: str, line: Line, anchors: dict[str, Any]) -> Any:
    if text.startswith(("[", "{")):
        tokens = _FLOW.findall(text)
        if "".join(tokens).replace(" ", "") != text.replace(" ", ""):
            raise NotOurs(f"line {line.number}: {text!r}")
        value, rest = _flow(tokens, line, anchors)
        if rest:
            raise NotOurs(f"line {line.number}: {text!r} goes on")
        return value
    if text.startswith("*"):
        return anchors[text[1:]]
    if text.startswith(("&", "!", "|", ">", "'", "@", "`", "%")) or (text.startswith('"') != text.endswith('"')):
        raise NotOurs(f"line {line.number}: {text!r}")
    if text.startswith('"'):
        return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    plain = {"true": True, "false": False, "null": None}
    return plain[text] if text in plain else int(text) if re.fullmatch(r"-?\d+", text) else text


def _flow(tokens: list[str], line: Line, anchors: dict[str, Any]) -> tuple[Any, list[str]]:
    first, *rest = tokens
    if first == "[":
        items = []
        while rest[0] != "]":
            item, rest = _flow(rest, line, anchors)
            items.append(item)
            rest = rest[1:] if rest[0] == "," else rest
        return items, rest[1:]
    if first == "{":
        pairs: dict[str, Any] = {}
        while rest[0] != "}":
            name, _, value = rest[0].strip().partition(":")
            rest = rest[1:]
            if not value.strip() and rest[0] not in ",}":  # the value is quoted, and so a token of its own
                value, rest = rest[0], rest[1:]
            pairs[name] = _scalar(value.strip(), line, anchors)
            rest = rest[1:] if rest[0] == "," else rest
        return pairs, rest[1:]
    return _scalar(first.strip(), line, anchors), rest
