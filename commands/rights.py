"""What is done to the rights of one user: permissions granted and denied, groups beside its own, the lock on its class.

Whoever does it stands above the user and the group, and holds what is given.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from domain.groups import Group, group_id, must_hold
from domain.permissions import Permission
from domain.rights import NotASecondaryGroup, Rights, effective, rights_id
from domain.users import User, must_outrank
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Clock, Requires, StoreDep
from runtime.http.types import Command, Id, Timestamp
from runtime.store import NoSuchThing, Receipt, Store

router = APIRouter(prefix="/api/v1/users/{user_id}", tags=["rights"], route_class=CommandRoute)

Promoter = Annotated[Caller, Requires(Permission.USERS_PROMOTE)]


class SetException(Command):
    granted: bool = Field(description="false denies the permission, whatever the user's groups say")
    reason: str
    until: Timestamp | None = Field(None, description="null for good")


class WithdrawException(Command):
    reason: str


class GiveSecondaryGroup(Command):
    reason: str
    until: Timestamp | None = Field(None, description="null for good")


class TakeSecondaryGroup(Command):
    reason: str


class LockClass(Command):
    reason: str


class UnlockClass(Command):
    reason: str


@router.put("/permissions/{permission}")
def set_exception(
    user_id: Id, permission: str, command: SetException, staff: Promoter, store: StoreDep, now: Clock
) -> Receipt:
    """Grant a user of a lower level one permission that its groups lack, or deny one that they give."""
    right = _permission(permission)
    rights = _edited(staff, user_id, store)
    if command.granted:
        must_hold(staff.permissions, frozenset({right}))
        rights.grant(right, command.reason, command.until, now=now)
    else:
        rights.deny(right, command.reason, command.until, now=now)
    return store.save(rights)


@router.delete("/permissions/{permission}")
def withdraw_exception(
    user_id: Id, permission: str, command: WithdrawException, staff: Promoter, store: StoreDep, now: Clock
) -> Receipt:
    """Let the groups alone decide about this permission again; what comes back by it is held by whoever does it."""
    right = _permission(permission)
    rights = _edited(staff, user_id, store)
    if right in rights.denied(now):
        must_hold(staff.permissions, frozenset({right}))
    rights.withdraw(right, command.reason, now=now)
    return store.save(rights)


@router.put("/secondary-groups/{slug}")
def give_secondary_group(
    user_id: Id, slug: str, command: GiveSecondaryGroup, staff: Promoter, store: StoreDep, now: Clock
) -> Receipt:
    """Give a user of a lower level a group beside its own, all of whose permissions the caller holds."""
    rights, group = _edited(staff, user_id, store), store.get(Group, group_id(slug))
    if not group.secondary:
        raise NotASecondaryGroup("this group is not given beside another")
    must_outrank(staff.level, group.level)
    must_hold(staff.permissions, group.permissions)
    rights.give_group(slug, command.reason, command.until, now=now)
    return store.save(rights)


@router.delete("/secondary-groups/{slug}")
def take_secondary_group(
    user_id: Id, slug: str, command: TakeSecondaryGroup, staff: Promoter, store: StoreDep, now: Clock
) -> Receipt:
    """Take a group that a user has beside its own."""
    rights, group = _edited(staff, user_id, store), store.get(Group, group_id(slug))
    must_outrank(staff.level, group.level)
    rights.take_group(slug, command.reason, now=now)
    return store.save(rights)


@router.put("/class-lock")
def lock_class(user_id: Id, command: LockClass, staff: Promoter, store: StoreDep) -> Receipt:
    """Keep a user of a lower level in its group, whatever the criteria of promotion say."""
    rights = _edited(staff, user_id, store)
    rights.lock_class(command.reason)
    return store.save(rights)


@router.delete("/class-lock")
def unlock_class(user_id: Id, command: UnlockClass, staff: Promoter, store: StoreDep) -> Receipt:
    """Let the criteria promote and demote the user again."""
    rights = _edited(staff, user_id, store)
    rights.unlock_class(command.reason)
    return store.save(rights)


def expire_rights(store: Store, user_id: UUID, now: datetime) -> None:
    """Record what of the user's rights is over; nothing happens to what still holds."""
    rights = store.get(Rights, rights_id(user_id))
    rights.expire(now=now)
    if rights.pending_events:
        store.save(rights)


def permissions_of(store: Store, user: User, now: datetime) -> frozenset[str]:
    """What the user may do by the history itself, but for bans: read tables may be a moment behind."""
    rights = store.find(Rights, rights_id(user.id)) or Rights.open(user.id)
    groups = [store.get(Group, group_id(slug)).permissions for slug in (user.group, *rights.groups(now))]
    return effective(groups, rights.granted(now), rights.denied(now), ())


def _permission(name: str) -> Permission:
    try:
        return Permission(name)
    except ValueError:
        raise NoSuchThing("no such permission") from None


def _edited(staff: Caller, user_id: UUID, store: Store) -> Rights:
    """The rights of a user of a lower level; raises `NoSuchThing` or `AboveOwnLevel`."""
    user = store.get(User, user_id)
    must_outrank(staff.level, store.get(Group, group_id(user.group)).level)
    if store.find(Rights, rights_id(user_id)) is None:
        return Rights.open(user_id)
    return store.edit(Rights, rights_id(user_id))
