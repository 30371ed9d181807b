"""What is done with invites: granting, sending, revoking, accepting them, and noting that their time is over."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from fastapi import APIRouter
from psycopg import Cursor
from pydantic import Field

from commands.bans import ban_in_force
from commands.claims import hold, let_go
from commands.emails import link, user_with_email
from commands.parking import must_not_be_parked
from commands.warnings import must_not_be_warned
from domain.bans import BanKind
from domain.base import Aggregate
from domain.claims import Claim, personal_claim_id
from domain.emails import MAIL_AGAIN_AFTER, MailedLately, check_email, email_key
from domain.groups import Group, group_id
from domain.invites import (
    NOTE_MAX,
    REFUSAL,
    AddressNotInvitable,
    Invite,
    InviteAllowance,
    InviteRefused,
    allowance_id,
    check_inviter,
)
from domain.permissions import Permission
from domain.registration import check_inviting
from domain.users import User
from runtime.http.body import CommandRoute
from runtime.http.deps import Caller, Clock, NotPermitted, Requires, SecretsDep, SettingsDep, StoreDep
from runtime.http.types import Command, Id
from runtime.invite_codes import forget_code, invite_of, issue_code, issued_at, new_code
from runtime.mail import post
from runtime.mail_bounds import Occasion
from runtime.settings import Settings
from runtime.store import NoSuchThing, Receipt, Store, new_id

router = APIRouter(prefix="/api/v1", tags=["invites"], route_class=CommandRoute)

Granter = Annotated[Caller, Requires(Permission.INVITES_GRANT)]
Inviter = Annotated[Caller, Requires(Permission.INVITE)]

#: Most invites of one grant.
GRANT_MAX = 1000
PURPOSE = "invite"


class GrantInvites(Command):
    invites: int = Field(ge=1, le=GRANT_MAX)
    reason: str


class SendInvite(Command):
    email: str
    note: Annotated[
        str, Field(max_length=NOTE_MAX, description="for staff, by staff: it becomes a note on the account")
    ] = ""


class InvitesGranted(Receipt):
    """What the user has now."""

    balance: int


class InviteSent(Receipt):
    """Until when it works, and how many invites the caller has left."""

    expires_at: datetime
    balance: int


class Invited(NamedTuple):
    """The invite that a newcomer comes with, and all that is saved with the account for it."""

    invite: Invite
    changed: list[Aggregate]


@router.post("/users/{user_id}/invites/grants", status_code=201)
def grant_invites(user_id: Id, command: GrantInvites, staff: Granter, store: StoreDep) -> InvitesGranted:
    """Give a user invites, for a reason."""
    allowance = _allowance(store, store.get(User, user_id).id)
    allowance.grant(command.invites, command.reason)
    return store.save(allowance, answer=InvitesGranted, balance=allowance.balance)


@router.post("/invites", status_code=201)
def send_invite(
    command: SendInvite, caller: Inviter, store: StoreDep, settings: SettingsDep, secrets: SecretsDep, now: Clock
) -> InviteSent:
    """Mail an invite to one address. Who grants invites needs none to send one; only staff leave notes."""
    check_inviting(settings.registration.mode)
    check_email(command.email)
    if command.note and not caller.can(Permission.MODERATION):
        raise NotPermitted("notes are for staff")
    user = store.get(User, caller.user_id)
    must_not_be_parked(store, user.id)
    must_not_be_warned(store, user.id, now)
    check_inviter(user, command.email, now=now)
    invite = Invite.send(
        new_id(),
        new_id(),
        command.email,
        now + timedelta(days=settings.registration.invite_days),
        inviter_id=user.id,
        charged=not caller.can(Permission.INVITES_GRANT),
        note=command.note,
    )
    allowance = _allowance(store, user.id)
    allowance.credit_month(store.get(Group, group_id(user.group)).monthly_invites, now=now)
    if invite.charged:
        allowance.spend(invite.id)
    return store.save(
        invite,
        allowance,
        *held_for(store, secrets.site, invite),
        answer=InviteSent,
        beside=lambda cursor: mail_invite(cursor, settings, invite, now),
        expires_at=invite.expires_at,
        balance=allowance.balance,
    )


@router.post("/invites/{invite_id}/resend", status_code=202)
def send_invite_again(invite_id: Id, caller: Inviter, store: StoreDep, settings: SettingsDep, now: Clock) -> Receipt:
    """Mail one's own invite once more, with another code; at most every five minutes."""
    check_inviting(settings.registration.mode)
    must_not_be_warned(store, caller.user_id, now)
    invite = _own(store, invite_id, caller)
    with store.history.pool.connection() as connection:
        issued = issued_at(connection, invite.id)
    if issued is not None and now < issued + MAIL_AGAIN_AFTER:
        raise MailedLately("this invite was sent less than five minutes ago")
    invite.send_again(now=now)
    return store.save(invite, beside=lambda cursor: mail_invite(cursor, settings, invite, now))


@router.delete("/invites/{invite_id}")
def revoke_invite(invite_id: Id, caller: Inviter, store: StoreDep, secrets: SecretsDep, now: Clock) -> Receipt:
    """Make an invite useless; its sender has it back. For the sender, and for who grants invites."""
    invite = store.edit(Invite, invite_id) if caller.can(Permission.INVITES_GRANT) else _own(store, invite_id, caller)
    invite.revoke(now=now)
    return _end(store, secrets.site, invite)


def expire_invite(store: Store, site_secret: bytes, invite_id: UUID, now: datetime) -> None:
    """Record that its time is over and give it back; nothing happens to one that works or has ended."""
    invite = store.get(Invite, invite_id)
    invite.expire(now=now)
    if invite.pending_events:
        _end(store, site_secret, invite)


def accepted_invite(store: Store, site_secret: bytes, code: str, email: str, now: datetime) -> Invited:
    """The invite that the code opens for that address, accepted; raises `InviteRefused`."""
    with store.history.pool.connection() as connection:
        invite_id = invite_of(connection, code)
    if invite_id is None:
        raise InviteRefused(REFUSAL)
    invite = store.get(Invite, invite_id)
    invite.accept(email, now=now)
    if invite.inviter_id is not None:
        inviter = store.get(User, invite.inviter_id)
        if not inviter.enabled or ban_in_force(store, inviter.id, BanKind.ACCOUNT, now):
            raise InviteRefused(REFUSAL)
    return Invited(invite, [invite, *_released(store, site_secret, invite)])


def held_for(store: Store, site_secret: bytes, invite: Invite) -> list[Claim]:
    """The address, kept for this invite alone; raises `AddressNotInvitable`."""
    taken = AddressNotInvitable("this address cannot be invited")
    if user_with_email(store, site_secret, invite.email) is not None:
        raise taken
    return hold(store, _claim_id(site_secret, invite.email), "invited", invite.id, taken)


def mail_invite(cursor: Cursor[Any], settings: Settings, invite: Invite, now: datetime) -> None:
    """Send the link that opens the door, and void the one before."""
    code, until = new_code(), f"{invite.expires_at:%Y-%m-%d %H:%M} UTC"
    url = link(settings, PURPOSE, code)
    text = f"You are invited. Make your account, with this address, until {until}:\n\n{url}\n"
    subject, occasion = "You are invited", Occasion.NAMED
    sent = post(cursor, settings, to=invite.email, subject=subject, text=text, occasion=occasion) is not None
    issue_code(cursor, invite.id, code, now, sent=sent)


def _end(store: Store, site_secret: bytes, invite: Invite) -> Receipt:
    """An invite that ends unused: its code and its hold on the address end too, and a member has it back."""
    changed: list[Aggregate] = [invite, *_released(store, site_secret, invite)]
    if invite.charged and invite.inviter_id is not None:
        allowance = _allowance(store, invite.inviter_id)
        allowance.refund(invite.id)
        changed.append(allowance)
    return store.save(*changed, beside=lambda cursor: forget_code(cursor, invite.id))


def _allowance(store: Store, user_id: UUID) -> InviteAllowance:
    return store.find(InviteAllowance, allowance_id(user_id)) or InviteAllowance.open(user_id)


def _own(store: Store, invite_id: UUID, caller: Caller) -> Invite:
    """Raises `NoSuchThing` for somebody else's."""
    invite = store.edit(Invite, invite_id)
    if invite.inviter_id != caller.user_id:
        raise NoSuchThing("no such invite")
    return invite


def _released(store: Store, site_secret: bytes, invite: Invite) -> list[Claim]:
    return let_go(store, _claim_id(site_secret, invite.email), invite.id)


def _claim_id(site_secret: bytes, email: str) -> UUID:
    return personal_claim_id(site_secret, "invited", email_key(email))
