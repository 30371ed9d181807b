"""What share of the bytes counts: freeleech and its like, by the time of the announce."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from domain.announces import Announce

#: More than double upload is never granted, however many promotions meet.
MAX_UPLOAD_PERCENT = 200

Window = tuple[int, int | None]  # from, until (None = open), UTC microseconds


@dataclass(frozen=True, slots=True)
class Factors:
    """What share of the raw bytes counts, in whole percent."""

    upload_percent: int = 100
    download_percent: int = 100

    def __post_init__(self) -> None:
        if self.upload_percent < 0 or self.download_percent < 0:
            raise ValueError("a factor below zero")

    def combined(self, other: Factors) -> Factors:
        """Promotions do not multiply: the user gets the better of each."""
        upload = min(max(self.upload_percent, other.upload_percent), MAX_UPLOAD_PERCENT)
        return Factors(upload, min(self.download_percent, other.download_percent))


FULL = Factors()
FREE = Factors(download_percent=0)


@dataclass(slots=True)
class Promotions:
    """By torrent or user id: when downloads are not charged."""

    windows: Mapping[bytes, Sequence[Window]] = field(default_factory=dict)

    def factors(self, announce: Announce) -> Factors:
        windows = self.windows
        if windows and (
            _covered(windows.get(announce.torrent_id, ()), announce.received_at_us)
            or _covered(windows.get(announce.user_id, ()), announce.received_at_us)
        ):
            return FREE
        return FULL


def _covered(windows: Sequence[Window], at_us: int) -> bool:
    return any(start <= at_us and (end is None or at_us < end) for start, end in windows)
