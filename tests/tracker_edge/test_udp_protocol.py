"""Datagrams byte for byte: edge.md's golden packets, BEP 41 in every splitting, the rows of reliability.md 3B."""

from __future__ import annotations

import struct
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.announces import Event
from tests.tracker_edge.datagrams import announce, options, scrape
from tests.tracker_edge.edges import told
from tracker_edge.protocol import udp
from tracker_edge.protocol.types import BadQuery, Counts, Query, Reply

GOLDEN = bytes.fromhex(
    "01020304050607080000000155667788040b6b563f5c7214a6b798ad43c3c92e402400b92d5858303030312d6162636465666768696a6b6c"
    "0000000000000000000000000000000000000000000000000000000200000000deadbeefffffffff1ae1"
)
GOLDEN_URL = bytes.fromhex("022a2f616e6e6f756e63652f3031323334353637383961626364656630313233343536373839616263646566")
KEY = b"0123456789abcdef0123456789abcdef"
ID = b"\x01\x02\x03\x04\x05\x06\x07\x08"
TRANSACTION = b"\x55\x66\x77\x88"
URL = b"/announce/" + KEY


def asked(**fields: Any) -> tuple[Query, bytes]:
    return udp.announce(announce(ID, tail=options(URL), **fields), six=False)


def test_the_golden_connect() -> None:
    connect = bytes.fromhex("00000417271019800000000011223344")
    assert udp.head(connect) == (udp.MAGIC, udp.CONNECT, b"\x11\x22\x33\x44")
    reply = udp.connect_reply(b"\x11\x22\x33\x44", ID)
    assert reply == bytes.fromhex("00000000112233440102030405060708")


def test_the_golden_announce() -> None:
    assert len(GOLDEN) == udp.ANNOUNCE_BYTES
    assert udp.head(GOLDEN) == (ID, udp.ANNOUNCE, TRANSACTION)
    query, key = udp.announce(GOLDEN + GOLDEN_URL, six=False)
    assert key == KEY
    assert told(query) == told(Query(
        bytes.fromhex("040b6b563f5c7214a6b798ad43c3c92e402400b9"), b"-XX0001-abcdefghijkl", 6881, 0, 0, 0,
        Event.STARTED, -1, True, False, 0xDEADBEEF,
    ))  # fmt: skip


def test_the_golden_replies() -> None:
    four = Reply(1, 1, 0, 1800, 900, b"\xcb\x00\x71\x07\x1a\xe1")
    assert udp.announce_reply(TRANSACTION, four, six=False) == bytes.fromhex(
        "0000000155667788000007080000000100000001cb0071071ae1"
    )
    assert udp.announce_reply(TRANSACTION, Reply(0, 1, 0, 1800, 900, b""), six=False) == bytes.fromhex(
        "0000000155667788000007080000000100000000"
    )
    six = Reply(1, 0, 0, 1800, 900, b"??????", bytes.fromhex("20010db8000000000000000000000001c8d5"))
    assert udp.announce_reply(TRANSACTION, six, six=True) == bytes.fromhex(
        "000000015566778800000708000000000000000120010db8000000000000000000000001c8d5"
    )
    assert udp.scrape_reply(b"\x99\xaa\xbb\xcc", [Counts(1, 2, 3, 3)]) == bytes.fromhex(
        "0000000299aabbcc000000010000000200000003"
    )
    assert udp.error_reply(TRANSACTION, "Passkey not found") == bytes.fromhex(
        "0000000355667788506173736b6579206e6f7420666f756e64"
    )


def test_every_field_is_read_from_its_place() -> None:
    query, _ = asked(downloaded=1, left=2, uploaded=3, event=1, ip=0x08080808, client_key=5, numwant=6, port=7777)
    assert (query.downloaded, query.left, query.uploaded, query.event) == (1, 2, 3, Event.COMPLETED)
    assert (query.key, query.numwant, query.port) == (5, 6, 7777)


@pytest.mark.parametrize(
    ("number", "event"), list(enumerate([Event.REGULAR, Event.COMPLETED, Event.STARTED, Event.STOPPED, Event.PAUSED]))
)
def test_events(number: int, event: Event) -> None:
    assert asked(event=number)[0].event == event


@pytest.mark.parametrize("number", [5, 6, 255, 256, 2**31, 2**32 - 1])
def test_other_events_are_refused(number: int) -> None:
    with pytest.raises(BadQuery, match="Invalid event"):
        asked(event=number)


@pytest.mark.parametrize("name", ["downloaded", "left", "uploaded"])
def test_counters_above_a_signed_64_bit_number_are_refused(name: str) -> None:
    assert getattr(asked(**{name: 2**63 - 1})[0], name) == 2**63 - 1
    for number in (2**63, 2**64 - 1):
        with pytest.raises(BadQuery, match="Invalid counter"):
            asked(**{name: number})


@pytest.mark.parametrize("number", [1, 80, 1023])
def test_low_ports_are_refused(number: int) -> None:
    with pytest.raises(BadQuery, match="Invalid port"):
        asked(port=number)


def test_port_zero_is_for_those_who_stop() -> None:
    zero = announce(ID, event=3)[:96] + b"\0\0" + options(URL)
    assert udp.announce(zero, six=False)[0].port == 0
    with pytest.raises(BadQuery, match="Invalid port"):
        udp.announce(zero[:83] + b"\x02" + zero[84:], six=False)


@pytest.mark.parametrize(
    ("numwant", "four", "six"),
    [(-1, -1, -1), (0, 0, 0), (1, 1, 1), (50, 50, 50), (2**31 - 1, 202, 67), (-(2**31), -1, -1), (-2, -1, -1)],
)
def test_numwant(numwant: int, four: int, six: int) -> None:
    datagram = announce(ID, numwant=numwant)
    assert udp.announce(datagram, six=False)[0].numwant == four
    assert udp.announce(datagram, six=True)[0].numwant == six


def test_the_fullest_reply_is_not_fragmented() -> None:
    for six, stride in ((False, 6), (True, 18)):
        most = udp.announce(announce(ID, numwant=2**31 - 1), six=six)[0].numwant
        assert 1232 - stride < 20 + stride * most <= udp.MAX_REPLY_BYTES == 1232


@pytest.mark.parametrize(
    ("tail", "url"),
    [
        (b"", b""),
        (b"\x00", b""),
        (b"\x01" * 255, b""),
        (b"\x02\x00", b""),
        (b"\x02\x05/?a=b", b"/?a=b"),
        (b"\x02\x02/?\x02\x03a=b", b"/?a=b"),
        (b"\x02\x02/?\x01\x01\x02\x00\x02\x03a=b\x00\xff\xff", b"/?a=b"),
        (b"\x02\x08/c/d?a=b", b"/c/d?a=b"),
        (b"\x02\x0c/dir?a=b&c=d\x01\x01\x00", b"/dir?a=b&c=d"),
        (b"\x03\x02xx\x02\x01/", b"/"),
        (b"\xff\xff" + b"x" * 255 + b"\x02\x01/", b"/"),
        (b"\x00\x02\x01/", b""),
        (b"\x00\x02", b""),
    ],
)
def test_options(tail: bytes, url: bytes) -> None:
    assert udp.url_data(announce(ID, tail=tail)) == url


@pytest.mark.parametrize("tail", [b"\x02", b"\x02\x01", b"\x02\xff" + b"x" * 254, b"\x01\x07", b"\x02\x01/\x03\x09"])
def test_options_beyond_the_datagram_are_refused(tail: bytes) -> None:
    with pytest.raises(BadQuery, match="Malformed option"):
        udp.url_data(announce(ID, tail=tail))


def test_the_key_is_found_in_every_splitting() -> None:
    cuts = range(len(URL) + 1)
    for first, second in combinations(cuts, 2):
        tail = options(URL[:first], URL[first:second]) + b"\x01" * (second % 3) + options(URL[second:])
        assert udp.announce(announce(ID, tail=tail), six=False)[1] == KEY
    bytewise = options(*(bytes((byte,)) for byte in URL))
    assert udp.announce(announce(ID, tail=bytewise + b"\0rest"), six=False)[1] == KEY


@pytest.mark.parametrize(
    "url",
    [
        URL,
        b"/" + KEY + b"/announce",
        b"/announce?passkey=" + KEY,
        b"/tracker/announce?passkey=" + KEY,
        b"?passkey=" + KEY,
        b"/?a=b&passkey=" + KEY,
        b"/a/b/c?passkey=" + KEY + b"#x",
        URL + b"?a=b",
    ],
)
def test_forms_of_the_announce_url(url: bytes) -> None:
    assert udp.announce_key(url) == KEY


@pytest.mark.parametrize(
    "url",
    [b"", b"/", b"/announce", b"/announce/", b"/../", b"/announce/..", b"/\0", b"/a" * 10, b"/\xff\xfe", b"?passkey=",
     b"/scrape/" + KEY, b"/" + KEY, KEY, b"announce/" + KEY],
)  # fmt: skip
def test_without_a_key_the_http_url_is_recommended(url: bytes) -> None:
    with pytest.raises(BadQuery) as refused:
        udp.announce_key(url)
    reply = udp.error_reply(TRANSACTION, str(refused.value))
    assert reply[8:] == b"passkey required: use the HTTP announce URL"
    assert len(reply) <= udp.ANNOUNCE_BYTES


def test_a_parameter_given_twice_is_refused() -> None:
    with pytest.raises(BadQuery, match="Duplicate"):
        udp.announce_key(b"?passkey=a&passkey=b")


@pytest.mark.parametrize(("asked_for", "answered"), [(1, 1), (74, 74), (75, 74), (100, 74), (204, 74)])
def test_scrapes_are_cut_after_74_hashes(asked_for: int, answered: int) -> None:
    hashes = [bytes((n,)) * 20 for n in range(asked_for)]
    assert udp.scrape(scrape(ID, *hashes)) == hashes[:answered]


def test_repeated_hashes_keep_their_places() -> None:
    assert udp.scrape(scrape(ID, b"b" * 20, b"a" * 20, b"b" * 20)) == [b"b" * 20, b"a" * 20, b"b" * 20]


def test_a_scrape_of_everything_is_refused() -> None:
    with pytest.raises(BadQuery, match="full scrape"):
        udp.scrape(scrape(ID))


@pytest.mark.parametrize("text", ["x" * 300, "é" * 300, "€" * 300])
def test_texts_are_cut_between_characters(text: str) -> None:
    shown = udp.error_reply(TRANSACTION, text)[8:]
    assert 62 <= len(shown) <= 64
    assert text.startswith(shown.decode())


@given(st.binary(max_size=400))
def test_any_tail_is_a_key_or_a_refusal(tail: bytes) -> None:
    try:
        _, key = udp.announce(announce(ID, tail=tail), six=False)
    except BadQuery:
        return
    assert 0 < len(key) < len(tail)


@given(st.binary(min_size=98, max_size=98))
def test_any_fields_are_a_query_or_a_refusal(fields: bytes) -> None:
    try:
        query, _ = udp.announce(fields + options(URL), six=True)
    except BadQuery:
        return
    assert 0 <= min(query.uploaded, query.downloaded, query.left)
    assert max(query.uploaded, query.downloaded, query.left) < 2**63
    assert query.port == struct.unpack(">H", fields[96:])[0]
    assert -1 <= query.numwant <= 67
