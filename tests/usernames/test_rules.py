"""Names: which are taken, which pass for others, which are banned."""

from __future__ import annotations

import string
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.errors import DomainError
from domain.torrents import ReasonMissing
from domain.usernames import (
    BANNED_NAMES,
    PATTERNS_MAX,
    BadNamePattern,
    BadUsername,
    BannedNames,
    NamePatternBanned,
    NamePatternNotBanned,
    ReservedUsername,
    TooManyNamePatterns,
    UsernameBanned,
    check_username,
    skeleton,
    username_key,
)

EXAMPLES = 20_000
SIGNS = string.ascii_letters + string.digits + "-_"
#: What is mistaken for something else.
RISKY = "o0O1lIi5sS8bB2zZrnmvwW-_"
DOUBLES = {"o": "0", "l": "1i", "i": "1l", "1": "li", "0": "o", "s": "5", "5": "s", "b": "8", "z": "2"}


@pytest.mark.parametrize("name", ["bob", "A-b_c", "x" * 25, "1234", "a1-b2"])
def test_plain_names_are_taken(name: str) -> None:
    check_username(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "a", "ab", "x" * 26, "x" * 33, "ᴮᴵᴳᴮᴵᴿᴰ", "admin\u200b", "\u0430lice", "ﬁona", "İstan", "straße", "..",
        "a\tb", "@alice", "-bob", "bob-", "a--b", "a_-b", "al ice", "alice\n", "a.b.c", "١٢٣", "名前名前",
    ],
)  # fmt: skip
def test_names_that_could_pass_for_others_are_refused(name: str) -> None:
    with pytest.raises(BadUsername):
        check_username(name)


@pytest.mark.parametrize("name", ["system", "SYSTEM", "Admin", "erased", "adm1n", "m0d", "rnod", "s-y-s-t-e-m"])
def test_the_sites_own_names_are_reserved(name: str) -> None:
    with pytest.raises(ReservedUsername):
        check_username(name)
    check_username(name, reserved=True)


@given(st.text(max_size=40) | st.text(st.sampled_from(RISKY), max_size=25))
@settings(max_examples=300, deadline=None)
@example("İstanbul")
def test_the_forms_by_which_names_are_compared_are_stable(name: str) -> None:
    assert username_key(username_key(name)) == username_key(name)
    assert skeleton(skeleton(name)) == skeleton(name) == skeleton(username_key(name))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_name_that_is_drawn_like_another_has_its_skeleton(seed: int) -> None:
    """Whatever somebody swaps for its double, drops or sets between the signs of a name; 20,000 names (S12)."""
    rng = Random(seed)
    for signs in (RISKY, SIGNS):
        for _ in range(EXAMPLES // 4):
            name = "".join(rng.choices(signs, k=rng.randint(3, 25)))
            drawn = "".join(rng.choice([sign, sign.swapcase(), *DOUBLES.get(sign.lower(), "")]) for sign in name)
            drawn = "".join(sign + rng.choice(["", "", "-", "_"]) for sign in drawn)
            assert skeleton(drawn) == skeleton(name) == skeleton(skeleton(drawn)), (name, drawn)
            assert username_key(username_key(drawn)) == username_key(drawn)


@pytest.mark.parametrize(
    ("one", "other"),
    [("alice", "ALICE"), ("alice", "a1ice"), ("alice", "al-i_ce"), ("corner", "comer"), ("vvilly", "willy"),
     ("b0b5", "BoBs"), ("l1I", "iii"), ("r-nax", "max"), ("z8o", "2b0")],
)  # fmt: skip
def test_names_that_look_alike(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(("one", "other"), [("alice", "alicia"), ("clean", "dean"), ("bob3", "bob4")])
def test_names_that_do_not(one: str, other: str) -> None:
    assert skeleton(one) != skeleton(other)


def banned(*patterns: str) -> BannedNames:
    names = BannedNames.open(BANNED_NAMES)
    for pattern in patterns:
        names.ban(pattern, "not here")
    return names


def decided(names: BannedNames) -> list[type]:
    return [type(event) for event in names.collect_events()]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("nazi", "Nazi"), ("nazi", "n-a-z-1"), ("*staff*", "the-5taff-2"), ("mod-*", "mod-joe"), ("*-bot", "uploadbot"),
     ("x*y*z", "xAyBz")],
)  # fmt: skip
def test_a_banned_name_is_refused_however_it_is_drawn(pattern: str, name: str) -> None:
    with pytest.raises(UsernameBanned):
        banned("another", pattern).check(name)


@pytest.mark.parametrize(("pattern", "name"), [("nazi", "nazir"), ("mod-*", "com0d"), ("*-bot", "bottle")])
def test_names_beside_a_pattern_are_free(pattern: str, name: str) -> None:
    banned(pattern).check(name)


@pytest.mark.parametrize(
    "pattern", ["", "*", "**", "a*", "*ab*", "a**b*c", "[abc]", "a?b", "x" * 41, "a*b*c*d*e*f", "naz\u0131"]
)
def test_patterns_that_ban_everybody_or_mean_nothing_are_refused(pattern: str) -> None:
    with pytest.raises(BadNamePattern):
        banned(pattern)


def test_a_name_that_is_allowed_again_is_free_and_the_others_stay_banned() -> None:
    names = banned("Nazi", "spam*")
    names.allow("NAZI", "appealed")
    names.check("nazi")
    with pytest.raises(UsernameBanned):
        names.check("spammer")
    assert decided(names) == [BannedNames.Opened, BannedNames.Banned, BannedNames.Banned, BannedNames.Allowed]


def refused(
    rule: type[DomainError], names: BannedNames, *, ban: str = "", allow: str = "", reason: str = "why"
) -> None:
    before = dict(names.patterns)
    with pytest.raises(rule):
        names.ban(ban, reason) if ban else names.allow(allow, reason)
    assert names.patterns == before


def test_what_changes_nothing_is_refused() -> None:
    names = banned("spam*")
    refused(NamePatternBanned, names, ban="SPAM*")
    refused(NamePatternNotBanned, names, allow="spam")
    refused(ReasonMissing, names, ban="eggs", reason=" ")
    refused(ReasonMissing, names, allow="spam*", reason="")


def test_the_list_is_bounded() -> None:
    names = banned(*(f"name{n}x" for n in range(PATTERNS_MAX)))
    refused(TooManyNamePatterns, names, ban="onemore")
