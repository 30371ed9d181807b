"""What is done to groups: changing what their members may do."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from domain.groups import Group, group_id, must_hold
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


@router.put("/{slug}/permissions")
def change_permissions(slug: str, command: ChangePermissions, staff: Manager, store: StoreDep) -> Receipt:
    """Set what the members of a lower group may do; nobody grants what they do not have."""
    group = store.edit(Group, group_id(slug))
    must_outrank(staff.level, group.level)
    wanted = frozenset(command.permissions)
    must_hold(staff.permissions, wanted - group.permissions)
    group.change_permissions(wanted)
    return store.save(group)
