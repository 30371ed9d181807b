"""What a new site starts with is written once, whoever starts it and however often."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from commands.default_data import seed
from domain.base import SYSTEM
from domain.groups import Group, group_id
from runtime.platform import Platform
from tests.given import rows_of

pytestmark = pytest.mark.engine


def events(platform: Platform) -> int:
    return int(rows_of(platform, "SELECT count(*) FROM es.event")[0][0])


def test_the_second_start_writes_nothing(platform: Platform) -> None:
    assert seed(platform.store(SYSTEM, "seed")) == 57
    assert seed(platform.store(SYSTEM, "seed")) == 0
    assert events(platform) == 57


def test_two_processes_that_start_at_once_write_it_once(platform: Platform) -> None:
    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(lambda _: seed(platform.store(SYSTEM, "seed")), range(4)))
    assert sorted(written) == [0, 0, 0, 57]
    assert events(platform) == 57


def test_what_was_changed_since_stays_changed(platform: Platform) -> None:
    seed(platform.store(SYSTEM, "seed"))
    group = platform.store(SYSTEM).get(Group, group_id("vip"))
    group.change_permissions(frozenset())
    platform.store(SYSTEM).save(group)
    assert seed(platform.store(SYSTEM, "seed")) == 0
    assert platform.store(SYSTEM).get(Group, group_id("vip")).permissions == frozenset()


def test_what_is_missing_is_added(platform: Platform) -> None:
    platform.store(SYSTEM).save(Group.found("member", "Member", 100, frozenset()))
    assert seed(platform.store(SYSTEM, "seed")) == 56
