"""Groups of linked accounts: how they grow, and that no account is left alone in one."""

from __future__ import annotations

from uuid import UUID

import pytest

from domain.linked_accounts import ACCOUNTS_MAX, AlreadyLinked, LinkedToItself, LinkGroup, NotLinked, TooManyLinked
from domain.torrents import ReasonMissing

ID, ALICE, BOB, CAROL = (UUID(int=n) for n in (1, 2, 3, 4))


def formed() -> LinkGroup:
    group = LinkGroup.form(ID, ALICE, BOB, "same printer")
    group.collect_events()
    return group


def decided(group: LinkGroup) -> list[str]:
    return [type(event).__name__ for event in group.collect_events()]


def test_an_account_joins_once() -> None:
    group = formed()
    group.join(CAROL, "same printer")
    with pytest.raises(AlreadyLinked):
        group.join(CAROL, "again")
    assert decided(group) == ["Joined"]
    assert group.user_ids == [ALICE, BOB, CAROL]


def test_one_of_three_leaves_and_the_last_two_part() -> None:
    group = formed()
    group.join(CAROL, "r")
    assert group.leave(BOB, "a flatmate") == [BOB]
    assert group.leave(CAROL, "a flatmate") == [ALICE, CAROL]
    assert decided(group) == ["Joined", "Left", "Dissolved"]
    with pytest.raises(NotLinked):
        group.leave(ALICE, "r")
    with pytest.raises(NotLinked):
        group.dissolve("r")


def test_everything_has_a_reason_and_two_sides() -> None:
    group = formed()
    with pytest.raises(ReasonMissing):
        LinkGroup.form(ID, ALICE, BOB, " ")
    with pytest.raises(ReasonMissing):
        group.join(CAROL, "")
    with pytest.raises(ReasonMissing):
        group.leave(ALICE, "")
    with pytest.raises(ReasonMissing):
        group.dissolve("")
    with pytest.raises(LinkedToItself):
        LinkGroup.form(ID, ALICE, ALICE, "r")
    assert decided(group) == []


def test_a_group_has_an_end() -> None:
    group = formed()
    for n in range(ACCOUNTS_MAX - 2):
        group.join(UUID(int=100 + n), "r")
    with pytest.raises(TooManyLinked):
        group.join(CAROL, "r")
