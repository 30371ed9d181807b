"""What is done with bans: imposing and lifting them, and noting that their time is over."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from psycopg import Cursor
from pydantic import Field

from commands.users import end_access, ended_access
from domain.bans import AlreadyBanned, Ban, BanKind, ban_claim_id
from domain.base import Aggregate
from domain.claims import Claim
from domain.groups import Group, group_id
from domain.permissions import Permission
from domain.users import User, must_outrank
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Clock, NotPermitted, Requires, StoreDep
from runtime.http.types import Command, Id, Timestamp
from runtime.store import NOBODY, Receipt, Store, new_id

router = APIRouter(prefix="/api/v1", tags=["bans"], route_class=CommandRoute)

#: Whoever warns users keeps them from posting too; every other ban needs `users.disable` besides.
Banner = Annotated[Caller, Requires(Permission.USERS_WARN)]


class ImposeBan(Command):
    kind: BanKind
    reason: str
    until: Timestamp | None = Field(None, description="null for good")


class LiftBan(Command):
    reason: str


@router.post("/users/{user_id}/bans", status_code=201)
def impose_ban(user_id: Id, command: ImposeBan, staff: Banner, store: StoreDep, now: Clock) -> Receipt:
    """Forbid a user of a lower level one thing, or everything; `account` ends its sessions and revokes its API keys."""
    _must_outrank(staff, user_id, store)
    _must_be_able(staff, command.kind)
    ban = Ban.impose(new_id(), user_id, command.kind, command.reason, command.until, now=now)
    # What a late worker has yet to expire comes first: followers see the old ban end before the new one begins.
    changed = [*_holding_claim(ban, store, now), ban]
    if ban.kind == BanKind.ACCOUNT:
        changed += ended_access(store, user_id, "banned", now)

    def shut_out(cursor: Cursor[Any]) -> None:
        if ban.kind == BanKind.ACCOUNT:
            end_access(cursor, user_id, now)

    return store.save(*changed, beside=shut_out, id=ban.id, version=ban.version)


@router.delete("/bans/{ban_id}")
def lift_ban(ban_id: Id, command: LiftBan, staff: Banner, store: StoreDep, now: Clock) -> Receipt:
    """End a ban early. Sessions and API keys that it ended stay ended."""
    ban = store.edit(Ban, ban_id)
    _must_outrank(staff, ban.user_id, store)
    _must_be_able(staff, ban.kind)
    ban.lift(command.reason, now=now)
    return store.save(*_with_claim(ban, store))


def expire_ban(store: Store, ban_id: UUID, now: datetime) -> None:
    """Record that the ban's time is over; nothing happens to one that still holds or has ended."""
    ban = store.get(Ban, ban_id)
    ban.expire(now=now)
    if ban.pending_events:
        store.save(*_with_claim(ban, store))


def ban_in_force(store: Store, user_id: UUID, kind: BanKind, now: datetime) -> Ban | None:
    """The user's ban of that kind, by the history itself: read tables may be a moment behind. The same is looked up
    whether or not there is one: a sign-in that takes longer would tell."""
    claim = store.find(Claim, ban_claim_id(user_id, kind))
    ban = store.find(Ban, (claim and claim.holder_id) or NOBODY)
    return ban if ban and ban.in_force(now) else None


def _holding_claim(ban: Ban, store: Store, now: datetime) -> list[Aggregate]:
    """The claim that makes the ban the only one of its kind, and a ban before it whose time is over."""
    claim = store.find(Claim, ban_claim_id(ban.user_id, ban.kind))
    if claim is None:
        return [Claim.make(ban_claim_id(ban.user_id, ban.kind), "ban", ban.id)]
    earlier = store.get(Ban, claim.holder_id) if claim.holder_id else None
    if earlier is not None:
        if earlier.in_force(now):
            raise AlreadyBanned("such a ban is in force: lift it first")
        earlier.expire(now=now)
        claim.release()
    claim.retake(ban.id)
    return [claim] if earlier is None else [earlier, claim]


def _with_claim(ban: Ban, store: Store) -> list[Aggregate]:
    """A ban that ends here, and its claim released. A claim that has moved on meanwhile did so with the end of this
    ban, so the save will be refused."""
    claim = store.get(Claim, ban_claim_id(ban.user_id, ban.kind))
    claim.release()
    return [ban, claim]


def _must_be_able(staff: Caller, kind: str) -> None:
    """Raises `NotPermitted`."""
    if kind != BanKind.POST and not staff.can(Permission.USERS_DISABLE):
        raise NotPermitted("your group imposes and lifts bans from posting only")


def _must_outrank(staff: Caller, user_id: UUID, store: Store) -> None:
    """Staff act on lower levels, so never on themselves; raises `AboveOwnLevel`."""
    must_outrank(staff.level, store.get(Group, group_id(store.get(User, user_id).group)).level)
