"""Does a peer_id or a user agent begin as a pattern says, and which version numbers stand in it?

Whoever manages the tracker writes patterns, so they are no regular expressions: one bad one would stop an edge.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from domain.errors import Malformed

#: BEP 20: what says client and version are the first eight bytes; the rest is chance.
PEER_ID_SEEN = 8
#: Known clients write less than half of this.
AGENT_SEEN = 128
PATTERN_MAX = 64
NUMBER_DIGITS = 9

_DIGIT, _NUMBER = "{x}", "{n}"
_PLACEHOLDER = re.compile(r"(\{[xn?]\})")
_LITERAL = re.compile(r"[ -z|~]+", re.ASCII)
_DIGITS = b"0123456789"


class BadPattern(Malformed):
    """A pattern is ASCII text with `{x}`, `{n}` and `{?}`, none of whose parts could be read in two ways."""


class Pattern:
    """How a peer_id or an agent begins: literals, `{x}` for one version digit (0-9, then A-Z or a-z as 10 to 35), `{n}`
    for a decimal number of 1 to 9 digits, `{?}` for any one character.

    Whatever follows a number is no digit, so there is one way to read anything, and it is read once from left to right.
    """

    def __init__(self, text: str, seen: int) -> None:
        """`seen` is how many bytes there are to match; raises `BadPattern`."""
        if not 1 <= len(text) <= PATTERN_MAX:
            raise BadPattern(f"a pattern has 1 to {PATTERN_MAX} characters")
        parts = [part for part in _PLACEHOLDER.split(text) if part]
        _check(parts, seen)
        self.catches = sum(part in (_DIGIT, _NUMBER) for part in parts)
        self._parts = tuple(part if _PLACEHOLDER.fullmatch(part) else part.encode() for part in parts)

    def numbers(self, seen: bytes) -> tuple[int, ...] | None:
        """What the placeholders `{x}` and `{n}` caught at the beginning of `seen`; None when it begins otherwise."""
        caught: list[int] = []
        at = 0
        for part in self._parts:
            if isinstance(part, bytes):
                piece = seen[at : at + len(part)]
                if piece != part:
                    return None
            elif part == _NUMBER:
                piece = _leading_digits(seen[at : at + NUMBER_DIGITS + 1])
                if not 1 <= len(piece) <= NUMBER_DIGITS:
                    return None
                caught.append(int(piece))
            else:
                piece = seen[at : at + 1]
                if not (piece.isalnum() if part == _DIGIT else piece):
                    return None
                if part == _DIGIT:
                    caught.append(int(piece, 36))
            at += len(piece)
        return tuple(caught)


def _check(parts: Sequence[str], seen: int) -> None:
    least = 0
    for part, after in zip(parts, (*parts[1:], ""), strict=True):
        if _PLACEHOLDER.fullmatch(part):
            least += 1
        elif _LITERAL.fullmatch(part):
            least += len(part)
        else:
            raise BadPattern("a pattern is ASCII text with {x}, {n} and {?}; other braces and controls are not")
        if part == _NUMBER and (_PLACEHOLDER.fullmatch(after) or after[:1].isdigit()):
            raise BadPattern("a number {n} ends the pattern or is followed by text that begins with no digit")
    if least > seen:
        raise BadPattern(f"a pattern needs at most {seen} characters: more are not looked at")


def _leading_digits(run: bytes) -> bytes:
    return run[: len(run) - len(run.lstrip(_DIGITS))]
