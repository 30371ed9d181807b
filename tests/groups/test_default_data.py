"""What a new site starts with is written once, whoever starts it and however often."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from commands.default_data import seed
from domain.base import SYSTEM
from domain.default_data import default_data
from domain.groups import Group, group_id
from domain.permissions import PERKS, Permission
from runtime.platform import Platform
from tests.given import rows_of

pytestmark = pytest.mark.engine


def events(platform: Platform) -> int:
    return int(rows_of(platform, "SELECT count(*) FROM es.event")[0][0])


def test_the_second_start_writes_nothing(platform: Platform) -> None:
    assert seed(platform.store(SYSTEM, "seed")) == 58
    assert seed(platform.store(SYSTEM, "seed")) == 0
    assert events(platform) == 115


def test_two_processes_that_start_at_once_write_it_once(platform: Platform) -> None:
    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(lambda _: seed(platform.store(SYSTEM, "seed")), range(4)))
    assert sorted(written) == [0, 0, 0, 58]
    assert events(platform) == 115


def test_what_was_changed_since_stays_changed(platform: Platform) -> None:
    seed(platform.store(SYSTEM, "seed"))
    group = platform.store(SYSTEM).get(Group, group_id("vip"))
    group.change_permissions(frozenset())
    platform.store(SYSTEM).save(group)
    assert seed(platform.store(SYSTEM, "seed")) == 0
    assert platform.store(SYSTEM).get(Group, group_id("vip")).permissions == frozenset()


def test_what_is_missing_is_added(platform: Platform) -> None:
    platform.store(SYSTEM).save(Group.found("member", "Member", 100, frozenset()))
    assert seed(platform.store(SYSTEM, "seed")) == 57


@pytest.fixture
def older(platform: Platform) -> Platform:
    """A site that was started before there was a permission to manage the tracker."""
    for aggregate in default_data():
        if isinstance(aggregate, Group) and Permission.TRACKER_MANAGE in aggregate.permissions:
            before = frozenset(Permission(held) for held in aggregate.permissions) - {Permission.TRACKER_MANAGE}
            aggregate = Group.found(aggregate.slug, aggregate.name, aggregate.level, before)
        platform.store(SYSTEM, "seed").save(aggregate)
    return platform


def test_sysops_get_what_they_may_not_do_yet_and_nobody_else_does(older: Platform) -> None:
    assert seed(older.store(SYSTEM, "seed")) == 1
    held = {slug: older.store(SYSTEM).get(Group, group_id(slug)) for slug in ("sysop", "administrator")}
    assert held["sysop"].permissions == frozenset(Permission) - PERKS
    assert Permission.TRACKER_MANAGE not in held["administrator"].permissions
    last = "SELECT e.stream_id, t.name, e.actor_id, e.origin FROM es.event e JOIN es.event_type t ON t.id = e.type"
    assert rows_of(older, f"{last} ORDER BY position DESC LIMIT 1") == [
        (group_id("sysop"), "group.permissions_changed", SYSTEM, "seed")
    ]
    assert seed(older.store(SYSTEM, "seed")) == 0
    assert events(older) == 116


def test_two_processes_that_start_at_once_add_it_once(older: Platform) -> None:
    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(lambda _: seed(older.store(SYSTEM, "seed")), range(4)))
    assert sorted(written) == [0, 0, 0, 1]
    assert events(older) == 116


def designer(platform: Platform) -> Group:
    return platform.store(SYSTEM).get(Group, group_id("designer"))


def test_a_group_that_was_founded_before_some_were_given_beside_others_is_made_one_of_these_once(
    platform: Platform,
) -> None:
    platform.store(SYSTEM, "seed").save(Group.found("designer", "Designer", 320, frozenset()))
    assert seed(platform.store(SYSTEM, "seed")) == 58, "57 are missing, and one is mended"
    assert designer(platform).secondary
    assert not platform.store(SYSTEM).get(Group, group_id("vip")).secondary
    assert seed(platform.store(SYSTEM, "seed")) == 0


def test_what_staff_have_said_of_a_group_stays(platform: Platform) -> None:
    seed(platform.store(SYSTEM, "seed"))
    group = designer(platform)
    group.redesignate(False)
    platform.store(SYSTEM).save(group)
    assert seed(platform.store(SYSTEM, "seed")) == 0
    assert not designer(platform).secondary
