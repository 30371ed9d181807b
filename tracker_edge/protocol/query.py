"""Query strings of announces and scrapes, byte for byte: no form decoding, because `+` is a byte like any other."""

from __future__ import annotations

import re
import zlib
from functools import lru_cache

from domain.base import MAX_COUNT
from tracker_edge.protocol.types import COMPLETED, PARTIAL_SEED, REGULAR, STARTED, STOPPED, BadQuery, Query

#: Real announces are below 600 bytes; longer ones carry something else.
MAX_ANNOUNCE_QUERY_BYTES = 2048
#: Transmission sends 60 at first and 5 fewer each time it reads "too long".
MAX_SCRAPE_HASHES = 60
#: Ports below are other services' (the norm of private trackers); 0 is what some clients send when they stop.
MIN_PORT = 1024
MAX_PORT = 65535

TOO_LONG = "GET string too long"

EVENTS = {
    b"": REGULAR,
    b"started": STARTED,
    b"completed": COMPLETED,
    b"stopped": STOPPED,
    b"paused": PARTIAL_SEED,  # BEP 21
}
_BYTE = {b"%02x" % n: bytes((n,)) for n in range(256)}
_BYTE |= {pair[:1] + pair[1:].upper(): byte for pair, byte in _BYTE.items()}
_BYTE |= {pair[:1].upper() + pair[1:]: byte for pair, byte in _BYTE.items()}
_KEY = re.compile(rb"[0-9A-Fa-f]{1,8}")


def parameters(query: bytes) -> dict[bytes, bytes]:
    """The parameters, still escaped; raises `BadQuery` when one is given twice. Pairs without a name are ignored."""
    pairs = query.split(b"&")
    found = {name: value for name, _, value in [pair.partition(b"=") for pair in pairs]}
    if len(found) != len(pairs):
        names = [name for name, _, _ in (pair.partition(b"=") for pair in pairs) if name]
        if len(names) != len(set(names)):
            raise BadQuery("Duplicate parameter")
    return found


def announce(query: bytes) -> tuple[Query, bytes]:
    """The announce that the query string asks for, and its `passkey` parameter (b"" for none); raises `BadQuery`."""
    if len(query) > MAX_ANNOUNCE_QUERY_BYTES:
        raise BadQuery(TOO_LONG)
    found = parameters(query)
    get = found.get
    info_hash = _twenty_bytes(get(b"info_hash"), "info_hash")
    peer_id = unescaped(get(b"peer_id") or b"")
    if peer_id is None or len(peer_id) != 20:
        raise BadQuery("Invalid peer_id" if b"peer_id" in found else "Missing peer_id")
    event = EVENTS.get(get(b"event", b""))
    if event is None:
        raise BadQuery("Invalid event")
    counters = count(get(b"uploaded")), count(get(b"downloaded")), count(get(b"left"))
    uploaded, downloaded, left = counters
    if uploaded is None or downloaded is None or left is None:
        raise BadQuery(_bad_counter(found, counters))
    port = count(get(b"port"))
    if port is None or port > MAX_PORT or (port < MIN_PORT and (port or event != STOPPED)):
        raise BadQuery("Invalid port" if b"port" in found else "Missing port")
    numwant = wanted(found)
    if numwant is None:
        raise BadQuery("Invalid numwant")
    no_peer_id, key = get(b"no_peer_id") == b"1", client_key(get(b"key", b""))
    counted = uploaded, downloaded, left
    return Query(info_hash, peer_id, port, *counted, event, numwant, is_compact(found), no_peer_id, key), get(
        b"passkey", b""
    )


def wanted(found: dict[bytes, bytes]) -> int | None:
    """`numwant`: -1 where the client leaves it to us, None where it is no number."""
    number = found.get(b"numwant")
    return -1 if number is None or number == b"-1" else count(number)


def is_compact(found: dict[bytes, bytes]) -> bool:
    """BEP 23: the parameter is advisory, so anything but an explicit 0 is compact."""
    return found.get(b"compact", b"1") != b"0"


def scrape(query: bytes) -> tuple[list[bytes], dict[bytes, bytes]]:
    """The distinct 20-byte hashes that are asked for, and the other parameters; raises `BadQuery`."""
    hashes = []
    others = []
    for pair in query.split(b"&"):
        if pair.startswith(b"info_hash="):
            hashes.append(_twenty_bytes(pair[10:], "info_hash"))
        else:
            others.append(pair)
    if not hashes:
        raise BadQuery("Missing info_hash: a full scrape is not offered")
    if len(hashes) > MAX_SCRAPE_HASHES:
        raise BadQuery(f"{TOO_LONG}: at most {MAX_SCRAPE_HASHES} hashes")
    return list(dict.fromkeys(hashes)), parameters(b"&".join(others))


def route(path: bytes) -> tuple[bytes | None, bytes | None]:
    """`announce` or `scrape` (None: no such path), and the key in the path (None: it is a parameter).

    /announce/KEY, /KEY/announce, /tracker/announce?passkey=KEY; each survives BEP 48's rewriting to scrape.
    """
    parts = path.split(b"/")
    if len(parts) == 3:
        _, first, last = parts
        if last in _ACTIONS:
            if first == b"tracker":
                return last, None
            return (last, first) if first else (None, None)
        if first in _ACTIONS and last not in (b".", b".."):
            return first, last
    elif len(parts) == 2 and parts[1] in _ACTIONS:
        return parts[1], None
    return None, None


_ACTIONS = frozenset({b"announce", b"scrape"})


def unescaped(raw: bytes) -> bytes | None:
    """The bytes of an escaped value (RFC 3986 section 2.1), None when an escape is not `%` and two hex digits."""
    if b"%" not in raw:
        return raw
    head, *escapes = raw.split(b"%")
    parts = [head]
    for escape in escapes:
        byte = _BYTE.get(escape[:2])
        if byte is None:
            return None
        parts.append(byte)
        parts.append(escape[2:])
    return b"".join(parts)


def count(digits: bytes | None) -> int | None:
    """`0` or digits without a leading zero, at most 2^63-1; None for anything else, `int()` would take far more."""
    if digits is None or not digits.isdigit() or len(digits) > 19 or (digits[0] == 48 and len(digits) > 1):
        return None
    number = int(digits)
    return number if number <= MAX_COUNT else None


@lru_cache(maxsize=16384)
def client_key(raw: bytes) -> int:
    """BEP 7's `key` as 32 bits: clients write 8 hex digits over HTTP and the number itself over UDP."""
    if not raw:
        return 0
    return int(raw, 16) if _KEY.fullmatch(raw) else zlib.crc32(raw)


@lru_cache(maxsize=16384)
def known_hash(raw: bytes) -> bytes | None:
    """20 bytes, or None. Cached, because a client escapes the same hash the same way each time."""
    value = unescaped(raw) if len(raw) <= 60 else None
    return value if value is not None and len(value) == 20 else None


def _twenty_bytes(raw: bytes | None, name: str) -> bytes:
    if raw is None:
        raise BadQuery(f"Missing {name}")
    known = known_hash(raw)
    if known is not None:
        return known
    value = unescaped(raw)
    if value is not None and len(value) == 32:
        raise BadQuery(f"Invalid {name}: cut a v2 hash to 20 bytes")
    raise BadQuery(f"Invalid {name}: 20 bytes, percent-escaped")


def _bad_counter(found: dict[bytes, bytes], counters: tuple[int | None, ...]) -> str:
    name = next(n for n, value in zip(("uploaded", "downloaded", "left"), counters, strict=True) if value is None)
    return f"Invalid {name}" if name.encode() in found else f"Missing {name}"
