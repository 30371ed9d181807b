"""What is done with names: taking one, being found by it, getting another, and banning some."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from commands.claims import hold
from domain.base import ERASED
from domain.claims import Claim, personal_claim_id
from domain.groups import Group, group_id
from domain.permissions import Permission
from domain.torrents import check_reason
from domain.usernames import BANNED_NAMES, BannedNames, UsernameTaken, check_username, skeleton, username_key
from domain.users import User, must_outrank
from runtime.facts import AnyCaused, FactLog
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Requires, SecretsDep, StoreDep
from runtime.http.types import Command, Id
from runtime.store import NOBODY, History, Receipt, Store

router = APIRouter(prefix="/api/v1", tags=["users"], route_class=CommandRoute)

#: Claims that one command of an upgrade saves.
LOOKS_AT_ONCE = 500

Manager = Annotated[Caller, Requires(Permission.USERNAMES_MANAGE)]


class Rename(Command):
    username: str
    reason: str


class ChangeBannedNames(Command):
    pattern: Annotated[str, Field(max_length=40)]
    reason: str


@router.post("/users/{user_id}/username")
def rename(user_id: Id, command: Rename, staff: Manager, store: StoreDep, secrets: SecretsDep) -> Receipt:
    """Give a user of a lower level another name. The former one stays taken: nobody else gets it."""
    check_reason(command.reason)
    user = store.edit(User, user_id)
    must_outrank(staff.level, store.get(Group, group_id(user.group)).level)
    check_username(command.username)
    claims = held_name(store, secrets.site, command.username, user.id)
    user.rename(command.username, command.reason)
    return store.save(user, *claims)


@router.post("/usernames/banned", status_code=201)
def ban_names(command: ChangeBannedNames, staff: Manager, store: StoreDep) -> Receipt:
    """Let nobody take a name that the pattern fits, or that looks like one; who has such a name keeps it."""
    names = store.find(BannedNames, BANNED_NAMES) or BannedNames.open(BANNED_NAMES)
    names.ban(command.pattern, command.reason)
    return store.save(names)


@router.delete("/usernames/banned")
def allow_names(command: ChangeBannedNames, staff: Manager, store: StoreDep) -> Receipt:
    """Take a pattern off the list."""
    names = store.find(BannedNames, BANNED_NAMES) or BannedNames.open(BANNED_NAMES)
    names.allow(command.pattern, command.reason)
    return store.save(names)


def may_be_taken(store: Store, username: str, *, by_the_site: bool) -> None:
    """Raises `BadUsername`, and unless the site itself names the account `ReservedUsername` or `UsernameBanned`."""
    check_username(username, reserved=by_the_site)
    names = store.find(BannedNames, BANNED_NAMES)
    if names is not None and not by_the_site:
        names.check(username)


def held_name(store: Store, site_secret: bytes, username: str, user_id: UUID) -> list[Claim]:
    """The name and its looks, held by this user; raises `UsernameTaken`."""
    taken = UsernameTaken("this name is taken, or looks like one that is")
    name = username_claim_id(site_secret, username)
    looks = personal_claim_id(site_secret, "look", skeleton(username))
    return [*hold(store, name, "username", user_id, taken), *hold(store, looks, "look", user_id, taken)]


def user_named(store: Store, site_secret: bytes, username: str) -> User | None:
    """Who has that name now. The same is looked up whether or not anybody has, or has had it."""
    claim = store.find(Claim, username_claim_id(site_secret, username))
    user = store.find(User, (claim and claim.holder_id) or NOBODY)
    return user if user is not None and username_key(user.username) == username_key(username) else None


def username_claim_id(site_secret: bytes, username: str) -> UUID:
    """The claim by which a name is looked up."""
    return personal_claim_id(site_secret, "username", username_key(username))


def claim_looks(
    history: History, new_store: Callable[[], Store], site_secret: bytes, *, at_once: int = LOOKS_AT_ONCE
) -> int:
    """Claim the looks of the names of a site that is older than these claims; returns how many.

    Of names that look alike the oldest is claimed, and nobody loses one. The list of banned names, which is opened with
    it, says that it was done.
    """
    if new_store().find(BannedNames, BANNED_NAMES) is not None:
        return 0
    claimed, after, log = 0, 0, FactLog(history)
    while facts := _registered(log, history, after, at_once):
        found: dict[UUID, Claim] = {}
        for fact in facts:
            looks = personal_claim_id(site_secret, "look", skeleton(fact.event.username))
            if fact.event.username != ERASED and new_store().find(Claim, looks) is None:
                found.setdefault(looks, Claim.make(looks, "look", fact.stream_id))
        if found:
            new_store().save(*found.values())
        claimed, after = claimed + len(found), facts[-1].position
    new_store().save(BannedNames.open(BANNED_NAMES))
    return claimed


def _registered(log: FactLog, history: History, after: int, limit: int) -> list[AnyCaused]:
    with history.pool.connection() as connection:
        return log.read(connection, after, log.safe_position(connection), [User.Registered.TOPIC], limit)
