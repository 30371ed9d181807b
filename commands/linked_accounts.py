"""Linking accounts that belong to one person, and parting them again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter

from commands.users import outranked
from domain.claims import Claim
from domain.linked_accounts import AlreadyLinked, LinkGroup, NotLinked, link_claim_id
from domain.permissions import Permission
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Requires, StoreDep
from runtime.http.types import Command, Id
from runtime.store import Receipt, Store, new_id

router = APIRouter(prefix="/api/v1", tags=["staff tools"], route_class=CommandRoute)

Linker = Annotated[Caller, Requires(Permission.USERS_SEE_PRIVATE)]


class LinkAccount(Command):
    """The other account."""

    user_id: Id
    reason: str


class PartAccounts(Command):
    reason: str


@router.post("/users/{user_id}/linked-accounts", status_code=201)
def link_account(user_id: Id, command: LinkAccount, staff: Linker, store: StoreDep) -> Receipt:
    """Say that two accounts of lower levels belong to one person; the answer's id is that of the group of accounts."""
    for one in (user_id, command.user_id):
        outranked(staff, one, store)
    group, newcomers = _group_with(user_id, command.user_id, command.reason, store)
    claims = [_claimed(store, one, group.id) for one in newcomers]
    return store.save(group, *claims)


@router.delete("/users/{user_id}/linked-accounts")
def unlink_account(user_id: Id, command: PartAccounts, staff: Linker, store: StoreDep) -> Receipt:
    """Take an account out of its group; of two, both are linked to none afterwards."""
    outranked(staff, user_id, store)
    group = _group_of(user_id, store)
    if group is None:
        raise NotLinked("this account is not linked")
    return store.save(group, *_released(store, group.leave(user_id, command.reason)))


@router.delete("/link-groups/{link_group_id}")
def dissolve_link_group(link_group_id: Id, command: PartAccounts, staff: Linker, store: StoreDep) -> Receipt:
    """Say that the accounts of a group do not belong to one person."""
    group = store.edit(LinkGroup, link_group_id)
    for one in group.user_ids:
        outranked(staff, one, store)
    return store.save(group, *_released(store, group.dissolve(command.reason)))


def _group_with(user_id: UUID, other_id: UUID, reason: str, store: Store) -> tuple[LinkGroup, list[UUID]]:
    """The group in which both are, and who is new in it."""
    mine, others = _group_of(user_id, store), _group_of(other_id, store)
    if mine and others:
        raise AlreadyLinked("both accounts are linked: take one of them out first")
    group = mine or others
    if group is None:
        return LinkGroup.form(new_id(), user_id, other_id, reason), [user_id, other_id]
    newcomer = other_id if mine else user_id
    group.join(newcomer, reason)
    return group, [newcomer]


def _group_of(user_id: UUID, store: Store) -> LinkGroup | None:
    claim = store.find(Claim, link_claim_id(user_id))
    return store.get(LinkGroup, claim.holder_id) if claim and claim.holder_id else None


def _claimed(store: Store, user_id: UUID, group_id: UUID) -> Claim:
    claim = store.find(Claim, link_claim_id(user_id))
    if claim is None:
        return Claim.make(link_claim_id(user_id), "linked_account", group_id)
    claim.retake(group_id)
    return claim


def _released(store: Store, user_ids: Iterable[UUID]) -> list[Claim]:
    claims = [store.get(Claim, link_claim_id(user_id)) for user_id in user_ids]
    for claim in claims:
        claim.release()
    return claims
