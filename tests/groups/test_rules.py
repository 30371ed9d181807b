"""Groups: who may give which rights."""

from __future__ import annotations

import pytest

from domain.default_data import GROUPS
from domain.groups import SLOTS_MAX, BadSlots, Group, PermissionNotHeld, group_id, must_hold
from domain.permissions import PERKS, Permission


def founded() -> Group:
    group = Group.found("elite", "Elite", 250, frozenset({Permission.POST, Permission.SEED}))
    group.collect_events()
    return group


def test_nobody_grants_what_they_do_not_hold() -> None:
    with pytest.raises(PermissionNotHeld):
        must_hold(frozenset({"a", "b"}), frozenset({"b", "c"}))
    must_hold(frozenset({"a", "b"}), frozenset({"b"}))


def test_the_same_permissions_again_are_no_news() -> None:
    group = founded()
    group.change_permissions(frozenset({Permission.SEED, Permission.POST}))
    assert list(group.collect_events()) == []


def test_changed_permissions_are_recorded_whole_and_sorted() -> None:
    group = founded()
    group.change_permissions(frozenset({Permission.UPLOAD, Permission.LEECH}))
    (change,) = group.collect_events()
    assert isinstance(change, Group.PermissionsChanged)
    assert change.permissions == ["announce.leech", "torrents.upload"]


def test_download_slots_are_recorded_when_they_change() -> None:
    group = founded()
    for slots in (None, 5, 5, 0, None):
        group.change_download_slots(slots)
    changes = list(group.collect_events())
    assert [type(change) for change in changes] == [Group.DownloadSlotsChanged] * 3
    assert [vars(change)["download_slots"] for change in changes] == [5, 0, None]
    assert group.permissions == {Permission.POST, Permission.SEED}


@pytest.mark.parametrize("slots", [-1, SLOTS_MAX + 1])
def test_slots_that_are_no_number_of_torrents_are_refused(slots: int) -> None:
    group = founded()
    with pytest.raises(BadSlots):
        group.change_download_slots(slots)
    assert list(group.collect_events()) == []


def test_a_slug_names_one_group() -> None:
    assert group_id("elite") == founded().id != group_id("vip")


def test_the_ladder_has_13_rungs_and_only_the_banned_may_not_come_in() -> None:
    levels = [level for _, _, level, _ in GROUPS]
    assert len(GROUPS) == 13
    assert levels == sorted(set(levels))
    assert [slug for slug, _, _, rights in GROUPS if Permission.LOGIN not in rights] == ["banned"]


def test_perks_are_given_by_who_has_none() -> None:
    must_hold(frozenset({Permission.GROUPS_MANAGE}), PERKS)
    with pytest.raises(PermissionNotHeld):
        must_hold(PERKS, PERKS | {Permission.AUDIT_READ})
