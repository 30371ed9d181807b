"""Requests of the UDP tracker protocol as a client writes them, made here by hand and not by the code under test."""

from __future__ import annotations

import asyncio
import socket
import struct
from uuid import UUID

from tests.tracker_edge.edges import ANN, FILM, HASH, key, peer

#: BEP 15's magic, action 0.
CONNECT = bytes.fromhex("00000417271019800000000011223344")


def connect(transaction: bytes = b"\x11\x22\x33\x44") -> bytes:
    return CONNECT[:12] + transaction


def options(*pieces: bytes) -> bytes:
    """Each piece as a URLData option (BEP 41)."""
    return b"".join(b"\x02" + bytes((len(piece),)) + piece for piece in pieces)


def announce(
    connection_id: bytes,
    number: int = 1,
    user_id: UUID = ANN,
    torrent_id: UUID = FILM,
    *,
    transaction: bytes = b"Uwx\x88",
    info_hash: bytes | None = None,
    downloaded: int = 0,
    left: int = 100,
    uploaded: int = 0,
    event: int = 0,
    ip: int = 0,
    client_key: int = 0xDEADBEEF,
    numwant: int = -1,
    port: int | None = None,
    tail: bytes | None = None,
) -> bytes:
    """An announce of peer `number`; `tail` replaces the option with the key."""
    if tail is None:
        tail = options(f"/announce/{key(user_id, torrent_id)}".encode())
    return (
        connection_id
        + b"\0\0\0\x01"
        + transaction
        + (info_hash or HASH[torrent_id])
        + peer(number)
        + struct.pack(">QQQIIIiH", downloaded, left, uploaded, event, ip, client_key, numwant, port or 7000 + number)
        + tail
    )


def scrape(connection_id: bytes, *hashes: bytes, transaction: bytes = b"\x99\xaa\xbb\xcc") -> bytes:
    return connection_id + b"\0\0\0\x02" + transaction + b"".join(hashes)


def addresses_of_this_machine() -> list[str]:
    """The loopback addresses to test on: containers without IPv6 have one, everything else two."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return ["127.0.0.1"]
    return ["127.0.0.1", "::1"]


class Client:
    """A UDP client of one edge's port, from a socket of its own."""

    def __init__(self, port: int, host: str = "127.0.0.1", source: str | None = None) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        if source is not None:
            self.socket.bind((source, 0))
        self.socket.connect((host, port))

    def send(self, datagram: bytes) -> None:
        self.socket.send(datagram)

    async def receive(self, timeout_s: float = 5.0) -> bytes:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.socket, 65536), timeout_s)

    async def ask(self, datagram: bytes) -> bytes:
        self.send(datagram)
        return await self.receive()

    async def connect(self) -> bytes:
        """A connection id of this client's address."""
        reply = await self.ask(connect())
        assert reply[:8] == b"\0\0\0\0\x11\x22\x33\x44"
        assert len(reply) == 16
        return reply[8:]

    async def hears_nothing_after(self, *datagrams: bytes) -> bool:
        """Whether only the connect that is sent after them is answered: datagrams of one socket stay in order."""
        for datagram in datagrams:
            self.send(datagram)
        return (await self.ask(connect(b"last")))[:8] == b"\0\0\0\0last"

    def close(self) -> None:
        self.socket.close()
