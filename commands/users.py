"""What is done to accounts: moving them between groups, closing and opening them, their own settings."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from psycopg import Cursor

from commands.api_keys import revoked_keys
from commands.rights import permissions_of
from domain.announce_rules import ANNOUNCE_RULES, NO_RATIO_RULE, AnnounceRules
from domain.api_keys import ApiKey
from domain.groups import Group, UnknownGroup, group_id
from domain.permissions import Permission
from domain.sessions import Session
from domain.torrents import check_reason
from domain.users import User, must_outrank
from runtime.api_keys import forget_keys
from runtime.credentials import living_sessions
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Clock, Requires, StoreDep
from runtime.http.types import Command, Id, Timestamp
from runtime.store import Receipt, Store
from runtime.tokens import end_sessions

router = APIRouter(prefix="/api/v1/users", tags=["users"], route_class=CommandRoute)

Promoter = Annotated[Caller, Requires(Permission.USERS_PROMOTE)]
Disabler = Annotated[Caller, Requires(Permission.USERS_DISABLE)]
Granter = Annotated[Caller, Requires(Permission.BONUS_GRANT)]


class ChangeGroup(Command):
    group: str
    reason: str


class DisableUser(Command):
    reason: str


class EnableUser(Command):
    reason: str


class GrantPersonalFreeleech(Command):
    until: Timestamp


@router.post("/{user_id}/group")
def change_group(user_id: Id, command: ChangeGroup, staff: Promoter, store: StoreDep, now: Clock) -> Receipt:
    """Move a user to another group; both the user and the group are below the caller's level."""
    check_reason(command.reason)
    user = store.edit(User, user_id)
    group = store.find(Group, group_id(command.group))
    if group is None:
        raise UnknownGroup("there is no such group")
    must_outrank(staff.level, store.get(Group, group_id(user.group)).level)
    # Whoever manages the site makes others their equals: somebody has to come after them.
    must_outrank(staff.level + 1 if staff.can(Permission.SITE_MANAGE) else staff.level, group.level)
    user.change_group(command.group, command.reason)
    if Permission.LOGIN in group.permissions:
        return store.save(user)
    return _save_and_sign_out(store, user, "group_changed", now)


@router.post("/{user_id}/disable")
def disable_user(user_id: Id, command: DisableUser, staff: Disabler, store: StoreDep, now: Clock) -> Receipt:
    """Close an account and end its sessions; its announce keys are refused within a second."""
    check_reason(command.reason)
    user = store.edit(User, user_id)
    must_outrank(staff.level, store.get(Group, group_id(user.group)).level)
    user.disable(command.reason)
    return _save_and_sign_out(store, user, "disabled", now)


@router.post("/{user_id}/enable")
def enable_user(user_id: Id, command: EnableUser, staff: Disabler, store: StoreDep) -> Receipt:
    """Open a closed account again."""
    check_reason(command.reason)
    user = store.edit(User, user_id)
    must_outrank(staff.level, store.get(Group, group_id(user.group)).level)
    user.enable(command.reason)
    return store.save(user)


@router.put("/{user_id}/freeleech")
def grant_personal_freeleech(
    user_id: Id, command: GrantPersonalFreeleech, staff: Granter, store: StoreDep, now: Clock
) -> Receipt:
    """Nothing that this user downloads until then is charged."""
    user = store.edit(User, user_id)
    user.grant_freeleech(command.until, now=now)
    return store.save(user)


@router.delete("/{user_id}/freeleech")
def end_personal_freeleech(user_id: Id, staff: Granter, store: StoreDep, now: Clock) -> Receipt:
    """This user's downloads are charged again from now on, as anybody's."""
    user = store.edit(User, user_id)
    user.end_freeleech(now=now)
    return store.save(user)


def hold_to_ratio(store: Store, user_id: UUID, uploaded: int, downloaded: int, now: datetime) -> None:
    """Suspend the user's right to download or give it back, as the ratio rule has it for these credited bytes; nothing
    happens to one whom it leaves as it is."""
    rules, user = store.find(AnnounceRules, ANNOUNCE_RULES), store.get(User, user_id)
    ratio = NO_RATIO_RULE if rules is None else rules.ratio
    user.hold_to_ratio(ratio, permissions_of(store, user, now), uploaded, downloaded, now=now)
    if user.pending_events:
        store.save(user)


def ended_sessions(store: Store, user_id: UUID, reason: str, now: datetime, but: UUID | None = None) -> list[Session]:
    """The user's living sessions except `but`, each ended for this reason, to be saved with what ends them."""
    with store.history.pool.connection() as connection:
        living = living_sessions(connection, user_id, now)
    found = [store.find(Session, session_id) for session_id in living if session_id != but]
    sessions = [session for session in found if session is not None]
    for session in sessions:
        session.end(reason)
    return sessions


def ended_access(store: Store, user_id: UUID, reason: str, now: datetime) -> list[Session | ApiKey]:
    """Everything that lets the user in, ended for this reason, to be saved beside `end_access`."""
    return [*ended_sessions(store, user_id, reason, now), *revoked_keys(store, user_id, reason)]


def end_access(cursor: Cursor[Any], user_id: UUID, now: datetime) -> None:
    """From the commit on none of the user's tokens and API keys opens anything."""
    end_sessions(cursor, user_id, now)
    forget_keys(cursor, user_id)


def _save_and_sign_out(store: Store, user: User, reason: str, now: datetime) -> Receipt:
    def sign_out(cursor: Cursor[Any]) -> None:
        end_access(cursor, user.id, now)

    return store.save(user, *ended_access(store, user.id, reason, now), beside=sign_out)


def outranked(staff: Caller, user_id: UUID, store: Store) -> User:
    """The user, who is of a lower level than the caller; raises `NoSuchThing` or `AboveOwnLevel`."""
    user = store.get(User, user_id)
    must_outrank(staff.level, store.get(Group, group_id(user.group)).level)
    return user
