"""What is counted of a user besides bytes: which fact adds how much to which number, and what takes it away again.

The names are those of the numbers on a profile. Points are thousandths.
"""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple

from domain.bonus import PostingKind


class Count(StrEnum):
    """A number of a user. What was done anonymously is counted apart, so that nobody finds it by subtraction."""

    ACCOUNTS = "accounts"  # one while the account is enabled: of the whole site, its members
    UPLOADS = "uploads"  # that are listed
    UPLOADS_ANONYMOUS = "uploads_anonymous"
    REQUESTS_OPENED = "requests_opened"
    REQUESTS_FILLED = "requests_filled"  # whose fill was accepted, while its torrent exists
    REQUESTS_FILLED_ANONYMOUS = "requests_filled_anonymous"  # with an anonymous upload of the user's own
    BOUNTY_SPENT = "bounty_spent"  # what was refunded is not spent
    BOUNTY_EARNED = "bounty_earned"
    BONUS_SPENT = "bonus_spent"  # as above; earned minus spent is the balance
    BONUS_EARNED = "bonus_earned"
    REPORTS = "reports"
    INVITED = "invited"  # who came by an invite of the user's


#: Postings that undo spending rather than earn anything.
REFUNDS = frozenset({PostingKind.BOUNTY_REFUNDED})
#: Postings by which bounties are spent.
BOUNTIES_SPENT = frozenset({PostingKind.BOUNTY_ESCROWED}) | REFUNDS
BOUNTIES_EARNED = frozenset({PostingKind.BOUNTY_PAID})


def of_posting(kind: str, amount: int) -> dict[Count, int]:
    """What `amount` thousandths of a point into a user's account (out of it, below zero) add to the user's numbers."""
    spends = amount < 0 or kind in REFUNDS
    found = {Count.BONUS_SPENT: -amount} if spends else {Count.BONUS_EARNED: amount}
    if kind in BOUNTIES_SPENT:
        found[Count.BOUNTY_SPENT] = -amount
    elif kind in BOUNTIES_EARNED:
        found[Count.BOUNTY_EARNED] = amount
    return found


class Streak(NamedTuple):
    """Days (UTC) in a row on which somebody signed in: up to the newest such day, and the most there ever were."""

    newest: date | None = None
    days: int = 0
    longest: int = 0

    def with_day(self, day: date) -> Streak:
        """The streak after a sign-in on that day; one that is learnt of late changes nothing."""
        if self.newest is not None and day <= self.newest:
            return self
        follows = self.newest is not None and day - self.newest == timedelta(days=1)
        days = self.days + 1 if follows else 1
        return Streak(day, days, max(days, self.longest))

    def on(self, today: date) -> int:
        """How long it is today: it lasts until a whole day went by without a sign-in."""
        return self.days if self.newest is not None and today - self.newest <= timedelta(days=1) else 0
