"""The announce as nearly every client sends it, read at one stroke: parsing is half of what an announce costs.

Whatever is not recognised here is left to `http` and `query`, which say what is wrong with it; what is, they would read
alike (a property test holds that).
"""

from __future__ import annotations

import re
from functools import lru_cache

from tracker_edge.protocol.http import Fields, known_fields
from tracker_edge.protocol.query import (
    EVENTS,
    MAX_ANNOUNCE_QUERY_BYTES,
    MAX_PORT,
    MIN_PORT,
    client_key,
    is_compact,
    known_hash,
    parameters,
    unescaped,
    wanted,
)
from tracker_edge.protocol.types import BadQuery, Query

#: The order of libtorrent, Transmission and uTorrent. What follows these parameters is the same in all announces of one
#: program, but for its `key`; a visible character other than `#` and `&` is `[!-"$%\'-~]`.
_LINE = re.compile(
    rb"""GET /(?:announce/([0-9A-Za-z]{32})|([0-9A-Za-z]{32})/announce)\?"""
    rb"""info_hash=([!-"$%\'-~]*+)&peer_id=([!-"$%\'-~]*+)&port=([1-9][0-9]{3,4})&uploaded=(0|[1-9][0-9]{0,17})"""
    rb"""&downloaded=(0|[1-9][0-9]{0,17})&left=(0|[1-9][0-9]{0,17})"""
    rb"""((?:&(?!key=)[!-"$%\'-~]*+)*+)(?:&key=([!-"$%\'-~]*+))?((?:&[!-"$%\'-~]*+)*+) HTTP/1\.1(?=\r)"""
)
_READ_BY_LINE = frozenset({b"info_hash", b"peer_id", b"port", b"uploaded", b"downloaded", b"left", b"key"})


def read(data: bytes) -> tuple[Query, bytes, Fields] | None:
    """Announce, key and header fields of data that is one such request; else None."""
    line = _LINE.match(data)
    if line is None or line.end() > MAX_ANNOUNCE_QUERY_BYTES or not data.endswith(b"\r\n\r\n"):
        return None
    fields = known_fields(data[line.end() : -4])
    if fields is None or fields.body:
        return None
    first, last, raw_hash, raw_peer, port, uploaded, downloaded, left, before, key, after = line.groups(b"")
    options, info_hash, peer_id = _options(before + after), known_hash(raw_hash), unescaped(raw_peer)
    number = int(port)
    if options is None or info_hash is None or peer_id is None or len(peer_id) != 20:
        return None
    if not MIN_PORT <= number <= MAX_PORT:
        return None
    event, numwant, compact, no_peer_id = options
    sent = int(uploaded), int(downloaded), int(left)
    asked = Query(info_hash, peer_id, number, *sent, event, numwant, compact, no_peer_id, client_key(key))
    return asked, first or last, fields


@lru_cache(maxsize=4096)
def _options(rest: bytes) -> tuple[int, int, bool, bool] | None:
    """Event, numwant, compact, no_peer_id of the parameters after the first six; None when one is odd."""
    try:
        found = parameters(rest)
    except BadQuery:
        return None
    event, numwant = EVENTS.get(found.get(b"event", b"")), wanted(found)
    if event is None or numwant is None or not _READ_BY_LINE.isdisjoint(found):
        return None
    return event, numwant, is_compact(found), found.get(b"no_peer_id") == b"1"
