"""The bytes of announces as libtorrent writes them, over HTTP and over UDP (BEP 15, BEP 41)."""

from __future__ import annotations

from struct import Struct
from typing import Final

from bench.catalogue import Peer
from domain.announces import Event

#: What libtorrent asks for unless it is told otherwise.
NUMWANT: Final = 200
CONNECT_ID: Final = bytes.fromhex("0000041727101980")

_EVENTS: Final = {
    Event.REGULAR: b"",
    Event.STARTED: b"&event=started",
    Event.COMPLETED: b"&event=completed",
    Event.STOPPED: b"&event=stopped",
    Event.PAUSED: b"&event=paused",
}
_CONNECT: Final = Struct(">8sI4s")
_ANNOUNCE: Final = Struct(">8sI4s20s20sQQQIIIiH")
#: Where a sender writes the connection id and the transaction id.
UNCONNECTED: Final = bytes(8)
_PATH: Final = b"/announce/"


class HttpForm:
    """One peer's announce of one hash; what does not change is written once."""

    def __init__(self, host: str, peer: Peer, info_hash: bytes, key: str, *, close: bool) -> None:
        path = _PATH + key.encode() if key else b"/announce"
        escaped = b"".join(b"%%%02x" % byte for byte in info_hash)
        identity = b"%b?info_hash=%b&peer_id=%b&port=%d" % (path, escaped, peer.peer_id, peer.port)
        connection = b"Connection: close\r\n" if close else b""
        self._head = b"GET " + identity
        self._key = b"&corrupt=0&key=%08X" % peer.key
        self._tail = (
            b"&compact=1&no_peer_id=1&supportcrypto=1&redundant=0 HTTP/1.1\r\n"
            b"Host: %b\r\nUser-Agent: %b\r\nAccept-Encoding: gzip\r\n%b\r\n"
        ) % (host.encode(), peer.agent, connection)

    def request(self, uploaded: int, downloaded: int, left: int, event: int, numwant: int) -> bytes:
        """The whole request; counters in bytes."""
        return b"%b&uploaded=%d&downloaded=%d&left=%d%b%b&numwant=%d%b" % (
            self._head, uploaded, downloaded, left, self._key, _EVENTS[Event(event)], numwant, self._tail,
        )  # fmt: skip


class UdpForm:
    """As `HttpForm`, as a datagram."""

    def __init__(self, peer: Peer, info_hash: bytes, key: str) -> None:
        self._peer = peer
        self._hash = info_hash
        self._options = _url_data(_PATH + key.encode()) if key else b""

    def request(
        self,
        uploaded: int,
        downloaded: int,
        left: int,
        event: int,
        numwant: int,
        connection_id: bytes = UNCONNECTED,
        transaction: bytes = bytes(4),
    ) -> bytes:
        """The datagram; counters in bytes."""
        peer = self._peer
        fixed = _ANNOUNCE.pack(
            connection_id, 1, transaction, self._hash, peer.peer_id, downloaded, left, uploaded, event, 0, peer.key,
            numwant, peer.port,
        )  # fmt: skip
        return fixed + self._options


def connect(transaction: bytes) -> bytes:
    return _CONNECT.pack(CONNECT_ID, 0, transaction)


def _url_data(path: bytes) -> bytes:
    """One URLData option, as libtorrent sends it (BEP 41: type 2, length, bytes)."""
    return bytes((2, len(path))) + path
