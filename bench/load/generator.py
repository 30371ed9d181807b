"""Sends announces at a constant rate, whether answers come or not, and times each from when it had to leave.

A slow edge can therefore not slow down the questions that would show it (coordinated omission). A lost answer is asked
for again until it comes, and its time counts from the first try.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random

import uvloop

from bench.catalogue import Catalogue
from bench.load.population import Carrier, Moved, Population, Session, Shares
from bench.load.senders import HttpSender, Message, Outbox, UdpSender, udp_sender
from bench.requests import HttpForm, UdpForm

HOSTS = ("127.0.0.1", "::1")
#: How often late answers are looked for.
SWEEP_S = 0.1
#: The loop's timers count milliseconds: a shorter sleep is none, and takes the core that the edge may need.
TICK_S = 0.001
#: After a refused connection; a client that lost its answer waits for its own time.
RETRY_S = 0.2


@dataclass(frozen=True)
class Load:
    """One sender's part: sessions `first`, `first` + `of`, … of `peers` at `rate` announces a second."""

    catalogue: Catalogue
    port: int
    rate: float
    seconds: float
    peers: int
    shares: Shares
    seed: int
    timeout_s: float = 10.0  # without an answer the announce is repeated
    drain_s: float = 30.0  # for the last answers
    first: int = 0
    of: int = 1
    hosts: tuple[str, str] = HOSTS  # of IPv4 and of IPv6


@dataclass
class Outcome:
    """What one sender saw; times in seconds. `moved` is what has to be credited, by (user id, torrent id)."""

    latencies: dict[Carrier, array[float]] = field(default_factory=lambda: {carrier: array("d") for carrier in Carrier})
    late: array[float] = field(default_factory=lambda: array("d"))  # how much later than scheduled each was sent
    repeated: int = 0
    unanswered: int = 0
    cpu: float = 0.0  # of a core, that the senders took
    refused: Counter[str] = field(default_factory=Counter)
    moved: dict[tuple[bytes, bytes], Moved] = field(default_factory=dict)

    @property
    def answered(self) -> int:
        return sum(map(len, self.latencies.values()))

    def add(self, other: Outcome) -> None:
        for carrier, latencies in other.latencies.items():
            self.latencies[carrier].extend(latencies)
        self.late.extend(other.late)
        self.repeated += other.repeated
        self.unanswered += other.unanswered
        self.cpu += other.cpu
        self.refused += other.refused
        for pair, moved in other.moved.items():
            self.moved[pair] = self.moved.get(pair, Moved(0, 0)).plus(*moved)


def generate(load: Load) -> Outcome:
    """Runs one sender to its end; the process does nothing else."""
    return uvloop.run(_Generator(load).run())


class _Generator:
    def __init__(self, load: Load) -> None:
        self.load = load
        rng = Random(f"load {load.seed}, part {load.first}")
        numbers = iter(range(load.first, load.peers, load.of))
        self.population = Population(load.catalogue, numbers, load.shares, rng)
        self.outcome = Outcome()
        self._forms: dict[Session, list[Message]] = {s: self._messages(s) for s in self.population.sessions}
        self._pending: deque[Message] = deque()  # of steps that have begun
        self._unsent: deque[float] = deque()  # scheduled, while no session was ready
        self._under_way = 0

    async def run(self) -> Outcome:
        load, self.loop = self.load, asyncio.get_running_loop()
        outbox = Outbox(self._answered, self._refused, self._lost)
        self.http = HttpSender(load.hosts, load.port, outbox, close=False)
        self.close = HttpSender(load.hosts, load.port, outbox, close=True)
        self.udp: list[UdpSender] = []
        if load.shares.udp:
            self.udp = [await udp_sender(host, load.port, outbox) for host in load.hosts[: 1 + bool(load.shares.ipv6)]]
        sweeping = asyncio.create_task(self._sweep())
        began = self.loop.time(), time.process_time()
        await self._send_all()
        self.outcome.cpu = (time.process_time() - began[1]) / (self.loop.time() - began[0])
        end = self.loop.time() + load.drain_s
        while (self._under_way or self._pending) and self.loop.time() < end:
            while self._pending:  # the rest of the steps that have begun
                self._send(self._pending.popleft(), self.loop.time())
            await asyncio.sleep(SWEEP_S)
        sweeping.cancel()
        for http in (self.http, self.close):
            http.end()
        for udp in self.udp:
            udp.end()
        self.outcome.unanswered = self._under_way
        self.outcome.moved = self.population.moved()
        return self.outcome

    async def _send_all(self) -> None:
        load, now = self.load, self.loop.time
        began, sent, total = now() + SWEEP_S, 0, int(load.rate * load.seconds)
        while sent < total:
            due = min(total, int((now() - began) * load.rate) + 1)
            while sent < due:
                self._next(began + sent / load.rate)
                sent += 1
            await asyncio.sleep(max(TICK_S, began + sent / load.rate - now()))

    def _next(self, scheduled: float) -> None:
        """The rest of a step that has begun comes first: libtorrent announces to all endpoints at once."""
        if not self._pending:
            if not self.population.ready:
                self._unsent.append(scheduled)
                return
            session = self.population.ready.popleft()
            session.begin_step()
            self._pending.extend(self._forms[session])
        self._send(self._pending.popleft(), scheduled)

    def _send(self, message: Message, scheduled: float) -> None:
        message.scheduled = scheduled
        self.outcome.late.append(self.loop.time() - scheduled)
        self._under_way += 1
        self._sender(message).send(message)

    def _sender(self, message: Message) -> HttpSender | UdpSender:
        carrier = message.session.carrier
        if carrier is Carrier.UDP:
            return self.udp[message.six]
        return self.close if carrier is Carrier.CLOSE else self.http

    def _answered(self, message: Message) -> None:
        self._under_way -= 1
        session = message.session
        self.outcome.latencies[session.carrier].append(self.loop.time() - message.scheduled)
        if session.answered():
            self.population.ready.append(session)
            if self._unsent:
                self._next(self._unsent.popleft())

    def _refused(self, message: Message, reason: bytes) -> None:
        """Nobody of the population is to be refused: it goes on nevertheless, and the run fails."""
        self._under_way -= 1
        self.outcome.refused[reason[:80].decode("latin-1")] += 1

    def _lost(self, message: Message) -> None:
        self.outcome.repeated += 1
        self.loop.call_later(RETRY_S, self._sender(message).send, message)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            before = self.loop.time() - self.load.timeout_s
            self.http.give_up_before(before)
            self.close.give_up_before(before)
            for sender in self.udp:
                sender.give_up_before(before)

    def _messages(self, session: Session) -> list[Message]:
        """All announces of one step, with what does not change in them already written."""
        load, peer = self.load, session.peer
        key = load.catalogue.key(peer.user, peer.torrent)
        found = []
        for info_hash in session.torrent.hashes:
            for six in session.families:
                host = f"[{load.hosts[1]}]:{load.port}" if six else f"{load.hosts[0]}:{load.port}"
                form: HttpForm | UdpForm
                if session.carrier is Carrier.UDP:
                    form = UdpForm(peer, info_hash, key)
                else:
                    form = HttpForm(host, peer, info_hash, key, close=session.carrier is Carrier.CLOSE)
                found.append(Message(session, form, six))
        return found
