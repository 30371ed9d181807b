"""The rules of credit in their plainest form: a few integers for each client, one announce at a time.

Written from the rules (first announce, falling counters, high-water marks, ceiling, order of receipt, seed time once),
not from the code that it judges: it uses nothing of `domain.credit` and `domain.tally`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from domain.announces import Event

SECOND = 1_000_000
MOST_BYTES_S = 1_250_000_000  # 10 Gbit/s
SLACK = 30 * SECOND
LONGEST_GAP = 5400 * SECOND

DAY = 86_400 * SECOND

Pair = tuple[str, str]  # torrent, user


class Promotion(NamedTuple):
    """From when until when (None: open), microseconds, and what share of the bytes counts, percent; 0, 0 is neutral."""

    start: int
    end: int | None
    up: int
    down: int


class Said(NamedTuple):
    """What a client said and when an edge heard it, microseconds; EXPIRED is said by the edge."""

    at: int
    torrent: str
    user: str
    peer: int
    event: Event
    up: int = 0
    down: int = 0
    left: int = 0


@dataclass
class Client:
    up: int
    down: int
    top_up: int  # settled up to here
    top_down: int
    left: int
    here: bool
    heard: int  # of the newest record
    counted: int  # of the newest counters
    stopped: bool = False  # with the newest counters
    silent: int | None = None  # when an edge said that it fell silent, unless it was heard of later


@dataclass
class Model:
    """`promotions` are of torrents, users, a user on a torrent (`film ann`) or `everybody`."""

    promotions: Mapping[str, Sequence[Promotion]]
    clients: dict[tuple[str, str, int], Client] = field(default_factory=dict)
    credited: Counter[tuple[str, str]] = field(default_factory=Counter)  # user, way
    raw: Counter[tuple[str, str]] = field(default_factory=Counter)  # user or torrent, way
    days: Counter[tuple[int, str, str]] = field(default_factory=Counter)  # beginning of the day, user, way
    seeded: Counter[Pair] = field(default_factory=Counter)  # seconds
    seeded_until: dict[Pair, int] = field(default_factory=dict)
    snatches: dict[Pair, int] = field(default_factory=dict)
    anomalies: Counter[str] = field(default_factory=Counter)

    def hear(self, said: Said) -> None:
        client = self.clients.get(said[1:4])
        if client is None:
            if said.event not in (Event.STOPPED, Event.EXPIRED):
                self._first(said)
        elif said.event == Event.EXPIRED:
            if said.at < client.heard:
                self.anomalies["out_of_order"] += 1
            elif client.here:  # who has left cannot fall silent
                client.here, client.heard, client.silent = False, said.at, said.at
        elif said.at < client.counted:
            self.anomalies["out_of_order"] += 1
        else:
            self._next(client, said)

    def seeders(self, torrent: str) -> int:
        return sum(c.here and c.left == 0 for (t, _, _), c in self.clients.items() if t == torrent)

    def leechers(self, torrent: str) -> int:
        return sum(c.here and c.left > 0 for (t, _, _), c in self.clients.items() if t == torrent)

    def torrents(self, user: str, *, seeding: bool) -> int:
        """How many torrents the user seeds or leeches, with however many clients."""
        active = self.clients.items()
        return len({t for (t, u, _), c in active if u == user and c.here and (c.left == 0) == seeding})

    def _first(self, said: Said) -> None:
        tops = said.up, said.down, said.up, said.down
        self.clients[said[1:4]] = Client(*tops, said.left, True, said.at, said.at)
        if said.event == Event.COMPLETED:
            self.anomalies["completed_with_bytes_left" if said.left else "completed_unstarted"] += 1
            self._snatch(said, completed=not said.left)

    def _next(self, client: Client, said: Said) -> None:
        self._seed_time(client, said)
        self._counters(client, said)
        self._snatch(said, completed=not said.left and (client.left > 0 or said.event == Event.COMPLETED))
        client.up, client.down, client.left, client.counted = said.up, said.down, said.left, said.at
        client.stopped = said.event == Event.STOPPED
        # The newest record says whether the client is there; but where it says itself that it left, an edge that did
        # not hear this has only guessed later.
        if said.at >= client.heard or client.stopped:
            client.here, client.heard, client.silent = not client.stopped, said.at, None

    def _counters(self, client: Client, said: Said) -> None:
        anomaly = ""
        if said.up < client.up or said.down < client.down:
            if said.event == Event.STARTED:
                client.top_up, client.top_down = said.up, said.down
            else:
                anomaly = "counter_fell"
        else:
            up, down = max(0, said.up - client.top_up), max(0, said.down - client.top_down)
            client.top_up, client.top_down = max(said.up, client.top_up), max(said.down, client.top_down)
            if max(up, down) * SECOND > MOST_BYTES_S * (said.at - client.counted + SLACK):
                anomaly = "implausible_rate"
            else:
                self._earn(said, up, down)
        if not anomaly and said.event == Event.COMPLETED and said.left:
            anomaly = "completed_with_bytes_left"
        if anomaly:
            self.anomalies[anomaly] += 1

    def _earn(self, said: Said, up: int, down: int) -> None:
        up_percent, down_percent = self._percents(said)
        for way, raw, percent in (("up", up, up_percent), ("down", down, down_percent)):
            self.credited[said.user, way] += raw * percent // 100
            self.days[said.at // DAY * DAY, said.user, way] += raw * percent // 100
            self.raw[said.user, way] += raw
            self.raw[said.torrent, way] += raw

    def _percents(self, said: Said) -> tuple[int, int]:
        """The best of each that holds at the time; where one is neutral nothing counts."""
        subjects = "everybody", said.torrent, said.user, f"{said.torrent} {said.user}"
        holding = [
            promotion
            for subject in subjects
            for promotion in self.promotions.get(subject, ())
            if promotion.start <= said.at and (promotion.end is None or said.at < promotion.end)
        ]
        if any(promotion.up == promotion.down == 0 for promotion in holding):
            return 0, 0
        return max([100, *(p.up for p in holding)]), min([100, *(p.down for p in holding)])

    def _seed_time(self, client: Client, said: Said) -> None:
        """Whole seconds between two announces of one seeding client, but none that another client brought already."""
        gone = client.stopped or (client.silent is not None and client.silent <= said.at)
        whole = (said.at - client.counted) // SECOND
        if gone or client.left or said.left or said.at - client.counted > LONGEST_GAP or not whole:
            return
        pair = said.torrent, said.user
        until = self.seeded_until.get(pair, 0)
        seconds = max(0, (said.at - max(client.counted, until)) // SECOND)
        self.seeded[pair] += seconds
        self.days[said.at // DAY * DAY, said.user, "seed time"] += seconds
        self.seeded_until[pair] = max(until, said.at)

    def _snatch(self, said: Said, *, completed: bool) -> None:
        if completed:
            self.snatches.setdefault((said.torrent, said.user), said.at)
