"""The table of groups, built from events of two of them, and built again."""

from __future__ import annotations

import pytest

from domain.groups import Group, group_id
from domain.ladder import Criteria
from projections.groups import groups
from runtime.rebuild import verify
from tests.given import Given, event, projected, rows_of

pytestmark = pytest.mark.engine


def test_download_slots_are_those_of_one_group(given: Given) -> None:
    for slug, level in (("member", 100), ("elite", 250)):
        given.facts(event(Group.Founded, group_id(slug), slug=slug, name=slug, level=level, permissions=["a.b"]))
    position = given.facts(event(Group.DownloadSlotsChanged, group_id("elite"), 2, download_slots=5))
    projected(given.platform, groups)
    rows = rows_of(
        given.platform,
        "SELECT slug, permissions, download_slots, version, changed_pos FROM read.user_group ORDER BY level",
    )
    assert rows[0][:4] == ("member", ["a.b"], None, 1)
    assert rows[1] == ("elite", ["a.b"], 5, 2, position)
    assert [(t.rows, t.differences) for t in verify(given.platform, groups)] == [(2, 0), (0, 0)]


def test_permissions_are_those_of_one_group(given: Given) -> None:
    for slug, level in (("member", 100), ("elite", 250)):
        given.facts(
            event(Group.Founded, group_id(slug), slug=slug, name=slug.title(), level=level, permissions=["site.login"])
        )
    position = given.facts(event(Group.PermissionsChanged, group_id("elite"), 2, permissions=["a.b", "site.login"]))
    projected(given.platform, groups)
    projected(given.platform, groups)
    rows = rows_of(
        given.platform, "SELECT slug, group_id, name, level, permissions, version FROM read.user_group ORDER BY level"
    )
    assert rows == [
        ("member", group_id("member"), "Member", 100, ["site.login"], 1),
        ("elite", group_id("elite"), "Elite", 250, ["a.b", "site.login"], 2),
    ]
    assert rows_of(given.platform, "SELECT max(changed_pos) FROM read.user_group") == [(position,)]
    assert [(t.rows, t.differences) for t in verify(given.platform, groups)] == [(2, 0), (0, 0)]


def test_criteria_are_those_of_one_group_and_go_when_they_are_removed(given: Given) -> None:
    for slug, level in (("member", 100), ("elite", 250)):
        given.facts(event(Group.Founded, group_id(slug), slug=slug, name=slug, level=level, permissions=[]))
    asked = Criteria(7, 105, uploads=3, keep_ratio_percent=95)._asdict()
    given.facts(event(Group.CriteriaSet, group_id("member"), 2, follows="validating", **asked))
    given.facts(event(Group.CriteriaSet, group_id("elite"), 2, follows="member", **asked))
    position = given.facts(event(Group.CriteriaSet, group_id("elite"), 3, follows="member", **asked | {"uploads": 4}))
    projected(given.platform, groups)
    shown = "SELECT slug, follows, uploaded, uploads, keep_ratio_percent FROM read.promotion_criteria ORDER BY slug"
    assert rows_of(given.platform, shown) == [("elite", "member", 7, 4, 95), ("member", "validating", 7, 3, 95)]
    versions = "SELECT version, changed_pos FROM read.user_group WHERE slug = 'elite'"
    assert rows_of(given.platform, versions) == [(3, position)]
    given.facts(event(Group.CriteriaRemoved, group_id("elite"), 4))
    projected(given.platform, groups)
    assert [row[0] for row in rows_of(given.platform, shown)] == ["member"]
    assert [(t.rows, t.differences) for t in verify(given.platform, groups)] == [(2, 0), (1, 0)]
