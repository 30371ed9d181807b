"""What clients do, as libtorrent does it: sessions that start, move bytes, complete, stop and come back.

A session's counters only grow until its client is started anew. One step of a session is announced for each of its
hashes and over each of its families with the same counters; the next step comes when all of them are answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import Enum
from random import Random
from typing import NamedTuple

from bench.catalogue import Catalogue, Peer, Torrent
from bench.requests import NUMWANT
from domain.announces import Event

#: Of the announces of a session that could go on.
STOPS = 0.06
#: Sessions whose counters do not begin at zero: their client announced elsewhere before.
BEGUN_ELSEWHERE = 0.05
#: Clients that come back with counters at zero; the others were only paused.
STARTED_ANEW = 0.5
SEEDS_FROM_THE_START = 0.4
#: Announces of seeders that nobody asked for anything.
IDLE = 0.3
#: Wasted bytes count as downloaded, but not towards what is left.
WASTES = 0.1
_MIB = 2**20
#: Well below what the rules believe of a client that announces twice within their timing slack.
_MOST_AT_ONCE = 4 * 1024 * _MIB


class Carrier(Enum):
    """What a session's announces travel on."""

    HTTP = "http"  # kept connections
    CLOSE = "close"  # one connection for each announce
    UDP = "udp"


@dataclass(frozen=True)
class Shares:
    """How the population is made up. The carriers' shares are relative, the others are parts of 1."""

    http: float = 0.5
    close: float = 0.3
    udp: float = 0.2
    ipv6: float = 0.21
    dual_stack: float = 0.5  # of the sessions with IPv6


class Step(NamedTuple):
    """One announce of a session, before it is split by hash and family."""

    event: Event
    uploaded: int
    downloaded: int
    left: int
    numwant: int


class Moved(NamedTuple):
    """Bytes that a user moved on a torrent by its client's own account."""

    uploaded: int
    downloaded: int

    def plus(self, uploaded: int, downloaded: int) -> Moved:
        return Moved(self.uploaded + uploaded, self.downloaded + downloaded)


class Session:
    """One client on one torrent. `moved` is what its acknowledged announces have to be credited with."""

    __slots__ = (
        "carrier",
        "downloaded",
        "families",
        "left",
        "moved",
        "peer",
        "rng",
        "running",
        "settled",
        "size",
        "step",
        "torrent",
        "unanswered",
        "uploaded",
    )

    def __init__(self, peer: Peer, torrent: Torrent, carrier: Carrier, families: tuple[bool, ...], rng: Random) -> None:
        self.peer = peer
        self.torrent = torrent
        self.carrier = carrier
        self.families = families  # IPv6 or not, one or two of them
        self.rng = rng
        self.size = torrent.size
        self.left = 0 if rng.random() < SEEDS_FROM_THE_START else torrent.size
        self.uploaded = self.downloaded = 0
        if rng.random() < BEGUN_ELSEWHERE:
            self.uploaded, self.downloaded = rng.randrange(_MOST_AT_ONCE), torrent.size - self.left
        self.running = False
        self.settled: tuple[int, int] | None = None  # counters that are acknowledged
        self.moved = Moved(0, 0)
        self.step: Step
        self.unanswered = 0

    def begin_step(self) -> int:
        """Moves on and makes the next `step`; returns how many announces it takes."""
        if not self.running:
            event = self._start()
        elif self.left:
            event = self._download()
        else:
            event = self._seed()
        numwant = 0 if event is Event.STOPPED else NUMWANT
        self.running = event is not Event.STOPPED
        self.step = Step(event, self.uploaded, self.downloaded, self.left, numwant)
        self.unanswered = len(self.torrent.hashes) * len(self.families)
        return self.unanswered

    def answered(self) -> bool:
        """One announce of the step is acknowledged; True when all are, and then its bytes have to be credited."""
        self.unanswered -= 1
        if self.unanswered:
            return False
        now = self.step.uploaded, self.step.downloaded
        if self.settled is not None:
            self.moved = self.moved.plus(now[0] - self.settled[0], now[1] - self.settled[1])
        self.settled = now
        return True

    def age(self) -> None:
        """Puts the session into the middle of its life, as most are at any moment; its next step is a regular one."""
        rng = self.rng
        self.left = 0 if rng.random() < 0.85 else rng.randrange(self.size)
        self.downloaded = self.size - self.left if rng.random() < 0.5 else 0
        self.uploaded = int(self.size * rng.expovariate(1))
        self.running, self.settled = True, (self.uploaded, self.downloaded)

    def _start(self) -> Event:
        if self.settled is not None and self.rng.random() < STARTED_ANEW:
            self.uploaded = self.downloaded = 0
            self.settled = (0, 0)
        return Event.STARTED

    def _download(self) -> Event:
        got = min(self.left, max(_MIB, self.size // 3), _MOST_AT_ONCE)
        got = got if got == self.left else self.rng.randrange(got)
        self.left -= got
        self.downloaded += got
        if self.rng.random() < WASTES:
            self.downloaded += self.rng.randrange(_MIB)
        self.uploaded += self.rng.randrange(got + 1)
        if self.left == 0:
            return Event.COMPLETED
        return Event.STOPPED if self.rng.random() < STOPS else Event.REGULAR

    def _seed(self) -> Event:
        if self.rng.random() > IDLE:
            self.uploaded += int(min(self.rng.lognormvariate(18, 2), _MOST_AT_ONCE))
        return Event.STOPPED if self.rng.random() < STOPS else Event.REGULAR


class Population:
    """The sessions of one sender; those that are not being answered wait for their turn in `ready`."""

    def __init__(self, catalogue: Catalogue, numbers: Iterator[int], shares: Shares, rng: Random) -> None:
        self.catalogue = catalogue
        self.sessions = [session(catalogue, number, shares, rng) for number in numbers]
        rng.shuffle(self.sessions)
        self.ready = deque(self.sessions)

    def moved(self) -> dict[tuple[bytes, bytes], Moved]:
        """By (user id, torrent id)."""
        found: dict[tuple[bytes, bytes], Moved] = {}
        for one in self.sessions:
            pair = self.catalogue.users[one.peer.user].bytes, one.torrent.id.bytes
            found[pair] = found.get(pair, Moved(0, 0)).plus(*one.moved)
        return found


def session(catalogue: Catalogue, number: int, shares: Shares, rng: Random) -> Session:
    """The session of peer `number`, before its first announce."""
    peer = catalogue.peer(number)
    weights = [getattr(shares, field.name) for field in fields(shares)[: len(Carrier)]]
    carrier = rng.choices(list(Carrier), weights)[0]
    six = rng.random() < shares.ipv6
    families = (False, True) if six and rng.random() < shares.dual_stack else (six,)
    return Session(peer, catalogue.torrents[peer.torrent], carrier, families, Random(rng.random()))
