"""What is done to groups: founding them, moving them on the ladder, changing what their members may do and get."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from domain.groups import LEVELS, MONTHLY_INVITES_MAX, SLOTS_MAX, Group, GroupExists, group_id, must_hold
from domain.permissions import Permission
from domain.users import must_outrank
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Requires, StoreDep
from runtime.http.types import Command
from runtime.store import Receipt, Store

router = APIRouter(prefix="/api/v1/groups", tags=["groups"], route_class=CommandRoute)

Manager = Annotated[Caller, Requires(Permission.GROUPS_MANAGE)]


class FoundGroup(Command):
    slug: str = Field(max_length=32, description="small letters and digits with single underscores between them")
    name: str
    level: int = Field(ge=LEVELS.start, lt=LEVELS.stop)
    permissions: list[Permission]
    secondary: bool = Field(False, description="given to members of other groups, beside their own")


class ChangeGroup(Command):
    """All of it: what a group is called, where it stands, and whether it is given beside another."""

    name: str
    level: int = Field(ge=LEVELS.start, lt=LEVELS.stop)
    secondary: bool


class ChangePermissions(Command):
    """`permissions` is the whole list, not what is added."""

    permissions: list[Permission]


class ChangeDownloadSlots(Command):
    """How many torrents a member downloads at a time; null for no limit."""

    download_slots: int | None = Field(ge=0, le=SLOTS_MAX)


class ChangeMonthlyInvites(Command):
    monthly_invites: int = Field(ge=0, le=MONTHLY_INVITES_MAX)


@router.post("", status_code=201)
def found_group(command: FoundGroup, staff: Manager, store: StoreDep) -> Receipt:
    """Make a group below the caller's own; nobody grants what they do not have."""
    if store.find(Group, group_id(command.slug)) is not None:
        raise GroupExists("another group has this slug")
    permissions = frozenset(command.permissions)
    must_outrank(staff.level, command.level)
    must_hold(staff.permissions, permissions)
    group = Group.found_by_staff(command.slug, command.name, command.level, permissions)
    group.redesignate(command.secondary)
    return store.save(group)


@router.put("/{slug}")
def change_group_terms(slug: str, command: ChangeGroup, staff: Manager, store: StoreDep) -> Receipt:
    """Rename a lower group, move it on the ladder below the caller's own level, or let it be given beside another."""
    group = _edited(slug, staff, store)
    must_outrank(staff.level, command.level)
    group.rename(command.name)
    group.change_level(command.level)
    group.redesignate(command.secondary)
    return store.save(group)


@router.put("/{slug}/permissions")
def change_permissions(slug: str, command: ChangePermissions, staff: Manager, store: StoreDep) -> Receipt:
    """Set what the members of a lower group may do; nobody grants what they do not have."""
    group = _edited(slug, staff, store)
    wanted = frozenset(command.permissions)
    must_hold(staff.permissions, wanted - group.permissions)
    group.change_permissions(wanted)
    return store.save(group)


@router.put("/{slug}/download-slots")
def change_download_slots(slug: str, command: ChangeDownloadSlots, staff: Manager, store: StoreDep) -> Receipt:
    """Set how many torrents the members of a lower group download at a time; those beyond get no peers."""
    group = _edited(slug, staff, store)
    group.change_download_slots(command.download_slots)
    return store.save(group)


@router.put("/{slug}/monthly-invites")
def change_monthly_invites(slug: str, command: ChangeMonthlyInvites, staff: Manager, store: StoreDep) -> Receipt:
    """Set how many invites the members of a lower group get each month."""
    group = _edited(slug, staff, store)
    group.change_monthly_invites(command.monthly_invites)
    return store.save(group)


def _edited(slug: str, staff: Caller, store: Store) -> Group:
    """A group of a lower level; raises `NoSuchThing` or `AboveOwnLevel`."""
    group = store.edit(Group, group_id(slug))
    must_outrank(staff.level, group.level)
    return group
