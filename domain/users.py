"""A user: who it is, which group it is in, whether it may come in. Statistics, money and sessions are other streams."""

from __future__ import annotations

import re
from datetime import datetime
from uuid import UUID

from domain.announce_rules import RatioRule
from domain.base import Aggregate, Created, Personal, event
from domain.errors import Conflict, Malformed, NotAllowed
from domain.factors import FREE, check_promotion
from domain.permissions import Permission

#: Members and above may log in and announce; what else they may do is their group's business.
FIRST_GROUP = "member"
#: Where accounts wait for their e-mail address to be confirmed.
WAITING_GROUP = "validating"

_USERNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9]|[_-](?=[A-Za-z0-9])){2,24}")
_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)
_RESERVED = frozenset(
    "admin administrator anonymous api bot deleted erased everyone guest me mod moderator nobody null owner root staff"
    " support sysop system tracker undefined unknown".split()
)
#: NIST SP 800-63B section 5.1.1: length, and nothing that everybody tries first; no rules about digits and signs.
PASSWORD_MIN = 8
PASSWORD_MAX = 256
_COMMON_PASSWORDS = frozenset(
    "00000000 000000000 0123456789 01234567 0987654321 11111111 111111111 1111111111 11223344 112233445566 12121212"
    " 12341234 123123123 12344321 12345678 123456789 1234567890 12345679 123456abc 1234qwer 12qwaszx 1q2w3e4r"
    " 1q2w3e4r5t 1qaz2wsx 1qazxsw2 22222222 55555555 66666666 77777777 87654321 88888888 987654321 99999999"
    " aa123456 aaaaaaaa abc12345 abcd1234 abcdefgh access14 alexander asdf1234 asdfasdf asdfghjk asdfghjkl babygirl"
    " baseball basketball bigdaddy bittorrent blink182 butterfly changeme charlie1 chocolate christian cocacola"
    " computer corvette danielle dolphins dragon123 drowssap elephant facebook fernando firebird football garfield"
    " gfhjkm123 godzilla hello123 iloveyou iloveyou1 internet jennifer jessica1 letmein1 liverpool loveyou1 marlboro"
    " mercedes metallica michelle midnight minecraft monkey123 mustang1 myspace1 nicholas p@ssw0rd p@ssword pa55word"
    " passw0rd password password! password1 password12 password123 passwort pokemon1 princess princess1 q1w2e3r4"
    " qazwsxedc qqqqqqqq qwer1234 qwert123 qwerty12 qwerty123 qwertyui qwertyuiop qwertz123 rangers1 samantha samsung1"
    " scorpion secret123 slipknot snowball starwars steelers sunshine superman swordfish trustno1 unicorn1 victoria"
    " welcome1 welcome123 whatever william1 wolverine zaq12wsx zaq1zaq1 zxcvbnm1 zxcvbnm123".split()
)


class BadUsername(Malformed):
    """3 to 25 letters and digits of ASCII, with single dashes or underscores between them."""


class ReservedUsername(Malformed):
    """The name would pass for the site's own."""


class BadEmail(Malformed):
    """Not one plain address of the form local@domain."""


class WeakPassword(Malformed):
    """Too short, too long, the account's own name or address, or one that everybody tries first."""


class UsernameTaken(Conflict):
    """Another account has this name, or one that differs in case only."""


class EmailTaken(Conflict):
    """Another account has this address."""


class AlreadyVerified(Conflict):
    """The address was confirmed before."""


class AboveOwnLevel(NotAllowed):
    """Only somebody of a higher level may do this to that user or grant that group."""


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
        self.passkey_no = 1
        self.two_factor = False
        self.free_until: datetime | None = None
        self.leeching_suspended = False

    def verify_email(self) -> None:
        if self.email_verified:
            raise AlreadyVerified("this address is confirmed already")
        self._email_verified()
        if self.group == WAITING_GROUP:
            self._group_changed(FIRST_GROUP, "e-mail address confirmed")

    def change_group(self, group: str, reason: str) -> None:
        if group != self.group:
            self._group_changed(group, reason)

    def disable(self, reason: str) -> None:
        if self.enabled:
            self._disabled(reason)

    def enable(self, reason: str) -> None:
        if not self.enabled:
            self._enabled(reason)

    def reset_passkey(self) -> None:
        """End every announce key at once: keys are derived from the number that moves on here."""
        self._passkey_reset(self.passkey_no + 1)

    def change_password(self) -> None:
        """Record that the password changed; its hash lives in the credentials store, never here."""
        self._password_changed()

    def enable_two_factor(self) -> None:
        if not self.two_factor:
            self._two_factor_enabled()

    def disable_two_factor(self) -> None:
        if self.two_factor:
            self._two_factor_disabled()

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

        `permissions` are the group's. Whose downloads are not charged is exempt: that ratio says nothing about them.
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

    @event(GroupChanged)
    def _group_changed(self, group: str, reason: str) -> None:
        self.group = group

    @event(Disabled)
    def _disabled(self, reason: str) -> None:
        self.enabled = False

    @event(Enabled)
    def _enabled(self, reason: str) -> None:
        self.enabled = True

    @event(PasskeyReset)
    def _passkey_reset(self, passkey_no: int) -> None:
        self.passkey_no = passkey_no

    @event(PasswordChanged)
    def _password_changed(self) -> None:
        pass

    @event(TwoFactorEnabled)
    def _two_factor_enabled(self) -> None:
        self.two_factor = True

    @event(TwoFactorDisabled)
    def _two_factor_disabled(self) -> None:
        self.two_factor = False

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


def check_username(username: str, *, reserved: bool = False) -> None:
    """Raises `BadUsername`, or `ReservedUsername` unless the caller may use `reserved` names.

    ASCII only, so no two names can look alike but for case.
    """
    if not _USERNAME.fullmatch(username):
        raise BadUsername("a username has 3 to 25 letters, digits, and single dashes or underscores between them")
    if not reserved and username_key(username) in _RESERVED:
        raise ReservedUsername("this name is reserved")


def username_key(username: str) -> str:
    """The one normal form by which names are unique and looked up; applying it twice changes nothing."""
    return username.lower()


def check_email(email: str) -> None:
    """Raises `BadEmail`."""
    if len(email) > 254 or not _EMAIL.fullmatch(email):  # RFC 5321 section 4.5.3.1
        raise BadEmail("not an e-mail address")


def email_key(email: str) -> str:
    """The one normal form by which addresses are unique and looked up."""
    return email.lower()


def check_password(password: str, username: str, email: str) -> None:
    """Raises `WeakPassword`. The password is taken as it was sent: no trimming, no Unicode normalisation."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise WeakPassword(f"a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters")
    folded = password.casefold()
    if folded in {username.casefold(), email.casefold(), email.partition("@")[0].casefold()}:
        raise WeakPassword("a password is not your name or address")
    if folded in _COMMON_PASSWORDS:
        raise WeakPassword("this password is among the first that anybody would try")


def must_outrank(actor_level: int, other_level: int) -> None:
    """Staff act on lower levels only; raises `AboveOwnLevel`."""
    if actor_level <= other_level:
        raise AboveOwnLevel("this needs a higher level than yours")


def _why_restored(rule: RatioRule, free: bool) -> str:
    if not rule.required_percent:
        return "no ratio is required"
    return "downloads are not charged" if free else "the ratio rule is satisfied"
