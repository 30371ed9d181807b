"""Clients that behave well and badly, and two edges that hear them over HTTP and ship when they like.

What the edges journaled is tallied in several portions; all must come to what the model says of the same announces.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.announces import Announce, Event, unpack
from domain.factors import EVERYBODY, Factors, Promotions, Window, user_on_torrent
from domain.tally import Tally
from tests.credit.model import DAY, SECOND, Model, Promotion, Said
from tests.tracker_edge import edges
from tests.tracker_edge.bench import NOW_S, NOW_US, Bench, Clock
from tests.tracker_edge.edges import ANN, BOB, FILM, HYBRID, V2, target
from tracker_edge.announce import expired_row

SILENT_S = 7200
TORRENT_BYTES = 10**9
TORRENTS = {"film": FILM, "hybrid": HYBRID}
USERS = {"ann": ANN, "bob": BOB}
NAMES = {value.bytes: name for name, value in (*TORRENTS.items(), *USERS.items())}
HOSTS = ("8.8.8.8", "2600::8")
EVENTS = {"": Event.REGULAR, "started": Event.STARTED, "completed": Event.COMPLETED, "stopped": Event.STOPPED,
          "paused": Event.PAUSED}  # fmt: skip

#: Whom a promotion may be for, by name.
SUBJECTS = {
    "everybody": EVERYBODY,
    **{name: one.bytes for name, one in (*TORRENTS.items(), *USERS.items())},
    **{f"{t} {u}": user_on_torrent(TORRENTS[t].bytes, USERS[u].bytes) for t in TORRENTS for u in USERS},
}

Promised = Mapping[str, Sequence[Promotion]]


@dataclass
class Program:
    """One client program on one torrent; `up` and `down` are what it counts itself."""

    torrent: str
    user: str
    number: int
    up: int = 0
    down: int = 0
    left: int = 1000


def programs() -> list[Program]:
    """More of one user on one torrent than get peers, one peer_id of two users, one peer_id on two torrents."""
    return [
        *(Program("film", "ann", number) for number in (1, 2, 4, 5)), Program("film", "bob", 1),
        Program("hybrid", "ann", 1), Program("hybrid", "bob", 3),
    ]  # fmt: skip


class WrongClock(Clock):
    """What an edge takes the time for: the world's, and so many microseconds more."""

    def __init__(self, right: Clock) -> None:
        self.right, self.skew_us = right, 0

    def now_us(self) -> int:
        return self.right.us + self.skew_us

    def now_s(self) -> int:
        return self.right.s


class Edge:
    """An edge whose clock may be wrong; `heard` is journaled and not shipped yet."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self.clock = WrongClock(clock)
        self.bench = Bench(edges.access(), seed=seed, limited=True, clock=self.clock)
        self.heard: list[tuple[Said, Announce]] = []

    def request(self, asked: str, host: str) -> tuple[bytes, list[Announce]]:
        """The answer's body, and what was journaled for it."""
        self.bench.server.tick()
        body = self.bench.body(asked, host=host)
        rows, self.bench.journal.rows = self.bench.journal.rows, []
        return body, list(unpack(b"".join(rows)))

    def sweep(self) -> int:
        """Who fell silent; returns how many."""
        gone = self.bench.swarms.expire(self.clock.now_s() - SILENT_S, 100)
        for one in gone:
            [record] = unpack(expired_row(one, self.bench.server.now_us()))
            names = NAMES[one.torrent_id], NAMES[one.user_id], int(one.peer_id[-12:])
            self.heard.append((Said(record.received_at_us, *names, Event.EXPIRED), record))
        return len(gone)


class World:
    def __init__(self, promised: Promised) -> None:
        self.clock = Clock()
        self.promised = promised
        self.edges = [Edge(self.clock, 1), Edge(self.clock, 2)]
        self.programs = programs()
        self.shipped: list[list[tuple[Said, Announce]]] = []

    def wait(self, us: int) -> None:
        self.clock.us += us
        self.clock.s = NOW_S + (self.clock.us - NOW_US) // SECOND

    def announce(
        self, number: int, event: str, at: int, *, six: bool = False, second: bool = False, no_metadata: bool = False
    ) -> None:
        """The program announces its counters to an edge; `second` names a hybrid torrent by its other hash."""
        program, edge = self.programs[number], self.edges[at]
        left = 2**63 - 1 if no_metadata else program.left  # as Transmission says before it has the metadata
        asked = target(
            program.number, USERS[program.user], TORRENTS[program.torrent], event=event, uploaded=str(program.up),
            downloaded=str(program.down), left=str(left),
            info_hash=V2[:20] if second and program.torrent == "hybrid" else None,
        )  # fmt: skip
        body, records = edge.request(asked, HOSTS[six])
        assert body.startswith(b"d8:complete"), body
        [record] = records
        counters = program.up, program.down, min(left, TORRENT_BYTES)
        who = program.torrent, program.user, program.number
        edge.heard.append((Said(record.received_at_us, *who, EVENTS[event], *counters), record))
        assert abs(record.received_at_us - edge.clock.now_us()) <= 20 * SECOND

    def nonsense(self, number: int, at: int, **changed: Any) -> None:
        """An announce that is refused, and leaves nothing."""
        program = self.programs[number]
        asked = target(program.number, USERS[program.user], TORRENTS[program.torrent], **changed)
        body, records = self.edges[at].request(asked, HOSTS[0])
        assert body.startswith(b"d14:failure reason")
        assert records == []

    def ship(self, at: int, count: int) -> None:
        """The oldest records of the edge, as one segment."""
        edge = self.edges[at]
        if edge.heard[:count]:
            self.shipped.append(edge.heard[:count])
            edge.heard = edge.heard[count:]

    def judge(self) -> Model:
        """Ships what is left and compares; returns the model. Raises AssertionError."""
        for at in (0, 1):
            self.ship(at, 10**6)
        everything = [pair for segment in self.shipped for pair in segment]
        model = Model(self.promised)
        for said, _ in everything:
            model.hear(said)
        expected = summary(model)
        for portions in (self.shipped, [[pair] for pair in everything], [everything]):
            found = tallied(([record for _, record in portion] for portion in portions), self.promised)
            assert found == expected, differences(found, expected)
        return model


def summary(model: Model) -> dict[str, Any]:
    """All that is compared, by name."""
    found: dict[str, Any] = {f"anomaly {kind}": count for kind, count in model.anomalies.items()}
    for (torrent, user), at in model.snatches.items():
        found[f"{user} snatched {torrent}"] = at
    for (day, user, label), amount in model.days.items():
        if amount:
            found[f"{user} {label} on {day}"] = amount
    for user in USERS:
        for way in ("up", "down"):
            found[f"{user} {way}"] = model.credited[user, way]
            found[f"{user} raw {way}"] = model.raw[user, way]
        found[f"{user} seed time"] = sum(s for (_, u), s in model.seeded.items() if u == user)
        found[f"{user} snatched"] = sum(u == user for _, u in model.snatches)
        found[f"{user} seeding"] = model.torrents(user, seeding=True)
        found[f"{user} leeching"] = model.torrents(user, seeding=False)
    for torrent in TORRENTS:
        for way in ("up", "down"):
            found[f"{torrent} raw {way}"] = model.raw[torrent, way]
        found[f"{torrent} completed"] = sum(t == torrent for t, _ in model.snatches)
        found[f"{torrent} seeders"] = model.seeders(torrent)
        found[f"{torrent} leechers"] = model.leechers(torrent)
    return found


def tallied(portions: Iterable[Sequence[Announce]], promised: Promised) -> dict[str, Any]:
    """The same of the tallies of these portions, each of which continues where the one before ended."""
    windows = {
        SUBJECTS[name]: [Window(start, end, Factors(up, down)) for start, end, up, down in found]
        for name, found in promised.items()
    }
    clients: dict[Any, Any] = {}
    sums: defaultdict[str, int] = defaultdict(int)
    snatches: dict[tuple[bytes, bytes], int] = {}
    for seq, records in enumerate(portions):
        tally = Tally(clients, set())
        tally.add(seq, records, Promotions(windows))
        tally.close()
        firsts = {pair: at for pair, at in tally.snatches.items() if pair not in snatches}
        tally.complete(firsts)
        snatches |= firsts
        clients = tally.clients
        _add(sums, tally)
    firsts_by_name = {f"{NAMES[user]} snatched {NAMES[torrent]}": at for (torrent, user), at in snatches.items()}
    return {
        **dict.fromkeys(summary(Model({})), 0),
        **{n: count for n, count in sums.items() if count},
        **firsts_by_name,
    }


def _add(sums: defaultdict[str, int], tally: Tally) -> None:
    for anomaly in [transfer.credit.anomaly for transfer in tally.transfers if transfer.credit.anomaly]:
        sums[f"anomaly {anomaly}"] += 1
    for user_id, user in tally.users.items():
        for label, amount in (("up", user.uploaded), ("down", user.downloaded), ("raw up", user.raw_uploaded),
                              ("raw down", user.raw_downloaded), ("seed time", user.seed_time_s),
                              ("seeding", user.seeding), ("leeching", user.leeching),
                              ("snatched", user.snatched)):  # fmt: skip
            sums[f"{NAMES[user_id]} {label}"] += amount
    for torrent_id, torrent in tally.torrents.items():
        for label, amount in (("raw up", torrent.uploaded), ("raw down", torrent.downloaded),
                              ("seeders", torrent.seeders), ("leechers", torrent.leechers),
                              ("completed", torrent.completed)):  # fmt: skip
            sums[f"{NAMES[torrent_id]} {label}"] += amount
    for hour_us, users in tally.user_hours.items():
        day_us = hour_us - hour_us % DAY
        for user_id, hour in users.items():
            for label, amount in (("up", hour.uploaded), ("down", hour.downloaded), ("seed time", hour.seed_time_s)):
                sums[f"{NAMES[user_id]} {label} on {day_us}"] += amount


def differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    names = sorted(found.keys() | expected.keys())
    return "; ".join(
        f"{name}: {found.get(name)} instead of {expected.get(name)}"
        for name in names
        if found.get(name) != expected.get(name)
    )
