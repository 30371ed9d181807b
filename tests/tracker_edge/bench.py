"""An edge's HTTP side without sockets, disk and loop: bytes into real connections, replies and journal rows out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from random import Random
from typing import Any, cast

from domain.announces import Announce, unpack
from tests.tracker_edge import edges
from tracker_edge.access import Access
from tracker_edge.announce import Tracker
from tracker_edge.flood import Flood
from tracker_edge.http import Connection, Server
from tracker_edge.journal import Journal, Waiter
from tracker_edge.metrics import Tally
from tracker_edge.sockets import MAX_CONNECTIONS
from tracker_edge.swarms import Swarms

NOW_US = 1_800_000_000_000_000
NOW_S = 10_000


class Rows:
    """A journal that keeps its rows; replies leave at once, or with `release` when they are held."""

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self.held = False
        self._waiting: list[tuple[Waiter, bytes]] = []

    def append(self, row: bytes, waiter: Waiter | None = None, reply: bytes = b"") -> None:
        if row:
            self.rows.append(row)
        if waiter is not None:
            self._waiting.append((waiter, reply))
        if not self.held:
            self.release()

    def release(self) -> None:
        while self._waiting:
            waiter, reply = self._waiting.pop(0)
            waiter.deliver(reply)


class Wire(asyncio.Transport):
    """The client's end: what was sent to it, whether the connection was ended, whether it is read from."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self.host = host
        self.received = bytearray()
        self.ended = self.aborted = self.paused = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self.host, 40000) if name == "peername" else default

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        assert not self.ended, "a write after the end"
        self.received += data

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = self.aborted = True

    def is_closing(self) -> bool:
        return self.ended

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Timers:
    """What an edge wants done a moment later, which is done when `elapse` says so."""

    def __init__(self) -> None:
        self._wanted: list[Callable[[], None]] = []

    def later(self, answer: Callable[[], None]) -> None:
        self._wanted.append(answer)

    def elapse(self) -> None:
        while self._wanted:
            self._wanted.pop(0)()


class Clock:
    """Both clocks of an edge, in hand."""

    def __init__(self) -> None:
        self.us, self.s = NOW_US, NOW_S

    def now_us(self) -> int:
        return self.us

    def now_s(self) -> int:
        return self.s

    def later(self, seconds: int) -> None:
        self.us += seconds * 1_000_000
        self.s += seconds


class Bench:
    """One edge: its tracker, its clock, its rows; `limited`: by what users may have."""

    def __init__(
        self,
        access: Access | None = None,
        *,
        seed: int = 1,
        allow_private: bool = False,
        limited: bool = False,
        flood: Flood | None = None,
        trusted_proxies: Sequence[IPv4Network | IPv6Network] = (),
        proxy_protocol: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.timers = Timers()
        self.journal = Rows()
        access = access or edges.access()
        self.swarms = Swarms(Random(seed), allow_private=allow_private, allowance=access if limited else None)
        self.tracker = Tracker(access, self.swarms, flood=flood)
        self.server = Server(
            self.tracker,
            cast(Journal, self.journal),
            Tally(),
            trusted_proxies=trusted_proxies,
            proxy_protocol=proxy_protocol,
            max_connections=MAX_CONNECTIONS,
            now_us=self.clock.now_us,
            now_s=self.clock.now_s,
            later=self.timers.later,
        )

    @property
    def announces(self) -> list[Announce]:
        return list(unpack(b"".join(self.journal.rows)))

    def later(self, seconds: int) -> None:
        self.clock.later(seconds)
        self.server.tick()

    def connect(self, host: str = "8.8.8.8") -> tuple[Connection, Wire]:
        connection, wire = self.server.connection(), Wire(host)
        connection.connection_made(wire)
        return connection, wire

    def send(self, connection: Connection, piece: bytes) -> None:
        connection.data_received(piece)

    def exchange(self, *pieces: bytes, host: str = "8.8.8.8") -> bytes:
        """All that one connection is answered to these pieces."""
        connection, wire = self.connect(host)
        for piece in pieces:
            connection.data_received(piece)
        self.timers.elapse()
        connection.connection_lost(None)
        return bytes(wire.received)

    def body(self, target: str | bytes, fields: str = "", host: str = "8.8.8.8") -> bytes:
        """The body of the answer to one GET."""
        raw = target if isinstance(target, bytes) else target.encode("latin-1")
        answer = self.exchange(b"GET %b HTTP/1.1\r\n%b\r\n" % (raw, fields.encode("latin-1")), host=host)
        return answer.partition(b"\r\n\r\n")[2]


def packed(host: str) -> bytes:
    return ip_address(host).packed
