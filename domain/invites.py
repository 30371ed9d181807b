"""Invites: how many a member has, to whom one was sent, and what became of it.

An invite names the id that the account will have: the address in it belongs to that person from the start, and is
forgotten with the account.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from domain.base import MAX_COUNT, Aggregate, Created, Personal, event, natural_id
from domain.emails import COOL_OFF, email_key
from domain.errors import Conflict, Malformed
from domain.torrents import check_reason
from domain.users import User

NOTE_MAX = 1000


class InviteRefused(Malformed):
    """The invite does not open the door: unknown, used, expired, revoked, of somebody who is shut out, or for another
    address. Never said which."""

    code = "invite"


class BadInvites(Malformed):
    """A number of invites is above zero and fits the account."""


class BadNote(Malformed):
    """A note is short."""


class NoInvitesLeft(Conflict):
    """The member has no invite to send."""


class OwnAddress(Malformed):
    """Nobody invites themselves."""


class AddressNotInvitable(Conflict):
    """The address has an account, or an invite is on its way to it. Never said which."""


class InvitingCoolsOff(Conflict):
    """The account's address or second factor changed less than a day ago."""


class InvitingSuspended(Conflict):
    """Whoever may not download for its ratio invites nobody."""


class InviteOver(Conflict):
    """The invite was used, revoked, or its time is over."""


class InviteAllowance(Aggregate):
    """How many invites a member may send."""

    TOPIC = "invite_allowance"

    class Opened(Created):
        TOPIC = "invite_allowance.opened"
        user_id: UUID

    class Granted(Aggregate.Event):
        """So many more, by staff."""

        TOPIC = "invite_allowance.granted"
        user_id: UUID
        invites: int
        reason: str

    class MonthCredited(Aggregate.Event):
        """What the member's group gives for this month, with the first use that the month sees."""

        TOPIC = "invite_allowance.month_credited"
        user_id: UUID
        month: str  # 2031-01, in UTC
        invites: int

    class Spent(Aggregate.Event):
        TOPIC = "invite_allowance.spent"
        user_id: UUID
        invite_id: UUID

    class Refunded(Aggregate.Event):
        """The invite was revoked, or nobody used it in time."""

        TOPIC = "invite_allowance.refunded"
        user_id: UUID
        invite_id: UUID

    @classmethod
    def open(cls, user_id: UUID) -> InviteAllowance:
        return cls._create(cls.Opened, id=allowance_id(user_id), user_id=user_id)

    def __init__(self, user_id: UUID) -> None:
        self.user_id = user_id
        self.balance = 0
        self.month = ""  # the last that was credited

    def grant(self, invites: int, reason: str) -> None:
        """Raises `BadInvites`, `ReasonMissing`."""
        check_reason(reason)
        if not 0 < invites <= MAX_COUNT - self.balance:
            raise BadInvites("this is no number of invites that the account can hold")
        self._granted(self.user_id, invites, reason)

    def credit_month(self, monthly: int, *, now: datetime) -> None:
        """What the group gives a month, once for this one."""
        if monthly > 0 and f"{now:%Y-%m}" > self.month:
            self._month_credited(self.user_id, f"{now:%Y-%m}", monthly)

    def spend(self, invite_id: UUID) -> None:
        """Raises `NoInvitesLeft`."""
        if self.balance < 1:
            raise NoInvitesLeft("you have no invites left")
        self._spent(self.user_id, invite_id)

    def refund(self, invite_id: UUID) -> None:
        self._refunded(self.user_id, invite_id)

    @event(Granted)
    def _granted(self, user_id: UUID, invites: int, reason: str) -> None:
        self.balance += invites

    @event(MonthCredited)
    def _month_credited(self, user_id: UUID, month: str, invites: int) -> None:
        self.balance += invites
        self.month = month

    @event(Spent)
    def _spent(self, user_id: UUID, invite_id: UUID) -> None:
        self.balance -= 1

    @event(Refunded)
    def _refunded(self, user_id: UUID, invite_id: UUID) -> None:
        self.balance += 1


class Invite(Aggregate):
    """One invite to one address. Its code is a secret: the credentials store has a hash of it, events have none.

    The events that end it say again whose it was, so that followers need not remember.
    """

    TOPIC = "invite"

    class Sent(Created):
        """`inviter_id` is null for an application that the staff approved; `charged` ones were taken from a member's
        allowance; the note is for staff, and stays with whoever comes by the invite."""

        TOPIC = "invite.sent"
        SUBJECT = "invitee_id"
        inviter_id: UUID | None
        invitee_id: UUID
        email: Personal
        note: Personal
        charged: bool
        expires_at: datetime

    class SentAgain(Aggregate.Event):
        """With another code; the one before is void."""

        TOPIC = "invite.sent_again"
        inviter_id: UUID | None

    class Accepted(Aggregate.Event):
        """The account `invitee_id` was made with it."""

        TOPIC = "invite.accepted"
        inviter_id: UUID | None
        invitee_id: UUID

    class Revoked(Aggregate.Event):
        TOPIC = "invite.revoked"
        inviter_id: UUID | None

    class Expired(Aggregate.Event):
        TOPIC = "invite.expired"
        inviter_id: UUID | None

    @classmethod
    def send(
        cls,
        invite_id: UUID,
        invitee_id: UUID,
        email: str,
        expires_at: datetime,
        *,
        inviter_id: UUID | None = None,
        charged: bool = False,
        note: str = "",
    ) -> Invite:
        """The caller has checked the address, and the inviter with `check_inviter`. Raises `BadNote`."""
        if len(note) > NOTE_MAX:
            raise BadNote(f"a note has at most {NOTE_MAX} characters")
        return cls._create(
            cls.Sent,
            id=invite_id,
            inviter_id=inviter_id,
            invitee_id=invitee_id,
            email=email,
            note=note,
            charged=charged,
            expires_at=expires_at,
        )

    def __init__(
        self,
        inviter_id: UUID | None,
        invitee_id: UUID,
        email: str,
        note: str,
        charged: bool,
        expires_at: datetime,
    ) -> None:
        self.inviter_id = inviter_id
        self.invitee_id = invitee_id
        self.email = email
        self.note = note
        self.charged = charged
        self.expires_at = expires_at
        self.over = False

    def send_again(self, *, now: datetime) -> None:
        """Raises `InviteOver`."""
        self._must_be_open(now)
        self._sent_again(self.inviter_id)

    def accept(self, email: str, *, now: datetime) -> None:
        """By whoever registers with that address; raises `InviteRefused`."""
        if self.over or now >= self.expires_at or email_key(email) != email_key(self.email):
            raise InviteRefused(REFUSAL)
        self._accepted(self.inviter_id, self.invitee_id)

    def revoke(self, *, now: datetime) -> None:
        """Raises `InviteOver`."""
        self._must_be_open(now)
        self._revoked(self.inviter_id)

    def expire(self, *, now: datetime) -> None:
        """Record that its time is over; nothing happens before that, or after its end."""
        if not self.over and now >= self.expires_at:
            self._expired(self.inviter_id)

    def _must_be_open(self, now: datetime) -> None:
        if self.over or now >= self.expires_at:
            raise InviteOver("this invite is over")

    @event(SentAgain)
    def _sent_again(self, inviter_id: UUID | None) -> None:
        pass

    @event(Accepted)
    def _accepted(self, inviter_id: UUID | None, invitee_id: UUID) -> None:
        self.over = True

    @event(Revoked)
    def _revoked(self, inviter_id: UUID | None) -> None:
        self.over = True

    @event(Expired)
    def _expired(self, inviter_id: UUID | None) -> None:
        self.over = True


#: All that anybody is told about an invite that does not work.
REFUSAL = "this invite does not work: ask whoever sent it for another one"


def allowance_id(user_id: UUID) -> UUID:
    return natural_id("invite_allowance", user_id.hex)


def check_inviter(user: User, email: str, *, now: datetime) -> None:
    """The caller has checked that the user may invite at all. Raises `OwnAddress`, `InvitingSuspended`,
    `InvitingCoolsOff`."""
    if email_key(email) == email_key(user.email):
        raise OwnAddress("this is your own address")
    if user.leeching_suspended:
        raise InvitingSuspended("your ratio does not let you invite anybody")
    changed = (user.email_changed_at, user.two_factor_changed_at)
    if any(at is not None and now < at + COOL_OFF for at in changed):
        raise InvitingCoolsOff("your address or second factor changed less than a day ago: try again tomorrow")
