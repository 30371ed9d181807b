"""Datagrams of the UDP tracker protocol (BEP 15, with BEP 41's options) as queries, and replies as datagrams.

All numbers are big-endian. Whether the sender is who it says is `tracker_edge.connection_ids`' question.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

from domain.announces import Event
from domain.base import MAX_COUNT
from tracker_edge.protocol.query import MAX_PORT, MIN_PORT, parameters, route
from tracker_edge.protocol.types import STOPPED, BadQuery, Counts, Query, Reply

CONNECT: Final = 0
ANNOUNCE: Final = 1
SCRAPE: Final = 2
ERROR: Final = 3

#: What stands in a connect request where others have their connection id.
MAGIC: Final = bytes.fromhex("0000041727101980")
MIN_BYTES: Final = 16
ANNOUNCE_BYTES: Final = 98
#: What fits an IPv6 path of the least MTU (RFC 8200 section 5: 1280, less 48 of headers), so no reply is fragmented.
MAX_REPLY_BYTES: Final = 1232
#: BEP 15: "up to about 74 torrents can be scraped at once".
MAX_SCRAPE_HASHES: Final = 74
#: Clients cut longer texts; 8 + 64 is also less than any announce.
MAX_TEXT_BYTES: Final = 64

#: Connection id, action, transaction id.
head = Struct(">8sI4s").unpack_from

_ANNOUNCE = Struct(">16x20s20sQQQI4xIiH")  # the IP field is passed over: it would let anybody name a victim
_ANNOUNCED = Struct(">I4sIII")
_MOST_PEERS = ((MAX_REPLY_BYTES - _ANNOUNCED.size) // 6, (MAX_REPLY_BYTES - _ANNOUNCED.size) // 18)
#: libtorrent sends 4 for a partial seed (BEP 21), which BEP 15 does not know.
_EVENTS = frozenset({Event.REGULAR, Event.COMPLETED, Event.STARTED, Event.STOPPED, Event.PAUSED})

_END_OF_OPTIONS, _NOP, _URL_DATA = 0, 1, 2
#: The one option that nearly all clients send: `/announce/` and a key of 32 characters.
_USUAL = b"\x02\x2a/announce/"
_USUAL_BYTES = ANNOUNCE_BYTES + 2 + 0x2A

PASSKEY_REQUIRED = "passkey required: use the HTTP announce URL"


def announce(datagram: bytes, *, six: bool) -> tuple[Query, bytes]:
    """The announce and its key, from at least `ANNOUNCE_BYTES`; `six`: it came over IPv6. Raises `BadQuery`."""
    info_hash, peer_id, downloaded, left, uploaded, event, key, numwant, port = _ANNOUNCE.unpack_from(datagram)
    if event not in _EVENTS:
        raise BadQuery("Invalid event")
    if downloaded > MAX_COUNT or left > MAX_COUNT or uploaded > MAX_COUNT:
        raise BadQuery("Invalid counter")
    if port < MIN_PORT and (port or event != STOPPED):
        raise BadQuery("Invalid port")
    most = _MOST_PEERS[six]
    wanted = -1 if numwant < 0 else min(numwant, most)
    query = Query(info_hash, peer_id, port, uploaded, downloaded, left, event, wanted, True, False, key)
    if len(datagram) == _USUAL_BYTES and datagram.startswith(_USUAL, ANNOUNCE_BYTES):
        return query, datagram[_USUAL_BYTES - 32 :]
    return query, announce_key(url_data(datagram))


def url_data(datagram: bytes) -> bytes:
    """Path and query of the announce URL: all URLData options joined; raises `BadQuery` for one that is cut short."""
    position, end = ANNOUNCE_BYTES, len(datagram)
    parts = []
    while position < end:
        option = datagram[position]
        if option == _END_OF_OPTIONS:
            break
        position += 1
        if option == _NOP:
            continue
        if position == end:
            raise BadQuery("Malformed option")
        start = position + 1
        position = start + datagram[position]
        if position > end:
            raise BadQuery("Malformed option")
        if option == _URL_DATA:  # others may come to mean something: BEP 41 has them skipped
            parts.append(datagram[start:position])
    return b"".join(parts)


def announce_key(url: bytes) -> bytes:
    """The key in the announce URL's path or its parameter `passkey`; raises `BadQuery` when there is none."""
    path, _, query = url.partition(b"#")[0].partition(b"?")
    action, key = route(path)
    if action == b"announce" and key:
        return key
    key = parameters(query).get(b"passkey")
    if not key:
        raise BadQuery(PASSKEY_REQUIRED)
    return key


def scrape(datagram: bytes) -> list[bytes]:
    """The hashes that are asked for, in their order, repeated ones too; raises `BadQuery` when there are none."""
    if len(datagram) < MIN_BYTES + 20:
        raise BadQuery("A full scrape is not offered")
    end = min(len(datagram), MIN_BYTES + 20 * MAX_SCRAPE_HASHES)
    return [datagram[start : start + 20] for start in range(MIN_BYTES, end, 20)]


def connect_reply(transaction: bytes, connection_id: bytes) -> bytes:
    return b"\0\0\0\0" + transaction + connection_id


def announce_reply(transaction: bytes, reply: Reply, *, six: bool) -> bytes:
    """Peers of one family only: that of the datagram which asked."""
    peers = reply.peers6 if six else reply.peers
    assert isinstance(peers, bytes)
    return _ANNOUNCED.pack(ANNOUNCE, transaction, reply.interval, reply.incomplete, reply.complete) + peers


def scrape_reply(transaction: bytes, counts: Iterable[Counts]) -> bytes:
    rows = [_SCRAPED.pack(each.complete, each.downloaded, each.incomplete) for each in counts]
    return b"".join((b"\0\0\0\x02", transaction, *rows))


def error_reply(transaction: bytes, text: str) -> bytes:
    """Whole characters only, and no NUL at the end."""
    cut = text.encode()[:MAX_TEXT_BYTES].decode(errors="ignore")
    return b"\0\0\0\x03" + transaction + cut.encode()


_SCRAPED = Struct(">III")
assert MAX_PORT == 2**16 - 1  # what the port's field can hold
