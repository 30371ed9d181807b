"""Random and damaged datagrams against a desk, judged one by one: no exception, no gain, no trace."""

from __future__ import annotations

from collections import Counter
from random import Random
from types import SimpleNamespace
from typing import Any

from domain.announces import ROW_BYTES
from tests.tracker_edge import edges
from tests.tracker_edge.datagrams import announce, connect, options, scrape
from tests.tracker_edge.edges import ANN, BOB, BOOK, EVE, FILM, HASH, SECRET, key
from tracker_edge.announce import Tracker
from tracker_edge.connection_ids import ConnectionIds, Proof
from tracker_edge.metrics import DatagramTally
from tracker_edge.swarms import Swarms
from tracker_edge.udp import Desk

_INTERESTING = [0, 1, 2, 3, 4, 5, 127, 128, 254, 255]
_NUMBERS = [0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1]


class Fuzz:
    """A desk under fire; the same seed sends the same datagrams. Raises AssertionError at the first one that wins."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.unix_s = 1_800_000_000.0
        self.clock = SimpleNamespace(now_s=1000, now_us=lambda: int(self.unix_s * 1e6))
        self.ids = ConnectionIds(SECRET)
        self.swarms = Swarms(Random(seed), allow_private=True)
        tracker = Tracker(edges.access(), self.swarms)
        self.desk = Desk(tracker, self.ids, self.clock, DatagramTally("ipv4"), unix_s=lambda: self.unix_s)
        self.given: list[tuple[bytes, bytes]] = []  # address and the id that it got
        self.outcomes: Counter[str] = Counter()

    def run(self, count: int) -> Counter[str]:
        for _ in range(count):
            if self.rng.random() < 0.01:
                step = self.rng.choice((0.5, 1, 30, 121, 4000, -60))
                self.unix_s += step
                self.clock.now_s += max(0, int(step))
            address = self._address()
            datagram = self._datagram(address)
            self.outcomes[self._judge(datagram, address)] += 1
        return self.outcomes

    def _judge(self, datagram: bytes, address: bytes) -> str:
        before = self._state()
        row, reply = self.desk.answer(datagram, address)
        proof = self.ids.check(datagram[:8], address, int(self.unix_s)) if len(datagram) >= 8 else Proof.NONE
        if row is not None:
            assert proof is Proof.VALID, "journaled without a proof"
            assert len(row) == ROW_BYTES
            assert reply is not None
            assert reply[:4] == b"\0\0\0\x01"
        else:
            assert self._state() == before, "a refusal left a trace"
        if reply is None:
            return "silence"
        assert reply[4:8] == datagram[12:16]
        assert len(reply) <= 1232
        if proof is not Proof.VALID:
            assert len(reply) <= len(datagram), "more bytes than were sent, to who knows whom"
        form, size = reply[3], len(reply)
        if form == 0:
            self.given = [*self.given[-50:], (address, reply[8:])]
        assert reply[:3] == bytes(3)
        assert {0: size == 16, 1: (size - 20) % (18 if len(address) == 16 else 6) == 0, 2: (size - 8) % 12 == 0,
                3: 8 < size <= 72}[form]  # fmt: skip
        return ("connected", "accepted", "scraped", "refused")[form]

    def _state(self) -> tuple[object, ...]:
        return len(self.swarms), self.swarms.torrents, *(self.swarms.counts(t.bytes) for t in HASH)

    def _address(self) -> bytes:
        roll = self.rng.random()
        if self.given and roll < 0.8:
            return self.rng.choice(self.given)[0]
        return self.rng.randbytes(16) if roll > 0.95 else b"\x08\x08\x08" + self.rng.randbytes(1)

    def _datagram(self, address: bytes) -> bytes:
        rng = self.rng
        roll = rng.random()
        if roll < 0.1:
            return rng.randbytes(rng.choice((rng.randrange(64), rng.randrange(300), rng.randrange(1500))))
        if roll < 0.2:
            return connect(rng.randbytes(4)) + rng.randbytes(rng.choice((0, 0, 5, 1400)))
        own = next((each for at, each in reversed(self.given) if at == address), rng.randbytes(8))
        if rng.random() < 0.05:
            own = rng.choice([each for _, each in self.given] or [own])
        datagram = self._announce(own) if roll < 0.8 else self._scrape(own)
        return self._mutated(datagram) if rng.random() < 0.5 else datagram

    def _announce(self, own: bytes) -> bytes:
        rng = self.rng
        fields: dict[str, Any] = {name: rng.choice(_NUMBERS) if rng.random() < 0.1 else rng.randrange(10**9) for name in ("downloaded", "left", "uploaded")}  # fmt: skip  # noqa: E501
        user_id, torrent_id = rng.choice((ANN, BOB, EVE)), rng.choice((FILM, FILM, BOOK))
        return announce(
            own,
            rng.randrange(30),
            user_id,
            torrent_id,
            event=rng.choice((0, 0, 0, 1, 2, 3, 4, 5, 2**31)) if rng.random() < 0.5 else 0,
            numwant=rng.choice((-1, 0, 50, 2**31 - 1, -(2**31))),
            tail=self._tail(f"/announce/{key(user_id, torrent_id)}".encode()),
            **fields,
        )

    def _tail(self, url: bytes) -> bytes:
        rng = self.rng
        roll = rng.random()
        if roll < 0.5:
            return options(url)
        if roll < 0.7:
            cut = rng.randrange(len(url))
            return (
                options(url[:cut])
                + b"\x01" * rng.randrange(3)
                + options(url[cut:])
                + rng.choice((b"", b"\0x", b"\x02"))
            )
        if roll < 0.8:
            return rng.randbytes(rng.randrange(300))
        return options(self._mutated(url)[:255])

    def _scrape(self, own: bytes) -> bytes:
        hashes = [self.rng.choice((*HASH.values(), b"?" * 20)) for _ in range(self.rng.choice((0, 1, 2, 74, 75, 120)))]
        return scrape(own, *hashes)

    def _mutated(self, data: bytes) -> bytes:
        rng, changed = self.rng, bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(changed) + 1)
            match rng.randrange(5):
                case 0:
                    changed[at : at + 1] = rng.randbytes(1)
                case 1:
                    changed[at : at + 1] = bytes((rng.choice(_INTERESTING),))
                case 2:
                    del changed[at : at + rng.randrange(30)]
                case 3:
                    changed[at:at] = rng.randbytes(rng.randrange(30))
                case _:
                    del changed[at:]
        return bytes(changed)
