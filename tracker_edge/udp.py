"""Announce and scrape over UDP: what each datagram is answered, and the sockets that it comes from.

Nothing is kept about a client: an id that we gave to its address proves it (BEP 15), a key in the announce URL says
whose it is (BEP 41). Who has proved nothing gets no more bytes than it sent, which is 16 for 16 or silence.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

import psutil

from tracker_edge.announce import Tracker
from tracker_edge.connection_ids import ConnectionIds, Proof
from tracker_edge.http import HOLD_S
from tracker_edge.journal import Appender
from tracker_edge.metrics import DatagramTally
from tracker_edge.protocol import udp
from tracker_edge.protocol.compact import unmapped
from tracker_edge.protocol.types import Refused, UnregisteredTorrent

#: What is read of a datagram: room for 204 hashes, a whole number, of which 74 are answered.
MAX_DATAGRAM_BYTES: Final = 4096
#: Datagrams that are read before others get their turn: HTTP, the journal, the clock.
AT_ONCE: Final = 128
#: Replies that wait for the disk; above this datagrams stay in the kernel, which drops what it has no room for.
MAX_WAITING: Final = 2**16
#: What the kernel keeps while we are busy elsewhere; Linux grants net.core.rmem_max at most.
RECEIVE_BUFFER_BYTES: Final = 4 * 2**20
#: Addresses that are told of a stale id in one second; the others find out by their own timers.
MAX_TOLD: Final = 4096
#: One in so many turns is timed.
SAMPLE: Final = 16

STALE = "Connection ID expired"


class Later(Exception):
    """The answer is the same or a better one a moment later."""


class Clock(Protocol):
    """What `tracker_edge.http.Server` offers: microseconds of the journal, seconds of the swarms."""

    now_s: int

    def now_us(self) -> int: ...


class Desk:
    """Answers the datagrams of one family; knows no sockets. `tally` counts what became of them."""

    def __init__(
        self,
        tracker: Tracker,
        ids: ConnectionIds,
        clock: Clock,
        tally: DatagramTally,
        *,
        unix_s: Callable[[], float] = time.time,
        max_told: int = MAX_TOLD,
    ) -> None:
        self.tally = tally
        self._tracker = tracker
        self._ids = ids
        self._clock = clock
        self._unix_s = unix_s
        self._max_told = max_told
        self._told: set[bytes] = set()
        self._told_s = 0

    def answer(self, datagram: bytes, address: bytes, *, held: bool = True) -> tuple[bytes | None, bytes | None]:
        """The journal's row and the reply that waits for it; a reply without a row leaves at once, None is silence.

        Raises `Later` for an announce of an unknown torrent, unless it was `held` back for a while.
        """
        tally = self.tally
        tally.received += 1
        if len(datagram) < udp.MIN_BYTES:
            return tally.drop("short")
        connection_id, action, transaction = udp.head(datagram)
        if action == udp.CONNECT:
            if connection_id != udp.MAGIC:
                return tally.drop("magic")
            tally.connects += 1
            return None, udp.connect_reply(transaction, self._ids.issue(address, int(self._unix_s())))
        if not _is_whole(action, len(datagram)):
            return tally.drop("form")
        proof = self._ids.check(connection_id, address, int(self._unix_s()))
        if proof is not Proof.VALID:
            return self._unproved(proof, transaction, len(datagram), address)
        try:
            if action == udp.ANNOUNCE:
                return self._announce(datagram, transaction, address)
            return None, self._scrape(datagram, transaction)
        except Refused as error:
            if type(error) is UnregisteredTorrent and not held:
                tally.received -= 1
                tally.parsed -= 1
                raise Later from None
            tally.refused[error.code] += 1
            return None, udp.error_reply(transaction, str(error))

    def _announce(self, datagram: bytes, transaction: bytes, address: bytes) -> tuple[bytes, bytes]:
        six = len(address) == 16
        query, key = udp.announce(datagram, six=six)
        self.tally.parsed += 1
        clock = self._clock
        reply, row = self._tracker.announce(query, key, address, clock.now_us(), clock.now_s)
        self.tally.accepted += 1
        if reply.limit is not None:
            self.tally.limited[reply.limit] += 1
        return row, udp.announce_reply(transaction, reply, six=six)

    def _scrape(self, datagram: bytes, transaction: bytes) -> bytes:
        hashes = udp.scrape(datagram)
        self.tally.scrapes += 1
        return udp.scrape_reply(transaction, self._tracker.counts(hashes))

    def _unproved(self, proof: Proof, transaction: bytes, size: int, address: bytes) -> tuple[None, bytes | None]:
        """Silence, but a client that goes on with an id of ours for too long is told, so that it asks for another."""
        if proof is Proof.NONE:
            return self.tally.drop("connection_id")
        if self._told_s != self._clock.now_s:
            self._told_s = self._clock.now_s
            self._told.clear()
        reply = udp.error_reply(transaction, STALE)
        if address in self._told or len(self._told) >= self._max_told or len(reply) > size:
            return self.tally.drop("stale_connection_id")
        self._told.add(address)
        self.tally.refused["stale_connection_id"] += 1
        return None, reply


def _is_whole(action: int, size: int) -> bool:
    """Whether the datagram can be what its action says; errors and answers, which nobody should send us, are not."""
    if action == udp.ANNOUNCE:
        return size >= udp.ANNOUNCE_BYTES
    return action == udp.SCRAPE and (size - udp.MIN_BYTES) % 20 == 0


class Turn:
    """The replies to what one turn of reading accepted; they leave together once all their rows are durable."""

    __slots__ = ("began_s", "listener", "replies")

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.replies: list[tuple[bytes, Any]] = []
        self.began_s = time.monotonic()

    def deliver(self, _: bytes) -> None:
        listener = self.listener
        for reply, source in self.replies:
            listener.send(reply, source)
        listener.settled(len(self.replies))
        listener.turns += 1
        if listener.turns % SAMPLE == 0:
            listener.desk.tally.durations.append(time.monotonic() - self.began_s)

    def abandon(self) -> None:
        """No reply: the clients ask again, here or elsewhere."""
        self.listener.settled(len(self.replies))


class Listener:
    """One socket, read until it is empty whenever there is something. `waiting` replies wait for the journal."""

    def __init__(self, bound: socket.socket, desk: Desk, journal: Appender) -> None:
        self.socket = bound
        self.desk = desk
        self.waiting = 0
        self.turns = 0
        self.ending = False
        self._journal = journal
        self.at_once = AT_ONCE
        self.max_waiting = MAX_WAITING
        self._six = bound.family == socket.AF_INET6
        self._port = int(bound.getsockname()[1])
        self._own = _own_addresses(bound)
        self._reading = False

    @property
    def port(self) -> int:
        return self._port

    def start(self) -> None:
        self.socket.setblocking(False)
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self._resume()

    def finish(self) -> None:
        """Reads nothing more, ever; what waits is still answered."""
        self.ending = True
        self.pause()

    def pause(self) -> None:
        """Reads nothing more for now; what waits is still answered."""
        if self._reading:
            asyncio.get_running_loop().remove_reader(self.socket)
            self._reading = False

    def close(self) -> None:
        """For good: what waits is not answered any more."""
        self.finish()
        self.socket.close()

    def settled(self, replies: int) -> None:
        """So many replies wait no longer."""
        self.waiting -= replies
        if not self._reading and not self.ending and self.waiting < self.max_waiting:
            self._resume()

    def _resume(self) -> None:
        asyncio.get_running_loop().add_reader(self.socket, self.read)
        self._reading = True

    def read(self) -> None:
        turn = Turn(self)
        receive, family = self.socket.recvfrom, socket.AF_INET6 if self._six else socket.AF_INET
        for _ in range(self.at_once):
            try:
                datagram, source = receive(MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                break
            except OSError:  # an ICMP answer to something that we sent: it says nothing about the next datagram
                self.desk.tally.failed += 1
                continue
            address = socket.inet_pton(family, source[0].partition("%")[0] if self._six else source[0])
            if self._is_no_client(address, source):
                self.desk.tally.received += 1
                self.desk.tally.drop("source")
                continue
            address = unmapped(address) if self._six else address
            try:
                row, reply = self.desk.answer(datagram, address, held=False)
            except Later:
                asyncio.get_running_loop().call_later(HOLD_S, self._answer_held, datagram, address, source)
                continue
            if reply is not None:
                self._reply(row, reply, source, turn)
        self._wait(turn)

    def _answer_held(self, datagram: bytes, address: bytes, source: Any) -> None:
        if self.socket.fileno() < 0:
            return
        turn = Turn(self)
        row, reply = self.desk.answer(datagram, address)
        if reply is not None:
            self._reply(row, reply, source, turn)
        self._wait(turn)

    def _reply(self, row: bytes | None, reply: bytes, source: Any, turn: Turn) -> None:
        if row is None:
            self.send(reply, source)
        else:
            self._journal.append(row)
            turn.replies.append((reply, source))

    def _wait(self, turn: Turn) -> None:
        """Lets the turn's replies wait for the disk, and reads no more while too many do."""
        if turn.replies:
            self.waiting += len(turn.replies)
            # After the rows and without one of its own, so it is settled with the last of them.
            self._journal.append(b"", turn)
            if self.waiting >= self.max_waiting:
                self.pause()

    def send(self, reply: bytes, source: Any) -> None:
        try:
            self.socket.sendto(reply, source)
        except OSError:  # the buffer is full, or there is no way back: the client asks again
            self.desk.tally.failed += 1
        else:
            self.desk.tally.replied += 1

    def _is_no_client(self, address: bytes, source: Any) -> bool:
        """Ports and addresses that an answer must not go to: nobody's, many's, our own (RFC 1122 section 3.2.1.3)."""
        first = address[0]
        if self._six:
            odd = first == 0xFF or address == bytes(16)
        else:
            odd = first >= 224 or first == 0
        return odd or source[1] == 0 or (source[1] == self._port and source[0] in self._own)


def _own_addresses(bound: socket.socket) -> set[str]:
    """The addresses that the socket receives at, as `recvfrom` writes them."""
    host = str(bound.getsockname()[0])
    if host not in ("0.0.0.0", "::"):
        return {host}
    return {each.address for card in psutil.net_if_addrs().values() for each in card if each.family == bound.family}
