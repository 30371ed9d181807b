"""The ladder of groups, what each may do and how much at a time."""

from __future__ import annotations

from domain.groups import Group
from runtime.db import Writer
from runtime.facts import Fact
from runtime.projection import Projection

groups = Projection("groups", "user_group", stream="group_id")


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
