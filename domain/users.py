"""A user: who it is, which group it is in, whether it may come in. Statistics, money and sessions are other streams."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from domain.announce_rules import RatioRule
from domain.base import ERASED, Aggregate, Created, Personal, event
from domain.errors import Conflict, NotAllowed
from domain.factors import FREE, check_promotion
from domain.permissions import Permission

#: Members and above may log in and announce; what else they may do is their group's business.
FIRST_GROUP = "member"
#: Where accounts wait for their e-mail address to be confirmed.
WAITING_GROUP = "validating"


class AlreadyVerified(Conflict):
    """The address was confirmed before."""


class AboveOwnLevel(NotAllowed):
    """Only somebody of a higher level may do this to that user or grant that group."""


class AccountErased(Conflict):
    """The person asked to be forgotten, or was: there is no way back."""


class User(Aggregate):
    """One account, from registration on."""

    TOPIC = "user"

    class Registered(Created):
        """An account was made; `group` is the slug of its first group."""

        TOPIC = "user.registered"
        username: Personal
        email: Personal
        group: str

    class EmailVerified(Aggregate.Event):
        TOPIC = "user.email_verified"

    class EmailChanged(Aggregate.Event):
        """The account has another address, which has answered."""

        TOPIC = "user.email_changed"
        email: Personal

    class EmailRestored(Aggregate.Event):
        """The account has the address again that it had before a change: from there, the change was undone."""

        TOPIC = "user.email_restored"
        email: Personal

    class PasswordReset(Aggregate.Event):
        """A new password was set with a link that was sent to the account's address."""

        TOPIC = "user.password_reset"

    class Renamed(Aggregate.Event):
        """The staff gave the user another name; the former one stays taken."""

        TOPIC = "user.renamed"
        username: Personal
        reason: str

    class GroupChanged(Aggregate.Event):
        TOPIC = "user.group_changed"
        group: str
        reason: str

    class Disabled(Aggregate.Event):
        """The account may not come in or announce."""

        TOPIC = "user.disabled"
        reason: str

    class Enabled(Aggregate.Event):
        TOPIC = "user.enabled"
        reason: str

    class Erased(Aggregate.Event):
        """Whose account this was is forgotten: name and address are given back, the history goes on without them."""

        TOPIC = "user.erased"

    class PasskeyReset(Aggregate.Event):
        """Every announce key from before is void: keys are derived from `passkey_no`."""

        TOPIC = "user.passkey_reset"
        passkey_no: int

    class PasswordChanged(Aggregate.Event):
        TOPIC = "user.password_changed"

    class TwoFactorEnabled(Aggregate.Event):
        TOPIC = "user.two_factor_enabled"

    class TwoFactorDisabled(Aggregate.Event):
        TOPIC = "user.two_factor_disabled"

    class RecoveryCodesReplaced(Aggregate.Event):
        """New recovery codes were handed out; the old ones work no more."""

        TOPIC = "user.recovery_codes_replaced"

    class PersonalFreeleechGranted(Aggregate.Event):
        """Nothing that the user downloads until then is charged."""

        TOPIC = "user.personal_freeleech_granted"
        until: datetime

    class PersonalFreeleechEnded(Aggregate.Event):
        """Downloads are charged from now on, before the time was over."""

        TOPIC = "user.personal_freeleech_ended"

    class LeechingSuspended(Aggregate.Event):
        """By the ratio rule; the credited bytes and the share required are those of the decision."""

        TOPIC = "user.leeching_suspended"
        reason: str
        uploaded: int
        downloaded: int
        required_ratio_percent: int

    class LeechingRestored(Aggregate.Event):
        TOPIC = "user.leeching_restored"
        reason: str

    @classmethod
    def register(cls, user_id: UUID, username: str, email: str, group: str) -> User:
        """A new account; the caller has checked the name and the address with `check_username` and `check_email`."""
        return cls._create(cls.Registered, id=user_id, username=username, email=email, group=group)

    def __init__(self, username: str, email: str, group: str) -> None:
        self.username = username
        self.email = email
        self.group = group
        self.email_verified = False
        self.enabled = True
        self.erased = False
        self.passkey_no = 1
        self.email_changed_at: datetime | None = None
        self.two_factor = False
        self.two_factor_changed_at: datetime | None = None
        self.free_until: datetime | None = None
        self.leeching_suspended = False

    def verify_email(self) -> None:
        if self.email_verified:
            raise AlreadyVerified("this address is confirmed already")
        self._email_verified()
        if self.group == WAITING_GROUP:
            self._group_changed(FIRST_GROUP, "e-mail address confirmed")

    def change_email(self, email: str) -> None:
        """The address has answered, and the caller holds it for this user. Who waited for a confirmation has it.
        Raises `AccountErased`."""
        self.must_not_be_erased()
        self._email_changed(email)
        if self.group == WAITING_GROUP:
            self._group_changed(FIRST_GROUP, "e-mail address confirmed")

    def restore_email(self, email: str) -> None:
        """The former address wants none of the change; nothing has to cool off. Raises `AccountErased`."""
        self.must_not_be_erased()
        self._email_restored(email)

    def rename(self, username: str, reason: str) -> None:
        """The caller has checked the name and holds it for this user. Raises `AccountErased`."""
        self.must_not_be_erased()
        if username != self.username:
            self._renamed(username, reason)

    def change_group(self, group: str, reason: str) -> None:
        if group != self.group:
            self._group_changed(group, reason)

    def disable(self, reason: str) -> None:
        if self.enabled:
            self._disabled(reason)

    def enable(self, reason: str) -> None:
        """Raises `AccountErased`."""
        self.must_not_be_erased()
        if not self.enabled:
            self._enabled(reason)

    def erase(self) -> None:
        """Close the account for good; raises `AccountErased`."""
        self.must_not_be_erased()
        self.disable(ERASED)
        self._erased()

    def must_not_be_erased(self) -> None:
        """Raises `AccountErased`."""
        if self.erased:
            raise AccountErased("this account is erased")

    def reset_passkey(self) -> None:
        """End every announce key at once: keys are derived from the number that moves on here."""
        self._passkey_reset(self.passkey_no + 1)

    def change_password(self) -> None:
        """Record that the password changed; its hash lives in the credentials store, never here."""
        self._password_changed()

    def reset_password(self) -> None:
        """The same by a link in a mail, when the one before is forgotten. Raises `AccountErased`."""
        self.must_not_be_erased()
        self._password_reset()

    def enable_two_factor(self) -> None:
        if not self.two_factor:
            self._two_factor_enabled()

    def disable_two_factor(self) -> None:
        if self.two_factor:
            self._two_factor_disabled()

    def replace_recovery_codes(self) -> None:
        """Record that there are new ones; their hashes live in the credentials store."""
        self._recovery_codes_replaced()

    def grant_freeleech(self, until: datetime, *, now: datetime) -> None:
        """Nothing that this user downloads until then is charged; the newest grant alone says until when.

        Raises `PromotionInPast`.
        """
        check_promotion(FREE, until, now=now)
        if until != self.free_until:
            self._personal_freeleech_granted(until)

    def end_freeleech(self, *, now: datetime) -> None:
        if self.free_until is not None and self.free_until > now:
            self._personal_freeleech_ended()

    def hold_to_ratio(
        self, rule: RatioRule, permissions: frozenset[str], uploaded: int, downloaded: int, *, now: datetime
    ) -> None:
        """Suspend the right to download, or give it back, as the rule has it for these credited bytes.

        `permissions` are all that the user has. Whose downloads are not charged is exempt: that ratio says nothing
        about them.
        """
        free = Permission.FREELEECH in permissions or (self.free_until is not None and now < self.free_until)
        broken = not free and rule.broken(uploaded, downloaded)
        if self.leeching_suspended and not broken:
            self._leeching_restored(_why_restored(rule, free))
        elif not self.leeching_suspended and broken and self.enabled and Permission.LEECH in permissions:
            reason = f"ratio below the required {rule.required_percent / 100:.2f}"
            self._leeching_suspended(reason, uploaded, downloaded, rule.required_percent)

    @event(EmailVerified)
    def _email_verified(self) -> None:
        self.email_verified = True

    @event(EmailChanged)
    def _email_changed(self, email: str, timestamp: datetime | None = None) -> None:
        self.email = email
        self.email_verified = True
        self.email_changed_at = timestamp

    @event(EmailRestored)
    def _email_restored(self, email: str) -> None:
        self.email = email
        self.email_changed_at = None

    @event(PasswordReset)
    def _password_reset(self) -> None:
        pass

    @event(Renamed)
    def _renamed(self, username: str, reason: str) -> None:
        self.username = username

    @event(GroupChanged)
    def _group_changed(self, group: str, reason: str) -> None:
        self.group = group

    @event(Disabled)
    def _disabled(self, reason: str) -> None:
        self.enabled = False

    @event(Enabled)
    def _enabled(self, reason: str) -> None:
        self.enabled = True

    @event(Erased)
    def _erased(self) -> None:
        self.erased = True
        self.username = self.email = ERASED

    @event(PasskeyReset)
    def _passkey_reset(self, passkey_no: int) -> None:
        self.passkey_no = passkey_no

    @event(PasswordChanged)
    def _password_changed(self) -> None:
        pass

    @event(TwoFactorEnabled)
    def _two_factor_enabled(self, timestamp: datetime | None = None) -> None:
        self.two_factor = True
        self.two_factor_changed_at = timestamp

    @event(TwoFactorDisabled)
    def _two_factor_disabled(self, timestamp: datetime | None = None) -> None:
        self.two_factor = False
        self.two_factor_changed_at = timestamp

    @event(RecoveryCodesReplaced)
    def _recovery_codes_replaced(self) -> None:
        pass

    @event(PersonalFreeleechGranted)
    def _personal_freeleech_granted(self, until: datetime) -> None:
        self.free_until = until

    @event(PersonalFreeleechEnded)
    def _personal_freeleech_ended(self) -> None:
        self.free_until = None

    @event(LeechingSuspended)
    def _leeching_suspended(self, reason: str, uploaded: int, downloaded: int, required_ratio_percent: int) -> None:
        self.leeching_suspended = True

    @event(LeechingRestored)
    def _leeching_restored(self, reason: str) -> None:
        self.leeching_suspended = False


def must_outrank(actor_level: int, other_level: int) -> None:
    """Staff act on lower levels only; raises `AboveOwnLevel`."""
    if actor_level <= other_level:
        raise AboveOwnLevel("this needs a higher level than yours")


def _why_restored(rule: RatioRule, free: bool) -> str:
    if not rule.required_percent:
        return "no ratio is required"
    return "downloads are not charged" if free else "the ratio rule is satisfied"
