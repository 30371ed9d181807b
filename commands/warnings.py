"""What is done with warnings: giving and lifting them, and noting that their time is over."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from commands.users import outranked
from domain.permissions import Permission
from domain.warnings import WARNED_FOR, InviterWarned, Warnings, warnings_id
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Clock, Requires, StoreDep
from runtime.http.types import Command, Id, Timestamp
from runtime.store import Receipt, Store, new_id

router = APIRouter(prefix="/api/v1/users/{user_id}/warnings", tags=["warnings"], route_class=CommandRoute)

Warner = Annotated[Caller, Requires(Permission.USERS_WARN)]


class GiveWarning(Command):
    reason: str
    until: Timestamp | None = Field(None, description="null for 30 days")


class LiftWarning(Command):
    reason: str


@router.post("", status_code=201)
def give_warning(user_id: Id, command: GiveWarning, staff: Warner, store: StoreDep, now: Clock) -> Receipt:
    """Warn a user of a lower level: while it counts, it invites nobody and is not promoted. The answer's `id` is the
    warning's."""
    outranked(staff, user_id, store)
    warnings, warning_id = warnings_of(store, user_id), new_id()
    warnings.give(warning_id, command.reason, command.until or now + WARNED_FOR, now=now)
    return store.save(warnings, id=warning_id)


@router.delete("/{warning_id}")
def lift_warning(
    user_id: Id, warning_id: Id, command: LiftWarning, staff: Warner, store: StoreDep, now: Clock
) -> Receipt:
    """End a warning early; what was promoted or invited meanwhile is not made up for."""
    outranked(staff, user_id, store)
    warnings = warnings_of(store, user_id)
    warnings.lift(warning_id, command.reason, now=now)
    return store.save(warnings, id=warning_id)


def expire_warnings(store: Store, user_id: UUID, now: datetime) -> None:
    """Record which of the user's warnings are over; nothing happens to those that still count."""
    warnings = store.get(Warnings, warnings_id(user_id))
    warnings.expire(now=now)
    if warnings.pending_events:
        store.save(warnings)


def warnings_of(store: Store, user_id: UUID) -> Warnings:
    """As they are; an empty record before the first one."""
    return store.find(Warnings, warnings_id(user_id)) or Warnings.open(user_id)


def must_not_be_warned(store: Store, user_id: UUID, now: datetime) -> None:
    """Raises `InviterWarned`."""
    until = warnings_of(store, user_id).warned_until(now)
    if until is not None:
        raise InviterWarned(f"you have a warning until {until:%Y-%m-%d %H:%M} UTC, and invite nobody before")
