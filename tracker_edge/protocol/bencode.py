"""Replies as exact bencoded bytes: keys in raw-byte order (BEP 3), written by hand because the shapes are few.

Announce keys in order: complete, downloaded, external ip, failure reason, incomplete, interval, min interval, peers,
peers6, retry in, tracker id, warning message. Scrape: files, flags; per file complete, downloaded, downloaders,
incomplete.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

from tracker_edge.protocol.types import Counts, Peer, Refused, Reply

#: Clients cut longer texts when they show them.
MAX_TEXT_BYTES = 64


def announce_reply(reply: Reply) -> bytes:
    """The body of an accepted announce."""
    complete, incomplete, downloaded, interval = reply.complete, reply.incomplete, reply.downloaded, reply.interval
    min_interval, peers, peers6 = reply.min_interval, reply.peers, reply.peers6
    warning, external, tracker_id = reply.warning, reply.external_ip, reply.tracker_id
    listed = isinstance(peers, list)
    if not (listed or external or warning or tracker_id or downloaded is None or min_interval is None):
        head = b"d8:completei%de10:downloadedi%de10:incompletei%de8:intervali%de12:min intervali%de5:peers%d:%b"
        body = head % (complete, downloaded, incomplete, interval, min_interval, len(peers), peers)
        return body + b"e" if peers6 is None else b"%b6:peers6%d:%be" % (body, len(peers6), peers6)
    parts = [b"d8:completei%de" % complete]
    if downloaded is not None:
        parts.append(b"10:downloadedi%de" % downloaded)
    if external is not None:
        parts.append(b"11:external ip" + text(external))
    parts.append(b"10:incompletei%de8:intervali%de" % (incomplete, interval))
    if min_interval is not None:
        parts.append(b"12:min intervali%de" % min_interval)
    parts.append(b"5:peers" + (_peer_list(peers) if isinstance(peers, list) else text(peers)))
    if peers6 is not None:
        parts.append(b"6:peers6" + text(peers6))
    if tracker_id is not None:
        parts.append(b"10:tracker id" + text(tracker_id))
    if warning is not None:
        parts.append(b"15:warning message" + text(warning))
    return b"".join(parts) + b"e"


def failure(reason: bytes, interval: int | None, retry_in: int | bytes | None = None) -> bytes:
    """The body of a refusal; `interval` (seconds) is also the min interval, `retry_in` is minutes or b"never"."""
    parts = [b"d14:failure reason", text(reason[:MAX_TEXT_BYTES])]
    if interval is not None:
        parts.append(b"8:intervali%de12:min intervali%de" % (interval, interval))
    if retry_in is not None:
        parts.append(b"8:retry in" + (text(retry_in) if isinstance(retry_in, bytes) else b"i%de" % retry_in))
    return b"".join(parts) + b"e"


def refusal(error: Refused) -> bytes:
    """The body that tells a client why it is refused."""
    return failure(str(error).encode(), error.interval, error.retry_in)


def scrape_reply(files: Mapping[bytes, Counts], min_request_interval: int | None = None) -> bytes:
    """The body of a scrape: one entry per 20-byte hash, sorted; `min_request_interval` in seconds."""
    entries = b"".join(text(info_hash) + _file(files[info_hash]) for info_hash in sorted(files))
    flags = b"" if min_request_interval is None else b"5:flagsd20:min_request_intervali%dee" % min_request_interval
    return b"d5:filesd%be%be" % (entries, flags)


def text(value: bytes) -> bytes:
    """A bencoded byte string."""
    return b"%d:%b" % (len(value), value)


def _file(counts: Counts) -> bytes:
    complete, downloaded, incomplete, downloaders = counts
    extra = b"" if downloaders is None else b"11:downloadersi%de" % downloaders
    return b"d8:completei%de10:downloadedi%de%b10:incompletei%dee" % (complete, downloaded, extra, incomplete)


def _peer_list(peers: list[Peer]) -> bytes:
    return b"l" + b"".join(map(_peer, peers)) + b"e"


def _peer(peer: Peer) -> bytes:
    ip = text(str(ip_address(peer.address)).encode())
    peer_id = b"7:peer id" + text(peer.peer_id) if peer.peer_id else b""  # left out for `no_peer_id=1`
    return b"d2:ip%b%b4:porti%dee" % (ip, peer_id, peer.port)
