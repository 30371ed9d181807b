"""How busy this process is, and what clients are told because of it: longer intervals first, refusals last."""

from __future__ import annotations

from typing import Final

#: Share of a second that the event loop's thread may work before intervals grow, and below which they shrink again.
BUSY: Final = 0.85
CALM: Final = 0.6
#: By how much the interval is longer, level by level: the next half hour's announces are spread over more time.
STRETCH: Final = (1.0, 1.25, 1.5, 2.0, 3.0)
#: However busy: two seeding announces further apart count no seed time (domain.credit.SEED_GAP_S), and a peer that is
#: silent for two hours is gone.
MAX_INTERVAL_S: Final = 5100
#: Replies that wait for the disk longer than this mean that it does not keep up: nothing more is taken.
MAX_WAIT_S: Final = 5.0


class Load:
    """One measurement a second. `level` goes from 0 to the last of `STRETCH`, one step at a time."""

    def __init__(self, interval_s: int) -> None:
        self._base_s = interval_s
        self.level = 0
        self.interval_s = interval_s  # what clients are told at this level
        self.refuses = False

    def measured(self, worked: float, waiting_s: float) -> None:
        """`worked` is the share of the last second that the loop's thread was at work, `waiting_s` how long the oldest
        reply has waited for the disk."""
        if worked > BUSY or waiting_s > 1.0:
            self.level = min(self.level + 1, len(STRETCH) - 1)
        elif worked < CALM:
            self.level = max(self.level - 1, 0)
        self.interval_s = max(self._base_s, min(int(self._base_s * STRETCH[self.level]), MAX_INTERVAL_S))
        self.refuses = waiting_s > MAX_WAIT_S
