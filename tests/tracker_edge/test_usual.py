"""The quick way to read an announce reads nothing otherwise than the slow one, and takes what real clients send."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.tracker_edge.edges import told
from tracker_edge.protocol import query, usual
from tracker_edge.protocol.http import Fields, Request, RequestReader
from tracker_edge.protocol.types import Query, Refused

KEY = b"abcdefghijklmnopqrstuvwxyz234567"
HASH = b"%01" * 20
LIBTORRENT = (
    b"info_hash=" + HASH + b"&peer_id=-qB5100-abcdefghijkl&port=6881&uploaded=5&downloaded=6&left=7&corrupt=0"
    b"&key=ABCD1234&event=started&numwant=200&compact=1&no_peer_id=1&supportcrypto=1&redundant=0"
)
TRANSMISSION = (
    b"info_hash=" + HASH + b"&peer_id=-TR4060-abcdefghijkl&port=51413&uploaded=0&downloaded=0&left=9223372036854775807"
    b"&numwant=80&key=9eba5f2b&compact=1&supportcrypto=1&event=started"
)
FIELDS = b"\r\nHost: t.example\r\nUser-Agent: qBittorrent/5.1.0\r\nAccept-Encoding: gzip"


def request(text: bytes, path: bytes = b"/announce/" + KEY, fields: bytes = FIELDS) -> bytes:
    return b"GET " + path + b"?" + text + b" HTTP/1.1" + fields + b"\r\n\r\n"


def slowly(data: bytes) -> tuple[Query, bytes, Fields] | None:
    """What the general parser makes of data that is one announce in the key-in-path form; None for anything else."""
    reader = RequestReader()
    found = reader.feed(data)
    if len(found) != 1 or not isinstance(found[0], Request) or reader.waiting:
        return None
    method, target, _, old, fields = found[0]
    path, _, text = target.partition(b"?")
    action, key = query.route(path)
    if method != b"GET" or action != b"announce" or key is None or b"#" in target or old:
        return None
    try:
        return query.announce(text)[0], key, fields
    except Refused:
        return None


def seen(read: tuple[Query, bytes, Fields] | None) -> tuple[object, ...] | None:
    return None if read is None else (told(read[0]), *read[1:])


@pytest.mark.parametrize("text", [LIBTORRENT, TRANSMISSION, LIBTORRENT.replace(b"&event=started", b"")])
@pytest.mark.parametrize("path", [b"/announce/" + KEY, b"/" + KEY + b"/announce"])
@pytest.mark.parametrize("fields", [FIELDS, FIELDS + b"\r\nConnection: close"])
def test_what_real_clients_send_is_read_the_quick_way(text: bytes, path: bytes, fields: bytes) -> None:
    data = request(text, path, fields)
    expected = slowly(data)  # which remembers the header fields
    assert expected is not None
    taken = usual.read(data)
    if b"left=9223372036854775807" in text:  # a number of 19 digits is left to the slow way
        assert taken is None
    else:
        assert seen(taken) == seen(expected)


_NAMES = (b"info_hash", b"peer_id", b"port", b"uploaded", b"left", b"event", b"numwant", b"key", b"compact", b"x", b"")
_VALUES = (
    b"", b"0", b"1", b"01", b"-1", b"80", b"1023", b"65535", b"65536", b"started", b"paused", b"bogus", b"%", b"%zz",
    b"a=b", b"12345678901234567890", b"#", b" ", b"\x00", b"\xff", b"+", HASH, b"%2", b"ABCD1234&key=1",
)  # fmt: skip


@st.composite
def announces(draw: st.DrawFn) -> bytes:
    """Requests near the usual one: a parameter set, doubled, dropped or moved, a byte of the whole changed."""
    pairs = draw(st.sampled_from((LIBTORRENT, TRANSMISSION))).split(b"&")
    for _ in range(draw(st.integers(0, 3))):
        pair = draw(st.sampled_from(_NAMES)) + draw(st.sampled_from((b"=", b""))) + draw(st.sampled_from(_VALUES))
        place = draw(st.integers(0, len(pairs)))
        if draw(st.booleans()) and place < len(pairs):
            pairs[place] = pair
        else:
            pairs.insert(place, pair)
    path = draw(st.sampled_from((b"/announce/" + KEY, b"/" + KEY + b"/announce", b"/announce", b"/x/announce")))
    fields = draw(st.sampled_from((FIELDS, b"", FIELDS + b"\r\nContent-Length: 3", FIELDS + b"\r\nCookie: a")))
    data = bytearray(request(b"&".join(pairs), path, fields))
    for _ in range(draw(st.integers(0, 2))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data) + draw(st.sampled_from((b"", b"", b"GET ", b"\r\n\r\n")))


@given(announces())
@example(request(LIBTORRENT) + request(LIBTORRENT))
@example(request(LIBTORRENT + b"&port=7000"))
@example(request(LIBTORRENT + b"&passkey=" + KEY))
def test_what_is_read_the_quick_way_is_read_alike_the_slow_way(data: bytes) -> None:
    slowly(data)
    taken = usual.read(data)
    if taken is not None:
        assert seen(taken) == seen(slowly(data))
