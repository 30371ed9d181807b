"""E-mail addresses: which are taken, the one form by which they are unique, and how a user gets another one.

A change counts once the new address has answered. The owner of the former one is told, and may undo it for a week: so
long the former address stays with the account, and nobody else can take it meanwhile.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from uuid import UUID

from domain.base import Aggregate, Created, Personal, event
from domain.errors import Conflict, Malformed

#: How long the link to a new address works; Gazelle's for confirmations.
CONFIRM_WITHIN = timedelta(days=1)
#: How long a change can be undone from the former address.
UNDO_WITHIN = timedelta(days=7)
#: For so long after a change the account may not be taken any further by it: no other change, no reset of the password
#: by mail, no inviting.
COOL_OFF = timedelta(days=1)
#: Who asks for another link within this time gets none: a mailbox is not to be filled by strangers.
MAIL_AGAIN_AFTER = timedelta(minutes=5)

_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)


class BadEmail(Malformed):
    """Not one plain address of the form local@domain."""


class EmailTaken(Conflict):
    """Another account has this address."""


class SameEmail(Conflict):
    """The account has this address already."""


class EmailChangedLately(Conflict):
    """The address changed a moment ago; what follows from it has to wait."""


class EmailTokenInvalid(Malformed):
    """The link is unknown, too old, or was used."""


class MailedLately(Conflict):
    """A link is on its way."""


class EmailChangeOver(Conflict):
    """The change was confirmed, cancelled, undone, or is too old for this."""


class EmailChange(Aggregate):
    """One wish of a user for another address, and what became of it."""

    TOPIC = "email_change"

    class Asked(Created):
        TOPIC = "email_change.asked"
        SUBJECT = "user_id"
        user_id: UUID
        email: Personal
        former: Personal

    class Confirmed(Aggregate.Event):
        """The new address answered: it is the account's from now on."""

        TOPIC = "email_change.confirmed"
        user_id: UUID

    class Cancelled(Aggregate.Event):
        """From the former address, before the new one answered."""

        TOPIC = "email_change.cancelled"
        user_id: UUID

    class Undone(Aggregate.Event):
        """From the former address, afterwards: the account has that one again."""

        TOPIC = "email_change.undone"
        user_id: UUID

    class Settled(Aggregate.Event):
        """The time to undo it is over: the former address may be somebody else's."""

        TOPIC = "email_change.settled"
        user_id: UUID

    @classmethod
    def ask(cls, change_id: UUID, user_id: UUID, email: str, former: str) -> EmailChange:
        """The caller has checked the new address with `check_email`. Raises `SameEmail`."""
        if email == former:
            raise SameEmail("this is your address")
        return cls._create(cls.Asked, id=change_id, user_id=user_id, email=email, former=former)

    def __init__(self, user_id: UUID, email: str, former: str) -> None:
        self.user_id = user_id
        self.email = email
        self.former = former
        self.confirmed_at: datetime | None = None
        self.over = False

    def confirm(self) -> None:
        """Raises `EmailChangeOver`."""
        self._must_be(confirmed=False)
        self._confirmed(self.user_id)

    def take_back(self, *, now: datetime) -> None:
        """By the owner of the former address: before the change it is cancelled, afterwards undone. Raises
        `EmailChangeOver`."""
        if self.confirmed_at is None:
            self._must_be(confirmed=False)
            self._cancelled(self.user_id)
            return
        self._must_be(confirmed=True)
        if now >= self.confirmed_at + UNDO_WITHIN:
            raise EmailChangeOver("this change is too old to be undone")
        self._undone(self.user_id)

    def settle(self, *, now: datetime) -> None:
        """Nothing happens to a change that can still be undone, or is over."""
        if not self.over and self.confirmed_at is not None and now >= self.confirmed_at + UNDO_WITHIN:
            self._settled(self.user_id)

    def _must_be(self, *, confirmed: bool) -> None:
        if self.over or (self.confirmed_at is not None) != confirmed:
            raise EmailChangeOver("this change is over")

    @event(Confirmed)
    def _confirmed(self, user_id: UUID, timestamp: datetime | None = None) -> None:
        self.confirmed_at = timestamp

    @event(Cancelled)
    def _cancelled(self, user_id: UUID) -> None:
        self.over = True

    @event(Undone)
    def _undone(self, user_id: UUID) -> None:
        self.over = True

    @event(Settled)
    def _settled(self, user_id: UUID) -> None:
        self.over = True


def check_email(email: str) -> None:
    """Raises `BadEmail`."""
    if len(email) > 254 or not _EMAIL.fullmatch(email):  # RFC 5321 section 4.5.3.1
        raise BadEmail("not an e-mail address")


def email_key(email: str) -> str:
    """The one normal form by which addresses are unique and looked up: case counts nowhere (RFC 5321 lets it count
    before the @, and no provider does). Dots and what follows a + belong to the address."""
    return email.lower()


def check_cool_off(changed_at: datetime | None, *, now: datetime) -> None:
    """Raises `EmailChangedLately`; `changed_at` is null for who never changed the address."""
    if changed_at is not None and now < changed_at + COOL_OFF:
        raise EmailChangedLately("your address changed less than a day ago: try again tomorrow")
