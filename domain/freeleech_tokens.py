"""Freeleech tokens: what a user spends to download one torrent without being charged for it."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from domain.base import MAX_COUNT, Aggregate, Created, event, natural_id
from domain.errors import Conflict, Malformed
from domain.torrents import Torrent, TorrentState, check_reason

#: Gazelle's price: one token for each begun 512 MiB of the torrent.
TOKEN_BYTES = 512 * 1024**2
#: Gazelle: a token spent frees its torrent for so long.
TOKEN_LASTS = timedelta(days=30)


class BadTokens(Malformed):
    """A number of tokens is above zero and fits the account."""


class InsufficientTokens(Conflict):
    """The torrent costs more tokens than there are."""


class TokenActive(Conflict):
    """A token of this user's frees the torrent already."""


class TorrentFree(Conflict):
    """Downloads of the torrent are not charged anyway."""


class TorrentNotApproved(Conflict):
    """Tokens are for approved torrents."""


class FreeleechTokens(Aggregate):
    """One user's tokens, and until when those spent hold."""

    TOPIC = "freeleech_tokens"

    class Opened(Created):
        TOPIC = "freeleech_tokens.opened"
        user_id: UUID

    class Granted(Aggregate.Event):
        """So many more tokens."""

        TOPIC = "freeleech_tokens.granted"
        user_id: UUID
        tokens: int
        reason: str

    class Spent(Aggregate.Event):
        """The user's downloads of the torrent are not charged until then."""

        TOPIC = "freeleech_tokens.spent"
        user_id: UUID
        torrent_id: UUID
        tokens: int
        until: datetime

    @classmethod
    def open(cls, user_id: UUID) -> FreeleechTokens:
        return cls._create(cls.Opened, id=tokens_id(user_id), user_id=user_id)

    def __init__(self, user_id: UUID) -> None:
        self.user_id = user_id
        self.balance = 0
        self.spent_until: dict[UUID, datetime] = {}  # by torrent

    def grant(self, tokens: int, reason: str) -> None:
        """Raises `BadTokens`, `ReasonMissing`."""
        check_reason(reason)
        if not 0 < tokens <= MAX_COUNT - self.balance:
            raise BadTokens("this is no number of tokens that the account can hold")
        self._granted(self.user_id, tokens, reason)

    def spend(self, torrent: Torrent, *, now: datetime) -> None:
        """Free the torrent for this user; the caller has checked that the user may download.

        Raises `TorrentNotApproved`, `TorrentFree`, `TokenActive`, `InsufficientTokens`.
        """
        if torrent.state is not TorrentState.APPROVED:
            raise TorrentNotApproved("only an approved torrent can be freed")
        if torrent.factors(now).download_percent == 0:
            raise TorrentFree("downloads of this torrent are not charged")
        if torrent.id in self.spent_until and self.spent_until[torrent.id] > now:
            raise TokenActive("a token of yours frees this torrent already")
        tokens = price(torrent.size)
        if tokens > self.balance:
            raise InsufficientTokens(f"this torrent costs {tokens} tokens, and you have {self.balance}")
        self._spent(self.user_id, torrent.id, tokens, now + TOKEN_LASTS)

    @event(Granted)
    def _granted(self, user_id: UUID, tokens: int, reason: str) -> None:
        self.balance += tokens

    @event(Spent)
    def _spent(self, user_id: UUID, torrent_id: UUID, tokens: int, until: datetime) -> None:
        self.balance -= tokens
        self.spent_until[torrent_id] = until


def tokens_id(user_id: UUID) -> UUID:
    return natural_id("freeleech_tokens", user_id.hex)


def price(size: int) -> int:
    """What freeing a torrent of `size` bytes costs, in tokens."""
    return max(1, -(-size // TOKEN_BYTES))
