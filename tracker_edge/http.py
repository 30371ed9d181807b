"""Announce and scrape over HTTP: sockets, deadlines and the order of replies; nothing is decided here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from typing import cast

from tracker_edge.announce import Tracker
from tracker_edge.journal import Appender
from tracker_edge.metrics import Tally
from tracker_edge.protocol import bencode, proxy, query
from tracker_edge.protocol.compact import packed, unmapped
from tracker_edge.protocol.http import Fields, Refusal, Request, RequestReader, error_response, response
from tracker_edge.protocol.types import TRANSIENT_INTERVAL_S, NotAClient, Query, Refused, UnregisteredTorrent
from tracker_edge.protocol.usual import read as usual_announce
from tracker_edge.proxies import Proxies

#: A request must be whole this long after its first byte (or after the connection was made).
READ_DEADLINE_S = 10
#: A connection that asks nothing is kept this long: clients announce every half hour, proxies all the time.
KEEP_ALIVE_S = 60
#: Requests of one connection that wait for the disk; above this no more are read from it.
MAX_WAITING = 256
#: An announce of an unknown torrent is looked at again after so long: the torrent may have been approved a moment ago,
#: and a client that is told "unregistered" does not ask again for an hour and a half.
HOLD_S = 0.05
#: One in so many announces is timed.
SAMPLE = 64

_NOT_FOUND = b"Nothing to see here"
_ONLY_GET = b"Only GET"
_END = b""  # among the data that wait: the client has said its last
_NO_CLIENT = "Not a BitTorrent client"


def wall_us() -> int:
    """UTC microseconds by the machine's clock."""
    return time.time_ns() // 1000


def _later(answer: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(HOLD_S, answer)


class Server:
    """What all connections share. `deliver` order, clock and limits live here; `now_s` ticks once a second."""

    def __init__(
        self,
        tracker: Tracker,
        journal: Appender,
        tally: Tally,
        *,
        trusted_proxies: Sequence[IPv4Network | IPv6Network] = (),
        proxy_protocol: bool = False,
        max_connections: int,
        now_us: Callable[[], int] = wall_us,
        now_s: Callable[[], int] = lambda: int(time.monotonic()) + 1_000_000,
        later: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self.tracker = tracker
        self.journal = journal
        self.tally = tally
        self.connections: set[Connection] = set()
        self.max_connections = max_connections
        self.proxy_protocol = proxy_protocol
        self.draining = False
        self.proxies = Proxies(trusted_proxies)
        self.later = later or _later
        self._clock_us = now_us
        self._clock_s = now_s
        self._last_us = 0
        self._answered = 0
        self.now_s = now_s()

    def connection(self) -> Connection:
        """A protocol for a new connection."""
        return Connection(self)

    def tick(self) -> None:
        """Once a second: moves the coarse clock and closes the connections that are past their deadline."""
        self.now_s = self._clock_s()
        for connection in [c for c in self.connections if c.deadline_s <= self.now_s and not c.waiting]:
            connection.abandon()

    def now_us(self) -> int:
        """UTC microseconds that never go back: a clock that is set back must not make announces out of order."""
        now_us = self._clock_us()
        if now_us > self._last_us:
            self._last_us = now_us
        return self._last_us

    def continue_after(self, last_us: int) -> None:
        """The journal has records up to this time: none of this process may come before them."""
        self._last_us = max(self._last_us, last_us)

    def answer(self, request: Request, connection: Connection) -> None:
        """Answers one request, now or when its announce is durable."""
        if request.method != b"GET":
            head = request.method == b"HEAD"
            fields = b"Allow: GET\r\n"
            connection.reply(error_response(405, _ONLY_GET, close=request.close, head=head, fields=fields))
            return
        path, _, text = request.target.partition(b"?")
        if b"#" in request.target:
            path, _, text = request.target.partition(b"#")[0].partition(b"?")
        action, key = query.route(path)
        if action is None:
            connection.reply(error_response(404, _NOT_FOUND, close=request.close))
        elif action == b"announce":
            self._read_announce(text, key, request, connection)
        else:
            self._scrape(text, key, request, connection)

    def _read_announce(self, text: bytes, key: bytes | None, request: Request, connection: Connection) -> None:
        try:
            asked, passkey = query.announce(text)
        except Refused as error:
            address = self._address(request.fields, connection)
            self.tally.received[len(address) == 16] += 1
            error = NotAClient(_NO_CLIENT) if request.fields.browser else error
            self._refuse(error, address, connection, close=request.close, old=request.old)
        else:
            key = passkey if key is None else key
            self.announce(asked, key, request.fields, connection, close=request.close, old=request.old)

    def announce(
        self,
        asked: Query,
        key: bytes,
        fields: Fields,
        connection: Connection,
        *,
        close: bool,
        old: bool = False,
        held: bool = False,
    ) -> None:
        """Takes an announce, after which the connection goes on or is closed; `old` is HTTP/1.0, `held` the second look
        at one of an unknown torrent."""
        address = self._address(fields, connection)
        six, tally = len(address) == 16, self.tally
        self._answered += 1
        sampled = self._answered % SAMPLE == 0
        began_s = time.monotonic() if sampled else 0.0
        if not held:
            tally.received[six] += 1
            tally.parsed[six] += 1
        try:
            if fields.browser:
                raise NotAClient(_NO_CLIENT)
            reply, row = self.tracker.announce(asked, key, address, self.now_us(), self.now_s, fields.agent)
        except Refused as error:
            if type(error) is UnregisteredTorrent and not held:
                connection.hold(partial(self.announce, asked, key, fields, connection, close=close, old=old, held=True))
            else:
                self._refuse(error, address, connection, close=close, old=old)
            return
        tally.accepted[six] += 1
        if reply.limit is not None:
            tally.limited[reply.limit, six] += 1
        if sampled:
            connection.timed.append((began_s, six))
        connection.waiting += 1
        self.journal.append(row, connection, response(bencode.announce_reply(reply), close=close, old=old))

    def _scrape(self, text: bytes, key: bytes | None, request: Request, connection: Connection) -> None:
        try:
            if request.fields.browser:
                raise NotAClient(_NO_CLIENT)
            hashes, parameters = query.scrape(text)
            counts = self.tracker.scrape(hashes, parameters.get(b"passkey", b"") if key is None else key)
        except Refused as error:
            address = self._address(request.fields, connection)
            self._refuse(error, address, connection, close=request.close, old=request.old)
            return
        self.tally.scrapes += 1
        body = bencode.scrape_reply(counts, self.tracker.min_interval_s)
        connection.reply(response(body, close=request.close, old=request.old))

    def _address(self, fields: Fields, connection: Connection) -> bytes:
        if connection.proxied and fields.forwarded:
            return self.proxies.client_address(fields.forwarded, connection.address)
        return connection.address

    def _refuse(self, error: Refused, address: bytes, connection: Connection, *, close: bool, old: bool) -> None:
        self.tally.refused(error.code, address)
        connection.reply(response(bencode.refusal(error), close=close, old=old))


class Connection:
    """One client's connection, an `asyncio.Protocol` by its methods; replies leave in the order of the requests."""

    __slots__ = (
        "address",
        "closing",
        "deadline_s",
        "held",
        "preface",
        "proxied",
        "reader",
        "server",
        "timed",
        "transport",
        "waiting",
    )

    def __init__(self, server: Server) -> None:
        self.server = server
        self.reader = RequestReader()
        self.transport: asyncio.Transport
        self.address = bytes(4)
        self.proxied = False
        self.preface: bytes | None = None  # what has been read of the PROXY header that must come first
        self.waiting = 0  # replies that wait for the journal
        self.closing = False
        self.held: list[Request | Refusal | bytes] | None = None  # what came after an announce that is held back
        self.timed: list[tuple[float, bool]] = []
        self.deadline_s = server.now_s + READ_DEADLINE_S

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        server = self.server
        peer = self.transport.get_extra_info("peername")
        if len(server.connections) >= server.max_connections or not peer:
            body = bencode.failure(b"The tracker is busy", TRANSIENT_INTERVAL_S)
            self.transport.write(error_response(503, body, close=True, fields=b"Retry-After: 300\r\n"))
            self.transport.close()
            self.closing = True
            return
        self.address = packed(peer[0])
        self.proxied = server.proxies.trusts(self.address)
        if self.proxied and server.proxy_protocol:
            self.preface = b""
        server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.closing = True
        self.server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        if self.preface is not None:
            data = self._after_preface(self.preface + data)
            if not data:
                return
        if self.held is not None:
            self.held.append(data)
            return
        reader = self.reader
        half_before = reader.waiting
        usual = None if half_before or self.server.draining else usual_announce(data)
        if usual is not None:
            self.deadline_s = self.server.now_s + KEEP_ALIVE_S
            asked, key, fields = usual
            self.closing = bool(fields.close)
            self.server.announce(asked, key, fields, self, close=self.closing)
            self._answered()
            return
        self._answer(reader.feed(data))
        if not reader.waiting:
            self.deadline_s = self.server.now_s + KEEP_ALIVE_S
        elif not half_before:
            self.deadline_s = self.server.now_s + READ_DEADLINE_S
        self._answered()

    def _answered(self) -> None:
        """What was read is answered or waits: ends the connection, or reads no more while too much waits."""
        if self.closing and not self.waiting:
            self.transport.close()
        elif self.waiting > MAX_WAITING:
            self.transport.pause_reading()

    def _answer(self, requests: Sequence[Request | Refusal]) -> None:
        for request in requests:
            if self.held is not None:
                self.held.append(request)
            elif isinstance(request, Request):
                self.closing = request.close or self.server.draining
                self.server.answer(request._replace(close=self.closing), self)
            else:
                self._refuse(request)

    def hold(self, answer: Callable[[], None]) -> None:
        """Gives an answer, and those to what the client sends after it, a moment later."""
        self.held = []
        self.waiting += 1
        self.transport.pause_reading()  # what the client sends meanwhile may wait in the kernel
        self.server.later(partial(self._go_on, answer))

    def _go_on(self, answer: Callable[[], None]) -> None:
        held, self.held = self.held or [], None
        self.waiting -= 1
        if self.transport.is_closing():
            return
        answer()
        self._catch_up(held)

    def _catch_up(self, held: Sequence[Request | Refusal | bytes]) -> None:
        """Answers what came meanwhile, up to the next that is held back."""
        for one in held:
            if self.held is not None:
                self.held.append(one)
            elif one == _END:
                self.closing = True
            elif isinstance(one, bytes):
                self.data_received(one)
            else:
                self._answer([one])
        if self.closing and not self.waiting:
            self.transport.close()
        elif self.held is None and self.waiting < MAX_WAITING:
            self.transport.resume_reading()

    def _after_preface(self, data: bytes) -> bytes:
        """Takes the client's address from the PROXY header; returns what follows it, nothing while it is not whole."""
        try:
            header = proxy.read(data)
        except proxy.Malformed:
            self.abandon()
            return b""
        if header is None:
            self.preface = data
            return b""
        self.preface = None
        if header.address is not None:
            self.address = unmapped(header.address)
            self.proxied = self.server.proxies.trusts(self.address)
        return data[header.size :]

    def eof_received(self) -> bool:
        """A client that has said its last may still be told what it asked."""
        if self.held is not None:
            self.held.append(_END)
            return True
        self.closing = True
        return self.waiting > 0

    def pause_writing(self) -> None:
        self.transport.pause_reading()  # who does not read its replies is not asked for more

    def resume_writing(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def reply(self, data: bytes) -> None:
        """Sends a reply that needs no record, after those that wait for theirs."""
        if self.waiting:
            self.waiting += 1
            self.server.journal.append(b"", self, data)
        else:
            self.transport.write(data)

    def deliver(self, reply: bytes) -> None:
        self.waiting -= 1
        transport = self.transport
        if transport.is_closing():
            return
        transport.write(reply)
        self.server.tally.replied[len(self.address) == 16] += 1
        if self.timed and not self.waiting:
            began_s, six = self.timed[-1]
            self.server.tally.answered(time.monotonic() - began_s, six=six)
            self.timed.clear()
        if self.closing and not self.waiting:
            transport.close()
        elif self.waiting == MAX_WAITING:
            transport.resume_reading()

    def abandon(self) -> None:
        """Ends the connection without a word."""
        self.closing = True
        self.transport.abort()

    def _refuse(self, refusal: Refusal) -> None:
        body = bencode.failure(refusal.reason.encode(), _interval(refusal.status))
        self.closing = True
        self.reply(error_response(refusal.status, body, close=True))


def _interval(status: int) -> int:
    """A client that sent too much may ask for less at once; one that sent nonsense will send it again."""
    return TRANSIENT_INTERVAL_S if status == 414 else Refused.interval
