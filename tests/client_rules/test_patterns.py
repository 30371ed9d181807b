"""Patterns of peer ids and agents: what they match and catch, what is no pattern, and that matching is one pass."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.client_patterns import AGENT_SEEN, NUMBER_DIGITS, PATTERN_MAX, PEER_ID_SEEN, BadPattern, Pattern

DIGITS = "0123456789"
LETTERS = "ABCXYZabcxyz"


@pytest.mark.parametrize(
    ("pattern", "seen", "caught"),
    [
        ("-qB{x}{x}{x}{x}-", b"-qB4250-", (4, 2, 5, 0)),
        ("-qB{x}{x}{x}{x}-", b"-qB43Aa-", (4, 3, 10, 10)),
        ("-qB{x}{x}{x}{x}-", b"-qB425*-", None),
        ("-qB{x}{x}{x}{x}-", b"-qB4250", None),
        ("-qB{x}{x}{x}{x}-", b"-QB4250-", None),
        ("-TR", b"-TR3000-", ()),
        ("{?}TR{?}", b"-TR3000-", ()),
        ("{?}TR{?}", b"-TR", None),
        ("qBittorrent/{n}.{n}.{n}", b"qBittorrent/4.12.005beta", (4, 12, 5)),
        ("qBittorrent/{n}.{n}.{n}", b"qBittorrent/4.12", None),
        ("qBittorrent/{n}.{n}.{n}", b"my qBittorrent/4.1.2", None),
        ("v{n}", b"v123456789", (123456789,)),
        ("v{n}", b"v1234567890", None),
        ("v{n}", b"v", None),
        ("v{n}b", b"v12", None),
        ("{n}{", b"", BadPattern),
        ("{x}{n}", b"12", (1, 2)),
        ("M{x}-{n}-{n}-", b"M7-11-2-", (7, 11, 2)),
        ("{x}", "é".encode(), None),
        ("{x}", b"\xb2", None),
        ("v{n}", "v٣".encode(), None),
    ],
)
def test_a_pattern_says_how_something_begins(pattern: str, seen: bytes, caught: Any) -> None:
    if caught is BadPattern:
        with pytest.raises(BadPattern):
            Pattern(pattern, AGENT_SEEN)
    else:
        assert Pattern(pattern, AGENT_SEEN).numbers(seen) == caught


@pytest.mark.parametrize(
    "text",
    [
        "", "a" * (PATTERN_MAX + 1), "{", "}", "{}", "{y}", "{N}", "{{x}}", "{x", "é", "a\nb", "\x00", "\x7f", "٣",
        "{n}{n}", "{n}{x}", "{n}{?}", "{n}1", "a{n}0{n}",
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_no_pattern(text: str) -> None:
    with pytest.raises(BadPattern):
        Pattern(text, AGENT_SEEN)


@pytest.mark.parametrize("text", ["-qB4250-x", "{x}" * 9, "{?}" * 8 + "-", "-qBt{n}--{n}-"])
def test_a_pattern_that_needs_more_than_is_seen_is_refused(text: str) -> None:
    with pytest.raises(BadPattern):
        Pattern(text, PEER_ID_SEEN)
    Pattern(text, PEER_ID_SEEN + 1)


# What follows a number begins with no digit; apart from that anything goes.
literals = st.text("-/. ()+~" + LETTERS, min_size=1, max_size=4)
parts = st.lists(
    st.one_of(literals, st.sampled_from(["{x}", "{?}"]), literals.map(lambda text: "{n}" + text)),
    min_size=1,
    max_size=9,
)
patterns = st.builds(lambda many, end: "".join(many) + end, parts, st.sampled_from(["", "{n}"])).filter(
    lambda text: len(text) <= PATTERN_MAX
)
agents = st.one_of(
    st.binary(max_size=AGENT_SEEN),
    st.text(DIGITS + LETTERS + "-/. ()+~", max_size=AGENT_SEEN).map(str.encode),
    st.integers(0, AGENT_SEEN).map(lambda length: b"1" * length),
)


def as_regular_expression(pattern: str) -> re.Pattern[bytes]:
    """The same language, as a library would have it."""
    said = {"{x}": "([0-9A-Za-z])", "{n}": "([0-9]{1,9})(?![0-9])", "{?}": "."}
    text = "".join(said.get(part, re.escape(part)) for part in re.split(r"(\{[xn?]\})", pattern))
    return re.compile(text.encode(), re.DOTALL)


@st.composite
def fitting(draw: st.DrawFn) -> tuple[str, bytes]:
    """A pattern with something that begins as it says, or nearly so."""
    pattern, seen = draw(patterns), ""
    for part in re.split(r"(\{[xn?]\})", pattern):
        number = draw(st.integers(0, 10 ** draw(st.integers(1, NUMBER_DIGITS + 1)) - 1))
        made = {"{x}": draw(st.sampled_from(DIGITS + LETTERS)), "{n}": str(number), "{?}": draw(st.sampled_from("-1a"))}
        seen += made.get(part, part)
    return pattern, (seen + draw(st.text("-1a", max_size=3))).encode()


@given(fitting())
def test_a_pattern_catches_what_a_regular_expression_does(case: tuple[str, bytes]) -> None:
    pattern, seen = case
    found = as_regular_expression(pattern).match(seen)
    expected = None
    if found is not None:
        groups = zip([p for p in re.findall(r"\{[xn?]\}", pattern) if p != "{?}"], found.groups(), strict=True)
        expected = tuple(int(caught, 36 if part == "{x}" else 10) for part, caught in groups)
    assert Pattern(pattern, AGENT_SEEN).numbers(seen) == expected


@given(patterns, agents)
def test_a_match_has_as_many_numbers_as_placeholders(text: str, seen: bytes) -> None:
    pattern = Pattern(text, AGENT_SEEN)
    caught = pattern.numbers(seen)
    assert pattern.catches == text.count("{x}") + text.count("{n}")
    assert caught is None or len(caught) == pattern.catches


class Watched(bytes):
    """Bytes that count which of them are looked at."""

    looked_at = 0

    def __getitem__(self, key: Any) -> Any:
        piece = super().__getitem__(key)
        self.looked_at += len(piece)
        return piece


@given(patterns, agents)
def test_matching_looks_at_each_byte_once_and_at_one_more_for_each_number(text: str, seen: bytes) -> None:
    """No pattern and no input make it go back: a number reads up to ten bytes and goes on behind its last digit."""
    watched = Watched(seen)
    caught = Pattern(text, AGENT_SEEN).numbers(watched)
    ahead = text.count("{n}") * (NUMBER_DIGITS + 1)
    assert watched.looked_at <= min(len(seen), len(text)) + ahead
    assert caught is None or watched.looked_at > 0


@given(st.text(max_size=PATTERN_MAX + 1), st.binary(max_size=AGENT_SEEN))
def test_any_text_is_a_pattern_or_refused_as_one(text: str, seen: bytes) -> None:
    try:
        pattern = Pattern(text, AGENT_SEEN)
    except BadPattern:
        return
    assert all(0 <= number < 10**NUMBER_DIGITS for number in pattern.numbers(seen) or ())
