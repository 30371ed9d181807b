"""How often somebody may guess: per address as Gazelle has it, per account, per code of the second factor.

A stranger's failures never shut out the owner: where an account signed in not long ago, only its own failures there
count, and it waits a minute at most. Names without an account have standings like any other, so that no answer tells
them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil
from typing import ClassVar

from domain.errors import DomainError

#: What an address waits after its first, second … failure; the last holds for all that follow.
BACK_OFF = tuple(
    timedelta(seconds=seconds) for seconds in (0, 30, 90, 300, 900, 10_800, 21_600, 86_400, 259_200, 604_800)
)
#: Failures of an address are remembered as long as they can hold it up.
ADDRESS_MEMORY = BACK_OFF[-1]
#: Guesses of one address that may be under way together, before the first of them is known to be wrong.
AT_ONCE = 8

#: An address from which the account signed in so recently is a known device, which waits no longer than this.
KNOWN_FOR = timedelta(days=28)
KNOWN_WAIT_MAX = timedelta(minutes=1)
#: After so many failures of this account there, it might as well be a stranger's.
KNOWN_FAILURES_MAX = 20

#: NIST SP 800-63B section 5.2.2: consecutive failures of one account, wherever they come from.
ACCOUNT_FAILURES_MAX = 100
ACCOUNT_MEMORY = timedelta(days=30)

#: OWASP ASVS V6.5: six digits withstand so many guesses in so much time.
WRONG_CODES_MAX = 5
WRONG_CODES_MEMORY = timedelta(minutes=15)

#: More failures of one account than this within a day, and its owner is told; once a day.
TELL_OWNER_AFTER = 10
TELL_OWNER_EVERY = timedelta(days=1)


class TooManyTries(DomainError):
    """Come back when `retry_after_s` seconds are over: the same for names that exist and for those that do not."""

    status: ClassVar[int] = 429

    def __init__(self, wait: timedelta) -> None:
        super().__init__("too many failed tries: wait before the next one")
        self.retry_after_s = max(1, ceil(wait.total_seconds()))


@dataclass(frozen=True)
class Guesses:
    """What is remembered of guesses: how many failed, when the last did, how many are under way."""

    failed: int = 0
    last_at: datetime | None = None
    under_way: int = 0


@dataclass(frozen=True)
class Standing:
    """Who is about to guess. `address` is None for a caller without one, whom its account alone limits.

    `address` counts all guesses from there, `pair` those at this account from there, `account` those at this account
    from anywhere, `codes` those with a code of the second factor that were wrong or are under way: the pair's at a
    known device, else the account's.
    """

    address: Guesses | None
    pair: Guesses
    account: Guesses
    codes: Guesses
    device_known: bool

    @property
    def known(self) -> bool:
        return self.device_known and self.pair.failed < KNOWN_FAILURES_MAX


def check_guess(standing: Standing, *, with_code: bool, now: datetime) -> None:
    """Raises `TooManyTries` for a guess that may not be made now."""
    if standing.known:
        _check_address(standing.pair, KNOWN_WAIT_MAX, now)
    else:
        if standing.address is not None:
            _check_address(standing.address, ADDRESS_MEMORY, now)
        _check_count(standing.account, ACCOUNT_FAILURES_MAX, ACCOUNT_MEMORY, now)
    if with_code:
        _check_count(standing.codes, WRONG_CODES_MAX, WRONG_CODES_MEMORY, now)


def network_of(address: str) -> str:
    """Whom failures of an IP address are held against: of IPv6 the /64, which one customer has to itself."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or ip_network((int(ip), 64), strict=False))
    return str(ip)


def back_off(failed: int) -> timedelta:
    """The wait after so many failures in a row."""
    return BACK_OFF[min(failed, len(BACK_OFF)) - 1] if failed else timedelta(0)


def _check_address(guesses: Guesses, longest: timedelta, now: datetime) -> None:
    if guesses.last_at is not None:
        _check_time(guesses.last_at + min(back_off(guesses.failed), longest), now)
    if guesses.under_way and guesses.failed + guesses.under_way >= AT_ONCE:
        raise TooManyTries(timedelta(seconds=1))


def _check_count(guesses: Guesses, most: int, memory: timedelta, now: datetime) -> None:
    if guesses.failed + guesses.under_way >= most:
        _check_time((guesses.last_at or now) + memory if guesses.failed else now + timedelta(seconds=1), now)


def _check_time(until: datetime, now: datetime) -> None:
    if now < until:
        raise TooManyTries(until - now)
