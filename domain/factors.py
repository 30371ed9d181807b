"""What share of the bytes counts: freeleech and its like, by the time of the announce."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from domain.announces import Announce
from domain.errors import Malformed

#: More than double upload is never granted, however many promotions meet.
MAX_UPLOAD_PERCENT = 200


class BadPromotion(Malformed):
    """A promotion counts 100 to 200 % of uploads and 0 to 100 % of downloads, not both in full; or nothing at all."""


class PromotionInPast(Malformed):
    """A promotion ends in the future."""


@dataclass(frozen=True, slots=True)
class Factors:
    """What share of the raw bytes counts, in whole percent."""

    upload_percent: int = 100
    download_percent: int = 100

    def __post_init__(self) -> None:
        if self.upload_percent < 0 or self.download_percent < 0:
            raise ValueError("a factor below zero")

    def combined(self, other: Factors) -> Factors:
        """Promotions do not multiply: the user gets the better of each, but where one is neutral nothing counts."""
        up, down = self.upload_percent, self.download_percent
        other_up, other_down = other.upload_percent, other.download_percent
        if not (up or down) or not (other_up or other_down):
            return NEUTRAL
        if up <= other_up <= MAX_UPLOAD_PERCENT and other_down <= down:
            return other  # of a promotion that covers the whole site, most announces take this way
        return Factors(min(max(up, other_up), MAX_UPLOAD_PERCENT), min(down, other_down))


FULL = Factors()
FREE = Factors(download_percent=0)
#: Gazelle's neutral leech: neither uploads nor downloads count.
NEUTRAL = Factors(0, 0)


def check_promotion(promised: Factors, until: datetime | None, *, now: datetime) -> None:
    """Raises `BadPromotion` or `PromotionInPast`; `until` is None for an end that nobody knows yet."""
    better = 100 <= promised.upload_percent <= MAX_UPLOAD_PERCENT and promised.download_percent <= 100
    if promised != NEUTRAL and (promised == FULL or not better):
        raise BadPromotion("a promotion counts 100 to 200 % of uploads and 0 to 100 % of downloads, or 0 % of both")
    if until is not None and until <= now:
        raise PromotionInPast("this time has passed")


class Window(NamedTuple):
    """When a promotion holds: from its start until just before its end (None = open), UTC microseconds."""

    starts_us: int
    ends_us: int | None
    factors: Factors


#: Whom a window is for: everybody, all of a torrent (its id), one user (its id), or one user on one torrent (both ids).
EVERYBODY = b""


def user_on_torrent(torrent_id: bytes, user_id: bytes) -> bytes:
    return torrent_id + user_id


@dataclass(slots=True)
class Promotions:
    """The windows that may cover some announces, by whom they are for (see `EVERYBODY`), in any order."""

    windows: Mapping[bytes, Sequence[Window]] = field(default_factory=dict)

    def factors(self, announce: Announce) -> Factors:
        """All windows that cover the time of receipt, combined. Most announces have none: that costs four look-ups."""
        windows = self.windows
        if not windows:
            return FULL
        torrent_id, user_id = announce.torrent_id, announce.user_id
        factors = FULL
        for subject in (EVERYBODY, torrent_id, user_id, torrent_id + user_id):
            if subject in windows:
                factors = _covering(windows[subject], announce.received_at_us, factors)
        return factors


def _covering(windows: Sequence[Window], at_us: int, factors: Factors) -> Factors:
    for start, end, promised in windows:
        if start <= at_us and (end is None or at_us < end):
            factors = factors.combined(promised)
    return factors
