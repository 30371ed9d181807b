"""What is done to the ladder: setting what a class asks, and promoting and demoting members by it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from commands.warnings import warnings_of
from domain.groups import Group, UnknownGroup, group_id, must_hold
from domain.ladder import COUNT_MAX, RATIO_PERCENT_MAX, Criteria, Standing, told
from domain.permissions import Permission
from domain.rights import Rights, rights_id
from domain.users import User, must_outrank
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Requires, StoreDep
from runtime.http.types import Command
from runtime.store import Receipt, Store

router = APIRouter(prefix="/api/v1/groups/{slug}/promotion", tags=["groups"], route_class=CommandRoute)

Manager = Annotated[Caller, Requires(Permission.GROUPS_MANAGE)]

Count = Annotated[int, Field(ge=0, le=COUNT_MAX)]
Percent = Annotated[int, Field(ge=0, le=RATIO_PERCENT_MAX)]


class SetCriteria(Command):
    """Bytes, days, torrents and seconds; what is 0 is not asked."""

    follows: str = Field(description="the slug of the group whose members are promoted")
    uploaded: Count = 0
    ratio_percent: Percent = 0
    age_days: Annotated[int, Field(ge=0, le=timedelta.max.days)] = 0
    uploads: Count = 0
    seed_size: Count = 0
    average_seed_time_s: Count = 0
    keep_ratio_percent: Percent = Field(0, description="below it the class is lost")


@router.put("")
def set_criteria(slug: str, command: SetCriteria, staff: Manager, store: StoreDep) -> Receipt:
    """Promote members of a lower group who meet these criteria; nobody gives away more than they may do."""
    group = _edited(slug, staff, store)
    before = store.find(Group, group_id(command.follows))
    if before is None:
        raise UnknownGroup("there is no such group")
    must_hold(staff.permissions, group.permissions)
    group.set_criteria(before, Criteria(**command.model_dump(exclude={"follows"})))
    return store.save(group)


@router.delete("")
def remove_criteria(slug: str, staff: Manager, store: StoreDep) -> Receipt:
    """Promote nobody to this group any more, and take it from nobody: staff alone decide about it."""
    group = _edited(slug, staff, store)
    group.remove_criteria()
    return store.save(group)


def promote_or_demote(store: Store, user_id: UUID, to: str, standing: Standing, now: datetime) -> None:
    """Move the user to that group if its own or that one's criteria say so for what it has done; nothing happens where
    they do not, or the class is locked. Nobody is promoted who has a warning."""
    user = store.get(User, user_id)
    rights = store.find(Rights, rights_id(user_id))
    if not user.enabled or (rights is not None and rights.class_locked):
        return
    present, other = store.get(Group, group_id(user.group)), store.get(Group, group_id(to))
    if other.follows == present.slug and other.criteria is not None and other.criteria.met(standing):
        if warnings_of(store, user_id).warned_until(now) is not None:
            return
        user.change_group(to, f"meets what {to} asks: {told(other.criteria.judge(standing))}")
    elif present.follows == to and present.criteria is not None and not present.criteria.kept(standing):
        missed = [one for one in present.criteria.judge_keeping(standing) if not one.met]
        user.change_group(to, f"has less than {present.slug} keeps: {told(missed)}")
    if user.pending_events:
        store.save(user)


def _edited(slug: str, staff: Caller, store: Store) -> Group:
    """A group of a lower level; raises `NoSuchThing` or `AboveOwnLevel`."""
    group = store.edit(Group, group_id(slug))
    must_outrank(staff.level, group.level)
    return group
