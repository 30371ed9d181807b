"""Announce and scrape queries: what is accepted byte for byte, and what is refused (reliability.md 3A, 3C)."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.announces import Event
from domain.base import MAX_COUNT
from tests.tracker_edge.edges import told
from tracker_edge.protocol import query
from tracker_edge.protocol.types import BadQuery, Query

BASE = {
    "info_hash": "%ab" * 20,
    "peer_id": "-qB5100-abcdefghijkl",
    "port": "6881",
    "uploaded": "1",
    "downloaded": "2",
    "left": "3",
}


def text(**changed: str | None) -> bytes:
    return "&".join(f"{k}={v}" for k, v in (BASE | changed).items() if v is not None).encode("latin-1")


def parsed(**changed: str | None) -> Query:
    return query.announce(text(**changed))[0]


def refused(**changed: str | None) -> str:
    with pytest.raises(BadQuery) as caught:
        parsed(**changed)
    return str(caught.value)


def test_a_plain_announce() -> None:
    expected = Query(b"\xab" * 20, b"-qB5100-abcdefghijkl", 6881, 1, 2, 3, Event.REGULAR, -1, True, False, 0)
    assert told(parsed()) == told(expected)


@pytest.mark.parametrize(
    ("raw", "hexadecimal"),
    [
        ("%04%0bkV%3f%5cr%14%a6%b7%98%adC%c3%c9.%40%24%00%b9", "040b6b563f5c7214a6b798ad43c3c92e402400b9"),
        ("%3B%24U%04%CF%5F%11%BB%DB%E1%20%1C%EAjk%F4Z%EE%1B%C0", "3b245504cf5f11bbdbe1201cea6a6bf45aee1bc0"),
        ("a+b" + "%2B" + "x" * 16, (b"a+b+" + b"x" * 16).hex()),
        ("%aB" * 20, "ab" * 20),
    ],
)
def test_info_hashes_are_byte_exact_and_plus_is_a_plus(raw: str, hexadecimal: str) -> None:
    assert parsed(info_hash=raw).info_hash.hex() == hexadecimal


@given(st.binary(min_size=20, max_size=20), st.booleans())
def test_any_twenty_bytes_survive_escaping(value: bytes, escape_all: bool) -> None:
    escaped = "".join(f"%{b:02X}" for b in value) if escape_all else quote_from_bytes(value, safe="")
    assert parsed(info_hash=escaped).info_hash == value
    assert parsed(peer_id=escaped).peer_id == value


@pytest.mark.parametrize(
    "raw", ["", "%ab" * 19, "%ab" * 21, "ab" * 20, "%", "%f", "%zz" + "a" * 19, "%u1234" + "a" * 15, "%0%a", "%00"]
)
def test_other_info_hashes_are_refused(raw: str) -> None:
    assert refused(info_hash=raw) == "Invalid info_hash: 20 bytes, percent-escaped"


def test_a_whole_v2_hash_is_told_to_be_cut() -> None:
    assert refused(info_hash="a" * 32) == "Invalid info_hash: cut a v2 hash to 20 bytes"


@pytest.mark.parametrize("name", list(BASE))
def test_each_required_parameter_is_missed_by_name(name: str) -> None:
    assert refused(**{name: None}) == f"Missing {name}"


def test_an_empty_query_misses_the_hash() -> None:
    with pytest.raises(BadQuery, match="Missing info_hash"):
        query.announce(b"")


@pytest.mark.parametrize("raw", ["a" * 19, "a" * 21, "", "%zz" + "a" * 17])
def test_peer_ids_of_other_lengths_are_refused(raw: str) -> None:
    assert refused(peer_id=raw) == "Invalid peer_id"


@pytest.mark.parametrize("raw", ["%00" * 20, "%ff" * 20])
def test_any_twenty_bytes_are_a_peer_id(raw: str) -> None:
    assert len(parsed(peer_id=raw).peer_id) == 20


@pytest.mark.parametrize("raw", ["info_hash=" + "b" * 20, "info_hash=" + "%ab" * 20, "event=&event=stopped", "x=1&x=1"])
def test_duplicates_are_refused(raw: str) -> None:
    with pytest.raises(BadQuery, match="Duplicate parameter"):
        query.announce(text() + b"&" + raw.encode())


@pytest.mark.parametrize("raw", [b"&", b"&&", b"&=1&=2", b"&x", b"&a=b=c", b"&;left=0", b"&Left=0&EVENT=stopped"])
def test_odd_pairs_are_ignored(raw: bytes) -> None:
    assert told(query.announce(text() + raw)[0]) == told(parsed())


@pytest.mark.parametrize(
    "raw", ["0", "1", "1023", "65536", "70000", "-1", "80.0", "0x1F90", " 6881", "6_881", "+6881", "06881", "", "\xb2"]
)
def test_other_ports_are_refused(raw: str) -> None:
    assert refused(port=raw) == "Invalid port"


def test_ports_that_are_fine() -> None:
    assert [parsed(port=str(port)).port for port in (1024, 6881, 65535)] == [1024, 6881, 65535]
    assert parsed(port="0", event="stopped").port == 0
    assert refused(port="80", event="stopped") == "Invalid port"


@pytest.mark.parametrize("name", ["uploaded", "downloaded", "left"])
@pytest.mark.parametrize(
    "raw",
    ["-1", "-0", "+5", "1e3", "1_000", " 5", "5 ", "\xb2", "0005", "", "NaN", "9" * 19, str(2**63), str(2**64 - 1),
     str(2**64), "9" * 2000],
)  # fmt: skip
def test_counters_are_digits_without_zeros_up_to_63_bits(name: str, raw: str) -> None:
    expected = "GET string too long" if len(raw) > 1000 and len(text(**{name: raw})) > 2048 else f"Invalid {name}"
    assert refused(**{name: raw}) == expected


def test_the_largest_counter_is_accepted() -> None:
    assert parsed(left=str(MAX_COUNT), uploaded="0").left == MAX_COUNT


@pytest.mark.parametrize(
    ("raw", "event"),
    [("", 0), ("started", 2), ("completed", 1), ("stopped", 3), ("paused", 4)],
)
def test_events(raw: str, event: int) -> None:
    assert parsed(event=raw).event == event


@pytest.mark.parametrize("raw", ["STARTED", "Started", "empty", "foo", "expired", "stopped%00"])
def test_other_events_are_refused(raw: str) -> None:
    assert refused(event=raw) == "Invalid event"


@pytest.mark.parametrize(
    ("raw", "numwant"), [(None, -1), ("-1", -1), ("0", 0), ("1", 1), ("50", 50), ("1000000000", 10**9)]
)
def test_numwant(raw: str | None, numwant: int) -> None:
    assert parsed(numwant=raw).numwant == numwant


@pytest.mark.parametrize("raw", ["abc", "-2", "", "4294967296000000000000"])
def test_other_numwants_are_refused(raw: str) -> None:
    assert refused(numwant=raw) == "Invalid numwant"


def test_compact_unless_it_is_declined() -> None:
    assert [parsed(compact=raw).compact for raw in (None, "1", "2", "0")] == [True, True, True, False]
    assert parsed(no_peer_id="1").no_peer_id


def test_keys_are_32_bits_whoever_writes_them() -> None:
    assert parsed(key="DEADBEEF").key == parsed(key="deadbeef").key == 0xDEADBEEF
    assert parsed(key="x" * 1000).key == parsed(key="x" * 1000).key < 2**32


def test_addresses_in_the_query_are_ignored() -> None:
    assert told(parsed(ip="192.0.2.1", ipv4="192.0.2.1:80", ipv6="::1")) == told(parsed())


def test_two_hundred_unknown_parameters_are_ignored_but_two_kilobytes_are_too_long() -> None:
    asked = query.announce(text() + b"".join(b"&x%d=1" % n for n in range(200)))[0]
    assert told(asked) == told(parsed())
    with pytest.raises(BadQuery, match="GET string too long"):
        query.announce(text(trackerid="x" * 4096))


def refusal(parse: Callable[[bytes], object], raw: bytes) -> str:
    try:
        parse(raw)
    except BadQuery as error:
        return str(error)
    return ""


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_parsers(data: bytes) -> None:
    for parse in (query.announce, query.scrape):
        for raw in (data, text() + b"&" + data, data + b"&info_hash=" + b"a" * 20):
            assert len(refusal(parse, raw)) <= 64


@pytest.mark.parametrize("raw", [b"info_hash=..&a", b"&=b?", b"info_hash=%0%a", b"info_hash=%00"])
def test_what_crashed_others_is_refused(raw: bytes) -> None:
    with pytest.raises(BadQuery):
        query.announce(raw)


def test_a_scrape_names_its_torrents() -> None:
    hashes, others = query.scrape(b"info_hash=" + b"%01" * 20 + b"&passkey=k&info_hash=" + b"b" * 20)
    assert hashes == [b"\x01" * 20, b"b" * 20]
    assert others == {b"passkey": b"k"}


def test_a_hash_that_is_asked_for_twice_is_one() -> None:
    assert query.scrape(b"&".join([b"info_hash=" + b"b" * 20] * 3))[0] == [b"b" * 20]


def test_a_full_scrape_and_a_huge_one_are_refused() -> None:
    with pytest.raises(BadQuery, match="Missing info_hash"):
        query.scrape(b"")
    many = [b"info_hash=%02x" % n + b"b" * 18 for n in range(61)]
    assert len(query.scrape(b"&".join(many[:60]))[0]) == 60
    with pytest.raises(BadQuery, match="too long"):
        query.scrape(b"&".join(many))


def test_one_bad_hash_spoils_a_scrape() -> None:
    with pytest.raises(BadQuery, match="Invalid info_hash"):
        query.scrape(b"info_hash=" + b"b" * 20 + b"&info_hash=" + b"b" * 19)
