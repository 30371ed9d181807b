"""The ladder of groups, what each may do and how much at a time."""

from __future__ import annotations

from domain.groups import Group
from domain.ladder import Criteria
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.projection import Projection

groups = Projection("groups", "user_group", "promotion_criteria", stream="group_id")


@groups.on(Group.Founded)
def founded(fact: Fact[Group.Founded], db: Writer) -> None:
    db.execute(
        "INSERT INTO user_group (slug, group_id, name, level, permissions, version, changed_pos)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (
            fact.event.slug,
            fact.stream_id,
            fact.event.name,
            fact.event.level,
            fact.event.permissions,
            fact.version,
            fact.position,
        ),
    )


@groups.on(Group.PermissionsChanged)
def permissions_changed(fact: Fact[Group.PermissionsChanged], db: Writer) -> None:
    db.update(
        "UPDATE user_group SET permissions = %s, version = %s, changed_pos = %s WHERE group_id = %s",
        (fact.event.permissions, fact.version, fact.position, fact.stream_id),
    )


@groups.on(Group.DownloadSlotsChanged)
def download_slots_changed(fact: Fact[Group.DownloadSlotsChanged], db: Writer) -> None:
    db.update(
        "UPDATE user_group SET download_slots = %s, version = %s, changed_pos = %s WHERE group_id = %s",
        (fact.event.download_slots, fact.version, fact.position, fact.stream_id),
    )


@groups.on(Group.Renamed)
def renamed(fact: Fact[Group.Renamed], db: Writer) -> None:
    db.update(
        "UPDATE user_group SET name = %s, version = %s, changed_pos = %s WHERE group_id = %s",
        (fact.event.name, fact.version, fact.position, fact.stream_id),
    )


@groups.on(Group.LevelChanged)
def level_changed(fact: Fact[Group.LevelChanged], db: Writer) -> None:
    db.update(
        "UPDATE user_group SET level = %s, version = %s, changed_pos = %s WHERE group_id = %s",
        (fact.event.level, fact.version, fact.position, fact.stream_id),
    )


@groups.on(Group.Redesignated)
def redesignated(fact: Fact[Group.Redesignated], db: Writer) -> None:
    db.update(
        "UPDATE user_group SET secondary = %s, version = %s, changed_pos = %s WHERE group_id = %s",
        (fact.event.secondary, fact.version, fact.position, fact.stream_id),
    )


@groups.on(Group.MonthlyInvitesChanged)
def monthly_invites_changed(fact: Fact[Group.MonthlyInvitesChanged], db: Writer) -> None:
    db.update(
        "UPDATE user_group SET monthly_invites = %s, version = %s, changed_pos = %s WHERE group_id = %s",
        (fact.event.monthly_invites, fact.version, fact.position, fact.stream_id),
    )


@groups.on(Group.CriteriaSet)
def criteria_set(fact: Fact[Group.CriteriaSet], db: Writer) -> None:
    criteria = [getattr(fact.event, name) for name in Criteria._fields]
    db.execute(
        "INSERT INTO promotion_criteria (slug, group_id, follows, uploaded, ratio_percent, age_days, uploads,"
        " seed_size, average_seed_time_s, keep_ratio_percent, changed_pos)"
        " SELECT slug, group_id, %s, %s, %s, %s, %s, %s, %s, %s, %s FROM user_group WHERE group_id = %s"
        " ON CONFLICT (slug) DO UPDATE SET follows = excluded.follows, uploaded = excluded.uploaded,"
        " ratio_percent = excluded.ratio_percent, age_days = excluded.age_days, uploads = excluded.uploads,"
        " seed_size = excluded.seed_size, average_seed_time_s = excluded.average_seed_time_s,"
        " keep_ratio_percent = excluded.keep_ratio_percent, changed_pos = excluded.changed_pos",
        (fact.event.follows, *criteria, fact.position, fact.stream_id),
    )
    _touch(fact, db)


@groups.on(Group.CriteriaRemoved)
def criteria_removed(fact: Fact[Group.CriteriaRemoved], db: Writer) -> None:
    db.update("DELETE FROM promotion_criteria WHERE group_id = %s", (fact.stream_id,))
    _touch(fact, db)


def _touch(fact: AnyFact, db: Writer) -> None:
    db.update(
        "UPDATE user_group SET version = %s, changed_pos = %s WHERE group_id = %s",
        (fact.version, fact.position, fact.stream_id),
    )
