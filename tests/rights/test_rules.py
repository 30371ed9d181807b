"""Rights of one user: what may be given, until when it holds, and what all of it together allows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.permissions import Permission
from domain.rights import (
    NoSuchException,
    NotExceptional,
    NotInSecondaryGroup,
    RightEndsInPast,
    Rights,
    effective,
    rights_id,
)
from domain.torrents import ReasonMissing
from tests.given import NOON

ADA = UUID("0199a4f0-0000-7000-8000-000000000001")
LATER = NOON + timedelta(days=1)
INVITE, UPLOAD = Permission.INVITE, Permission.UPLOAD
NONE: frozenset[str] = frozenset()


@pytest.fixture
def rights() -> Rights:
    rights = Rights.open(ADA)
    rights.collect_events()
    return rights


def kinds(rights: Rights) -> list[type]:
    return [type(event) for event in rights.collect_events()]


def test_what_is_granted_holds_until_its_time(rights: Rights) -> None:
    rights.grant(INVITE, "r", LATER, now=NOON)
    rights.deny(UPLOAD, "r", None, now=NOON)
    assert (rights.granted(NOON), rights.denied(NOON)) == (frozenset({INVITE}), frozenset({UPLOAD}))
    assert rights.granted(LATER - timedelta(microseconds=1)) == {INVITE}
    assert (rights.granted(LATER), rights.denied(LATER)) == (NONE, frozenset({UPLOAD}))


def test_the_newest_word_about_a_permission_counts(rights: Rights) -> None:
    rights.grant(INVITE, "r", LATER, now=NOON)
    rights.deny(INVITE, "r", None, now=NOON)
    assert (rights.granted(NOON), rights.denied(NOON)) == (NONE, frozenset({INVITE}))
    rights.grant(INVITE, "r", None, now=NOON)
    assert (rights.granted(LATER), rights.denied(LATER)) == (frozenset({INVITE}), NONE)


def test_the_same_again_is_no_news(rights: Rights) -> None:
    for _ in range(2):
        rights.grant(INVITE, "r", LATER, now=NOON)
        rights.give_group("designer", "r", None, now=NOON)
        rights.lock_class("r")
    assert kinds(rights) == [Rights.PermissionGranted, Rights.SecondaryGroupGiven, Rights.ClassLocked]
    rights.grant(INVITE, "r", None, now=NOON)
    rights.give_group("designer", "r", LATER, now=NOON)
    assert kinds(rights) == [Rights.PermissionGranted, Rights.SecondaryGroupGiven]


def test_withdrawn_and_taken_it_is_gone(rights: Rights) -> None:
    rights.grant(INVITE, "r", None, now=NOON)
    rights.give_group("designer", "r", None, now=NOON)
    rights.withdraw(INVITE, "r", now=NOON)
    rights.take_group("designer", "r", now=NOON)
    assert (rights.granted(NOON), rights.groups(NOON)) == (NONE, [])
    with pytest.raises(NoSuchException):
        rights.withdraw(INVITE, "r", now=NOON)
    with pytest.raises(NotInSecondaryGroup):
        rights.take_group("designer", "r", now=NOON)


def test_what_is_over_is_recorded_once_and_the_rest_stays(rights: Rights) -> None:
    rights.grant(INVITE, "r", LATER, now=NOON)
    rights.deny(UPLOAD, "r", None, now=NOON)
    rights.give_group("designer", "r", LATER, now=NOON)
    rights.collect_events()
    rights.expire(now=LATER - timedelta(microseconds=1))
    assert kinds(rights) == []
    rights.expire(now=LATER)
    rights.expire(now=LATER)
    assert kinds(rights) == [Rights.ExceptionExpired, Rights.SecondaryGroupExpired]
    assert rights.denied(LATER) == {UPLOAD}


def test_what_is_over_cannot_be_withdrawn_and_may_be_given_again(rights: Rights) -> None:
    rights.grant(INVITE, "r", LATER, now=NOON)
    with pytest.raises(NoSuchException):
        rights.withdraw(INVITE, "r", now=LATER)
    rights.grant(INVITE, "r", LATER + timedelta(days=1), now=LATER)
    assert rights.granted(LATER) == {INVITE}


@pytest.mark.parametrize("reason", ["", " ", "x" * 1001])
def test_nothing_is_done_without_a_reason(rights: Rights, reason: str) -> None:
    attempts: tuple[Callable[[], None], ...] = (
        lambda: rights.grant(INVITE, reason, None, now=NOON),
        lambda: rights.deny(INVITE, reason, None, now=NOON),
        lambda: rights.withdraw(INVITE, reason, now=NOON),
        lambda: rights.give_group("designer", reason, None, now=NOON),
        lambda: rights.take_group("designer", reason, now=NOON),
        lambda: rights.lock_class(reason),
        lambda: rights.unlock_class(reason),
    )
    for refused in attempts:
        with pytest.raises(ReasonMissing):
            refused()
    assert kinds(rights) == []


def test_nothing_ends_before_it_begins(rights: Rights) -> None:
    with pytest.raises(RightEndsInPast):
        rights.grant(INVITE, "r", NOON, now=NOON)
    with pytest.raises(RightEndsInPast):
        rights.give_group("designer", "r", NOON - timedelta(days=1), now=NOON)


def test_who_comes_in_is_no_exception(rights: Rights) -> None:
    with pytest.raises(NotExceptional):
        rights.grant(Permission.LOGIN, "r", None, now=NOON)
    with pytest.raises(NotExceptional):
        rights.deny(Permission.LOGIN, "r", None, now=NOON)


def test_rights_are_one_stream_per_user() -> None:
    assert Rights.open(ADA).id == rights_id(ADA) != rights_id(UUID(int=7))


SETS = st.frozensets(st.sampled_from("abcde"))


@given(groups=st.lists(SETS, max_size=4), granted=SETS, denied=SETS, taken=SETS)
def test_bans_and_denials_win_over_whatever_grants(
    groups: list[frozenset[str]], granted: frozenset[str], denied: frozenset[str], taken: frozenset[str]
) -> None:
    held = effective(groups, granted, denied, taken)
    for one in "abcde":
        given_by_any = one in granted or any(one in group for group in groups)
        assert (one in held) == (given_by_any and one not in denied and one not in taken)
    assert held == effective(list(reversed(groups)), granted, denied, taken)
