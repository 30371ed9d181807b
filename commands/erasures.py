"""Forgetting people: asked for by themselves, or proposed by one of the staff and approved by another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from psycopg import Cursor
from pydantic import Field

from commands.emails import user_with_email
from commands.login_defence import guessing
from commands.passwords import must_match
from commands.second_factor import WRONG, must_have_code
from commands.users import ended_access
from domain.applications import Application
from domain.base import ERASED, Aggregate
from domain.claims import Claim
from domain.erasures import Erasure, ErasureProposal, ManagesSite, erasure_id
from domain.groups import Group, group_id
from domain.invites import Invite
from domain.passwords import PASSWORD_MAX
from domain.permissions import Permission
from domain.users import User, must_outrank
from runtime.erasing import addresses_of, forget_person, forget_traces, note_erased
from runtime.facts import FactLog
from runtime.http.body import CommandRoute
from runtime.http.deps import AccountOwner, Caller, Clock, PlatformDep, Requires, StoreDep
from runtime.http.types import Command, Id
from runtime.keyring import FORGOTTEN_AFTER
from runtime.platform import Platform
from runtime.store import Receipt, Store, new_id

router = APIRouter(prefix="/api/v1", tags=["erasures"], route_class=CommandRoute)

Proposer = Annotated[Caller, Requires(Permission.USERS_ERASE)]
Approver = Annotated[Caller, Requires(Permission.USERS_ERASE_APPROVE)]


class EraseMe(Command):
    """`code` is of the second factor, for who has one."""

    password: Annotated[str, Field(max_length=PASSWORD_MAX)]
    code: Annotated[str | None, Field(max_length=32)] = None


class ProposeErasure(Command):
    reason: str


class DeclineErasure(Command):
    reason: str


@router.post("/users/me/erasure", status_code=202)
def erase_me(command: EraseMe, caller: AccountOwner, platform: PlatformDep, store: StoreDep, now: Clock) -> Receipt:
    """Forget the caller, for good: every session ends now, and a second or two later nothing on the site can read
    the name, the address or the words any more. Uploads, sums and points stay, as of somebody erased."""
    user = store.get(User, caller.user_id)

    def burn(cursor: Cursor[Any]) -> None:
        if user.two_factor:
            must_have_code(cursor, platform, user.id, command.code or "", now)

    # Whence this last command came is not kept either.
    unseen = replace(store, metadata=replace(store.metadata, ip=None, user_agent=None))
    with guessing(store, user.id, now, wrong=WRONG, with_code=user.two_factor):
        must_match(store, user.id, command.password)
        if caller.can(Permission.SITE_MANAGE):
            raise ManagesSite("who manages the site is erased on its machine: tracker users erase")
        return begin_erasure(unseen, user, now, beside=burn)


@router.post("/users/{user_id}/erasure-proposals", status_code=201)
def propose_erasure(user_id: Id, command: ProposeErasure, staff: Proposer, store: StoreDep, now: Clock) -> Receipt:
    """Propose that a user of a lower level is forgotten; somebody else of the staff approves it within a week."""
    user = _of_lower_level(staff, user_id, store)
    user.must_not_be_erased()
    return store.save(ErasureProposal.make(new_id(), user_id, staff.user_id, command.reason, now=now))


@router.post("/erasure-proposals/{proposal_id}/approve", status_code=202)
def approve_erasure(proposal_id: Id, staff: Approver, store: StoreDep, now: Clock) -> Receipt:
    """Forget the user whom somebody else of the staff proposed. There is no way back."""
    proposal = store.edit(ErasureProposal, proposal_id)
    user = _of_lower_level(staff, proposal.user_id, store)
    proposal.approve(staff.user_id, now=now)
    return begin_erasure(store, user, now, proposal)


@router.post("/erasure-proposals/{proposal_id}/decline")
def decline_erasure(proposal_id: Id, command: DeclineErasure, staff: Approver, store: StoreDep, now: Clock) -> Receipt:
    """Turn a proposal down, or take one's own back."""
    proposal = store.edit(ErasureProposal, proposal_id)
    _of_lower_level(staff, proposal.user_id, store)
    proposal.decline(command.reason, now=now)
    return store.save(proposal)


def begin_erasure(
    store: Store,
    user: User,
    now: datetime,
    proposal: ErasureProposal | None = None,
    *,
    beside: Callable[[Cursor[Any]], None] | None = None,
) -> Receipt:
    """Shut the person out for good and record that the rest is to follow; raises `AccountErased`.

    What was claimed with the account (name, address) is free again: nobody can find out by trying that it was taken.
    """
    user.erase()
    changed: list[Aggregate] = [user, *_released_claims(store, user), *ended_access(store, user.id, ERASED, now)]
    changed += [proposal] if proposal else []

    def forget(cursor: Cursor[Any]) -> None:
        if beside is not None:
            beside(cursor)
        forget_person(cursor, user.id)

    return store.save(Erasure.begin(user.id, proposal.id if proposal else None), *changed, beside=forget)


def forget_stranger(
    store: Store, user_id: UUID, applications: Sequence[UUID], invites: Sequence[UUID], kept_days: int, now: datetime
) -> bool:
    """Begin to forget somebody without an account, whose applications and invites these are; nothing happens, which is
    False, a second time, nor to who has come in meanwhile. Raises `StillKept`."""
    if store.find(User, user_id) or store.find(Erasure, erasure_id(user_id)):
        return False
    ended = [
        *(one.modified_on if one.answered else None for one in (store.get(Application, of) for of in applications)),
        *(one.modified_on if one.over else None for one in (store.get(Invite, of) for of in invites)),
    ]
    store.save(Erasure.of_stranger(user_id, ended, kept_days, now=now))
    return True


def go_on_erasing(platform: Platform, store: Store, user_id: UUID) -> None:
    """The next steps of an erasure that has begun: whatever stopped meanwhile, doing them again does no harm.

    First what is found by the name, then the key, then, when no process uses it any more, the mark that tells
    followers to forget what they have read with it.
    """
    erasure = store.get(Erasure, erasure_id(user_id))
    if forget_traces(platform, user_id, _addresses(platform, store, user_id)):
        return  # more mail may be on its way to where this was found
    note_erased(platform.settings, user_id)
    if platform.keyring.destroy(user_id) >= FORGOTTEN_AFTER:
        erasure.complete()
        store.save(erasure)


def _addresses(platform: Platform, store: Store, user_id: UUID) -> set[str]:
    """The person's, but for those that are somebody else's by now."""
    secret = platform.secrets.site
    held = {text: user_with_email(store, secret, text) for text in addresses_of(platform, user_id)}
    return {text for text, holder in held.items() if holder is None or holder.id == user_id}


def _of_lower_level(staff: Caller, user_id: UUID, store: Store) -> User:
    """Raises `AboveOwnLevel`."""
    user = store.get(User, user_id)
    must_outrank(staff.level, store.get(Group, group_id(user.group)).level)
    return user


def _released_claims(store: Store, user: User) -> list[Claim]:
    with store.history.pool.connection() as connection:
        made = FactLog(store.history).streams_beside(connection, user.id, [Claim.Made.TOPIC, Claim.Retaken.TOPIC])
    claims = [store.get(Claim, claim_id) for claim_id in made]
    held = [claim for claim in claims if claim.holder_id == user.id]
    for claim in held:
        claim.release()
    return held
