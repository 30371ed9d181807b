"""What is done to groups: changing what their members may do, and how much at a time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from domain.groups import SLOTS_MAX, Group, group_id, must_hold
from domain.permissions import Permission
from domain.users import must_outrank
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Requires, StoreDep
from runtime.http.types import Command
from runtime.store import Receipt

router = APIRouter(prefix="/api/v1/groups", tags=["groups"], route_class=CommandRoute)

Manager = Annotated[Caller, Requires(Permission.GROUPS_MANAGE)]


class ChangePermissions(Command):
    """`permissions` is the whole list, not what is added."""

    permissions: list[Permission]


class ChangeDownloadSlots(Command):
    """How many torrents a member downloads at a time; null for no limit."""

    download_slots: int | None = Field(ge=0, le=SLOTS_MAX)


@router.put("/{slug}/permissions")
def change_permissions(slug: str, command: ChangePermissions, staff: Manager, store: StoreDep) -> Receipt:
    """Set what the members of a lower group may do; nobody grants what they do not have."""
    group = store.edit(Group, group_id(slug))
    must_outrank(staff.level, group.level)
    wanted = frozenset(command.permissions)
    must_hold(staff.permissions, wanted - group.permissions)
    group.change_permissions(wanted)
    return store.save(group)


@router.put("/{slug}/download-slots")
def change_download_slots(slug: str, command: ChangeDownloadSlots, staff: Manager, store: StoreDep) -> Receipt:
    """Set how many torrents the members of a lower group download at a time; those beyond get no peers."""
    group = store.edit(Group, group_id(slug))
    must_outrank(staff.level, group.level)
    group.change_download_slots(command.download_slots)
    return store.save(group)
