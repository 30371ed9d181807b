"""Sequences of announces as Hypothesis makes them up: see `World` for what they are compared with."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.credit.model import SECOND, Promotion
from tests.credit.world import SUBJECTS, World
from tests.tracker_edge.bench import NOW_US

DAY_S = 86_400
#: Retries, intervals, the longest gap of seed time, silence, the end of what is remembered: and what is just beyond.
_WAITS_US = [
    0, 1, SECOND // 2, SECOND, 30 * SECOND, 900 * SECOND, 1800 * SECOND, 3600 * SECOND, 5400 * SECOND - 1,
    5400 * SECOND, 5400 * SECOND + 1, 7200 * SECOND, 7201 * SECOND, DAY_S * SECOND, 21 * DAY_S * SECOND - 1,
]  # fmt: skip
_EVENTS = ["", "", "", "started", "completed", "stopped", "paused"]

_program = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 4, 5, 6])
_edge = st.integers(0, 1)
_moved = st.sampled_from([0, 1, 700, 1_000_000, 37_500_000_000, 37_500_000_001, 2_287_500_000_000])
#: Freeleech, double upload, both, halves, Gazelle's neutral.
_PERCENTS = [(100, 0), (200, 100), (200, 0), (150, 50), (100, 30), (0, 0)]
_promise = st.tuples(
    st.sampled_from(_WAITS_US), st.sampled_from([*_WAITS_US, None]), st.sampled_from(_PERCENTS)
)  # starts after, lasts, percents


class Sessions(RuleBasedStateMachine):
    """The steps; `sequences` and `seen` count what all runs of this process have done."""

    sequences: ClassVar[int] = 0
    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.world = World({})

    @initialize(
        promised=st.dictionaries(
            st.sampled_from(sorted(SUBJECTS)), st.lists(_promise, min_size=1, max_size=2), max_size=3
        )
    )
    def promote(self, promised: dict[str, list[tuple[int, int | None, tuple[int, int]]]]) -> None:
        """Promotions of everybody, torrents, users and users on torrents, by the time of the announce."""
        self.world.promised = {
            name: [
                Promotion(NOW_US + start, None if length is None else NOW_US + start + length, *percents)
                for start, length, percents in found
            ]
            for name, found in promised.items()
        }

    @rule(number=_program, event=st.sampled_from(_EVENTS), at=_edge, six=st.booleans(), second=st.booleans(),
          up=_moved, down=_moved, wait=st.sampled_from(_WAITS_US))  # fmt: skip
    def announces(
        self, number: int, event: str, at: int, six: bool, second: bool, up: int, down: int, wait: int
    ) -> None:
        """A client has moved so much, over either family and by either hash."""
        self.world.wait(wait)
        program = self.world.programs[number]
        program.up, program.down = min(program.up + up, 2**62), min(program.down + down, 2**62)
        if event == "completed":
            program.left = 0
        self._announce(number, event, at, six, second)

    @rule(number=_program, at=_edge, up=st.sampled_from([1, 1000]), off=st.sampled_from([-1, 0, 0, 1]))
    def moves_as_a_promotion_changes(self, number: int, at: int, up: int, off: int) -> None:
        """In the microsecond of its start or end, or the one beside it, by a clock that is right."""
        windows = [each for found in self.world.promised.values() for each in found]
        moments = [moment + off for each in windows for moment in each[:2] if moment is not None]
        later = [moment - self.world.clock.us for moment in moments if moment > self.world.clock.us]
        if later:
            self.world.wait(min(later))
        self.world.edges[at].clock.skew_us = 0
        program = self.world.programs[number]
        program.up, program.down = program.up + up, program.down + up
        self._announce(number, "", at)

    @rule(number=_program, at=_edge, seconds=st.sampled_from([1, 600, 1800, 5400]))
    def seeds(self, number: int, at: int, seconds: int) -> None:
        """As most of the day is spent."""
        self.world.programs[number].left = 0
        self.world.wait(seconds * SECOND)
        self._announce(number, "", at)

    @rule(number=_program, event=st.sampled_from(["", "started", "completed", "stopped"]), times=st.integers(1, 3),
          at=_edge)  # fmt: skip
    def repeats(self, number: int, event: str, times: int, at: int) -> None:
        """The same counters again, at once and by way of another edge."""
        for n in range(times):
            self._announce(number, event, (at + n) % 2)
        self._count("repeats")

    @rule(number=_program, event=st.sampled_from(["", "started", "completed"]), at=_edge,
          left=st.sampled_from([0, 1000]))  # fmt: skip
    def restarts(self, number: int, event: str, at: int, left: int) -> None:
        """The program begins at 0, and says so or does not."""
        program = self.world.programs[number]
        program.up = program.down = 0
        program.left = left
        self._announce(number, event, at)
        self._count("restarts")

    @rule(number=_program, at=_edge, event=st.sampled_from(_EVENTS),
          up=st.sampled_from([0, 5, 1000, 10**12, 2**62]), down=st.sampled_from([0, 5, 1000, 10**12]),
          teeth=st.integers(1, 3))  # fmt: skip
    def saws(self, number: int, at: int, event: str, up: int, down: int, teeth: int) -> None:
        """Counters up and down again: for free bytes, where only the last value is kept."""
        program = self.world.programs[number]
        for _ in range(teeth):
            before = program.up, program.down
            program.up, program.down = up, down
            self._announce(number, event, at)
            program.up, program.down = before
            self._announce(number, event, at)
        self._count("sawtooth")

    @rule(number=_program, at=_edge, left=st.sampled_from([0, 1, 1000, 10**9 + 1]), unknown=st.booleans())
    def rechecks(self, number: int, at: int, left: int, unknown: bool) -> None:
        """Bytes left come and go, or are not known yet."""
        self.world.programs[number].left = left
        self.world.announce(number, "", at, no_metadata=unknown)
        self._count("rechecks")

    @rule(number=_program, at=_edge, changed=st.sampled_from([
        {"port": "0"}, {"left": "-1"}, {"uploaded": "9223372036854775808"}, {"event": "Started"}, {"numwant": "x"},
        {"announce_key": "x" * 32},
    ]))  # fmt: skip
    def talks_nonsense(self, number: int, at: int, changed: dict[str, str]) -> None:
        self.world.nonsense(number, at, **changed)
        self._count("nonsense")

    @rule(at=_edge, wait=st.sampled_from([0, 7200, 7201, 14_400]))
    def falls_silent(self, at: int, wait: int) -> None:
        """Nobody is heard for so long, and the edge looks around."""
        self.world.wait(wait * SECOND)
        self.seen["expired"] += self.world.edges[at].sweep()

    @rule(at=_edge, seconds=st.integers(-3, 3))
    def clock_is_wrong(self, at: int, seconds: int) -> None:
        self.world.edges[at].clock.skew_us = seconds * SECOND
        self._count("skew")

    @rule(at=_edge, count=st.integers(1, 8))
    def ships(self, at: int, count: int) -> None:
        """Some of what an edge has, while the other one keeps what is older."""
        self.world.ship(at, count)
        self._count("shipments")

    def teardown(self) -> None:
        model = self.world.judge()
        cls = type(self)
        cls.sequences += 1
        cls.seen["announces"] += sum(map(len, self.world.shipped))
        cls.seen["snatches"] += len(model.snatches)
        cls.seen["seed seconds"] += model.seeded.total()
        cls.seen["credited bytes"] += model.credited.total()
        cls.seen.update(model.anomalies)

    def _announce(self, number: int, event: str, at: int, six: bool = False, second: bool = False) -> None:
        self.world.announce(number, event, at, six=six, second=second)

    def _count(self, what: str) -> None:
        type(self).seen[what] += 1
