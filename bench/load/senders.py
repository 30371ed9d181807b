"""Announces on sockets: kept and closing HTTP connections, UDP with connection ids; lost answers are reported."""

from __future__ import annotations

import asyncio
import re
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from bench.load.population import Session
from bench.requests import HttpForm, UdpForm, connect

#: BEP 15 lets a client use a connection id for a minute.
CONNECTION_ID_S = 55.0
RECEIVE_BUFFER_BYTES = 4 * 2**20
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_FAILURE = b"d14:failure reason"
_STALE = b"Connection ID expired"

Form = HttpForm | UdpForm


class Message:
    """One announce on its way. `scheduled` is when it had to leave, by the loop's clock."""

    __slots__ = ("form", "scheduled", "sent", "session", "six")

    def __init__(self, session: Session, form: Form, six: bool) -> None:
        self.session = session
        self.form = form
        self.six = six
        self.scheduled = self.sent = 0.0


class Outbox:
    """What senders tell: `answered(message)`, `refused(message, reason)`, `lost(message)`."""

    def __init__(
        self,
        answered: Callable[[Message], None],
        refused: Callable[[Message, bytes], None],
        lost: Callable[[Message], None],
    ) -> None:
        self.answered = answered
        self.refused = refused
        self.lost = lost


class HttpSender:
    """One request under way on each connection; connections are made when none is free."""

    def __init__(self, hosts: tuple[str, str], port: int, outbox: Outbox, *, close: bool) -> None:
        self.outbox = outbox
        self.close = close
        self.free: tuple[deque[HttpConnection], deque[HttpConnection]] = (deque(), deque())
        self.busy: set[HttpConnection] = set()
        self._hosts = hosts
        self._port = port
        self._opening: set[asyncio.Task[None]] = set()

    def send(self, message: Message) -> None:
        free = self.free[message.six]
        if free:
            free.pop().send(message)
            return
        task = asyncio.ensure_future(self._open(message))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def give_up_before(self, sent: float) -> None:
        """Cuts the connections whose answer has not come for so long: their announces are lost."""
        for connection in [c for c in self.busy if c.message is not None and c.message.sent < sent]:
            connection.transport.abort()

    def end(self) -> None:
        """Ends all connections; nothing is under way any more."""
        for connection in [*self.busy, *self.free[False], *self.free[True]]:
            connection.transport.abort()

    async def _open(self, message: Message) -> None:
        loop, host = asyncio.get_running_loop(), self._hosts[message.six]
        message.sent = loop.time()
        try:
            _, connection = await loop.create_connection(lambda: HttpConnection(self, message.six), host, self._port)
        except OSError:
            self.outbox.lost(message)
        else:
            connection.send(message)


class HttpConnection(asyncio.Protocol):
    """One connection; reads as much of HTTP as a tracker's answers need."""

    def __init__(self, sender: HttpSender, six: bool) -> None:
        self.transport: asyncio.Transport
        self.message: Message | None = None
        self._sender = sender
        self._six = six
        self._read = b""
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def send(self, message: Message) -> None:
        if self._ended:
            self._sender.outbox.lost(message)
            return
        self.message = message
        message.sent = asyncio.get_running_loop().time()
        self._sender.busy.add(self)
        step = message.session.step
        self.transport.write(message.form.request(step.uploaded, step.downloaded, step.left, step.event, step.numwant))

    def data_received(self, data: bytes) -> None:
        self._read = data = self._read + data if self._read else data
        end = data.find(b"\r\n\r\n")
        length = _LENGTH.search(data, 0, end) if end >= 0 else None
        if length is None or len(data) < end + 4 + int(length[1]):
            return
        self._read = b""
        message, self.message = self.message, None
        self._sender.busy.discard(self)
        if self._sender.close:
            self.transport.close()
        elif not self._ended:
            self._sender.free[self._six].append(self)
        if message is None:
            return
        body = data[end + 4 :]
        if not data.startswith(b"HTTP/1.1 200 ") or body.startswith(_FAILURE):
            self._sender.outbox.refused(message, body)
        else:
            self._sender.outbox.answered(message)

    def connection_lost(self, error: Exception | None) -> None:
        self._ended = True
        self._sender.busy.discard(self)
        if self in self._sender.free[self._six]:
            self._sender.free[self._six].remove(self)
        message, self.message = self.message, None
        if message is not None:
            self._sender.outbox.lost(message)


class UdpSender(asyncio.DatagramProtocol):
    """One socket of one family. Each try has a transaction of its own, and only the last one's answer counts.

    Datagrams of a socket are read in order, so an answered one has no copy behind it that could be read later.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._transport: asyncio.DatagramTransport
        self._id: bytes | None = None
        self._id_until = 0.0
        self._asked = 0.0
        self._next = 0
        self._waiting: dict[bytes, Message] = {}
        self._unconnected: list[Message] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def send(self, message: Message) -> None:
        now = asyncio.get_running_loop().time()
        if self._id is None or now > self._id_until:
            self._connect(now)
        message.sent = now
        if self._id is None:
            self._unconnected.append(message)
            return
        transaction = self._transaction()
        self._waiting[transaction] = message
        step, form = message.session.step, cast(UdpForm, message.form)
        counters = step.uploaded, step.downloaded, step.left
        self._transport.sendto(form.request(*counters, step.event, step.numwant, self._id, transaction))

    def give_up_before(self, sent: float) -> None:
        for transaction in [t for t, message in self._waiting.items() if message.sent < sent]:
            self._outbox.lost(self._waiting.pop(transaction))
        if self._unconnected and self._asked < sent:
            self._connect(asyncio.get_running_loop().time())

    def end(self) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, _: Any) -> None:
        action, transaction = data[3], data[4:8]
        if action == 0:
            self._id = data[8:16]
            self._id_until = asyncio.get_running_loop().time() + CONNECTION_ID_S
            waiting, self._unconnected = self._unconnected, []
            for message in waiting:
                self.send(message)
            return
        if transaction not in self._waiting:
            return  # a copy of an earlier try, or an error without a transaction of ours
        message = self._waiting.pop(transaction)
        if action == 1:
            self._outbox.answered(message)
        elif data[8:] == _STALE:
            self._id = None
            self._outbox.lost(message)
        else:
            self._outbox.refused(message, data[8:])

    def error_received(self, _: Exception) -> None:
        """Nobody listens at the moment: the tries in question are given up by their age."""

    def _connect(self, now: float) -> None:
        self._asked, self._id_until = now, now + 1.0  # not with every announce
        self._transport.sendto(connect(self._transaction()))

    def _transaction(self) -> bytes:
        self._next = (self._next + 1) & 0xFFFFFFFF
        return self._next.to_bytes(4, "big")


async def udp_sender(host: str, port: int, outbox: Outbox) -> UdpSender:
    loop = asyncio.get_running_loop()
    transport, sender = await loop.create_datagram_endpoint(lambda: UdpSender(outbox), remote_addr=(host, port))
    # The edge answers a whole group at once; what our kernel had no room for would count as lost by the edge.
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    return sender
