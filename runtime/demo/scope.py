"""How large the demo's site is, and what part of time its history is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runtime.demo.past import DAY_US, microseconds

#: Downloads that an average member begins in 30 days.
SNATCHES = 6.0
MONTH_US = 30 * DAY_US


@dataclass(frozen=True)
class Scope:
    """How large the site is and what part of time it is about; `seed` says the rest."""

    users: int
    torrents: int
    start: datetime
    end: datetime
    seed: int
    snatches: float = SNATCHES

    @property
    def start_us(self) -> int:
        return microseconds(self.start)

    @property
    def end_us(self) -> int:
        return microseconds(self.end)

    @property
    def months(self) -> int:
        return max(1, round((self.end_us - self.start_us) / MONTH_US))
