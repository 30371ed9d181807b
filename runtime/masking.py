"""What no log may hold, and how it is taken out: keys in URLs, tokens, passwords, control characters."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

MASK = "***"
MAX_TEXT = 8192
MAX_DEPTH = 6

_SECRET_WORD = r"(?:password|passwd|passkey|secret|token|totp|authorization|cookie|api_?key|credential|recovery)"

#: A field whose name holds one of these words is masked whole.
_SECRET_NAME = re.compile(_SECRET_WORD, re.IGNORECASE)

_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"

#: Each is linear in the length of the text: repeats are bounded or cannot start twice within one run.
_PATTERNS = (
    # Announce keys in paths: /announce/<key>, /<key>/announce, and BEP 48's rewrites of both to scrape.
    (re.compile(r"(/(?:announce|scrape)/)[^/?#\s\"']+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"/(?:[A-Za-z0-9_.~-]|%[0-9A-Fa-f]{2}){16,}(/(?:announce|scrape)\b)", re.IGNORECASE), rf"/{MASK}\1"),
    # Headers, to the end of the line
    (
        re.compile(rf"\b((?:authorization|cookie)[\"']?\s{{0,4}}[=:]\s{{0,4}})(?:{_QUOTED}|[^\r\n]+)", re.I),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b(Bearer|Basic)\s{1,4}[A-Za-z0-9._~+/=-]+", re.IGNORECASE), rf"\1 {MASK}"),
    # name=value and "name": "value", in queries, DSNs, JSON and reprs
    (
        re.compile(
            rf"({_SECRET_WORD}\w{{0,32}}[\"']?\s{{0,4}}[=:]\s{{0,4}})(?:{_QUOTED}|[^\s&\"',;}}]+)", re.IGNORECASE
        ),
        rf"\1{MASK}",
    ),
    # user:password@ of a URL
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]+@"), rf"\1{MASK}@"),
    # A JSON Web Token by itself (RFC 7519: three base64url parts, the first of which begins with `{"`)
    (re.compile(r"(?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]*"), MASK),
    # An API key or a feed key by itself
    (re.compile(r"(?<![\w-])(?:utp|rss)_[\w-]{8,}"), MASK),
    # An announce key by itself: exactly 32 characters, letters and digits mixed
    (re.compile(r"(?<![\w-])(?=[a-zA-Z-]*\d)(?=[\d-]*[a-zA-Z])[A-Za-z0-9-]{32}(?![\w-])"), MASK),
)


def mask_text(text: str) -> str:
    """`text` without the secrets that its shape gives away; the middle of a very long one is left out."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT // 2]}…{text[-MAX_TEXT // 2 :]}"


def mask_fields(fields: Mapping[object, object], depth: int = 0) -> dict[str, object]:
    """A copy with masked values, of plain JSON types only."""
    return {
        mask_text(str(name)): MASK if _SECRET_NAME.search(str(name)) else mask_value(value, depth)
        for name, value in fields.items()
    }


def mask_value(value: object, depth: int = 0) -> object:
    """`value` as a plain JSON type without secrets; anything else becomes its masked `repr`."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return mask_text(value)
        case Mapping() if depth < MAX_DEPTH:
            return mask_fields(value, depth + 1)
        case list() | tuple() | set() | frozenset() if depth < MAX_DEPTH:
            return [mask_value(item, depth + 1) for item in value]
        case _:
            return mask_text(_repr(value))


def escape_controls(text: str) -> str:
    """Control and line-breaking characters as `\\x1b`: a reader's terminal and line counter see none of them."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _repr(value: object) -> str:
    """A log line never fails for what it was asked to show; depth limits above keep `value` from nesting for ever."""
    try:
        return repr(value)
    except Exception as error:
        return f"<{type(value).__name__}: {type(error).__name__} in repr>"
