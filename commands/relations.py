"""Whom users befriend, block and follow. Asking for what is already so records nothing."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter

from domain.relations import Relations, relations_id
from domain.users import User
from runtime.http.body import CommandRoute
from runtime.http.deps import Confirmed, StoreDep
from runtime.http.types import Command, Id
from runtime.store import NoSuchThing, Receipt, Store

router = APIRouter(prefix="/api/v1/users/me", tags=["relations"], route_class=CommandRoute)


class Befriend(Command):
    """`note` is read by the caller alone."""

    note: str = ""


@router.put("/friends/{user_id}")
def befriend(user_id: Id, command: Befriend, caller: Confirmed, store: StoreDep) -> Receipt:
    """Add a user to the caller's friends, or change the note about it. Nobody is told."""
    relations = _relations(store, caller.user_id)
    relations.befriend(_living(store, user_id), command.note.strip())
    return store.save(relations)


@router.delete("/friends/{user_id}")
def unfriend(user_id: Id, caller: Confirmed, store: StoreDep) -> Receipt:
    """Take a user from the caller's friends."""
    relations = _relations(store, caller.user_id)
    relations.unfriend(store.get(User, user_id).id)
    return store.save(relations)


@router.put("/blocks/{user_id}")
def block(user_id: Id, caller: Confirmed, store: StoreDep) -> Receipt:
    """Hear of a user no more, who is followed and a friend no more either. Nobody is told."""
    relations = _relations(store, caller.user_id)
    relations.block(_living(store, user_id))
    return store.save(relations)


@router.delete("/blocks/{user_id}")
def unblock(user_id: Id, caller: Confirmed, store: StoreDep) -> Receipt:
    """Let a user be heard of again."""
    relations = _relations(store, caller.user_id)
    relations.unblock(store.get(User, user_id).id)
    return store.save(relations)


@router.put("/follows/{user_id}")
def follow(user_id: Id, caller: Confirmed, store: StoreDep) -> Receipt:
    """See what a user uploads in `/users/me/following/uploads`."""
    relations = _relations(store, caller.user_id)
    relations.follow(_living(store, user_id))
    return store.save(relations)


@router.delete("/follows/{user_id}")
def unfollow(user_id: Id, caller: Confirmed, store: StoreDep) -> Receipt:
    """Follow a user no more."""
    relations = _relations(store, caller.user_id)
    relations.unfollow(store.get(User, user_id).id)
    return store.save(relations)


def _relations(store: Store, user_id: UUID) -> Relations:
    return store.edit_or_open(Relations, relations_id(user_id), lambda: Relations.open(user_id))


def _living(store: Store, user_id: UUID) -> UUID:
    """The id of a user who is there; raises `NoSuchThing`."""
    if store.get(User, user_id).erased:
        raise NoSuchThing("no such user")
    return user_id
