"""Exact bytes for exact bytes through parser, rules and encoder: the tables of BEP 3, 7, 15, 21, 23, 24, 31, 48, 52.

Every row is one that some tracker in the field gets wrong; over sockets, `test_wire` and `test_udp_wire` repeat some.
"""

from __future__ import annotations

from uuid import UUID

import pytest

from domain.announces import Event
from tests.tracker_edge import strict
from tests.tracker_edge.bench import NOW_US, Bench, packed
from tests.tracker_edge.edges import ANN, BOB, EVE, FILM, SECRET, key, some
from tests.tracker_edge.edges import torrent as torrent_row
from tests.tracker_edge.edges import user as user_row
from tests.tracker_edge.vectors import (
    B1,
    ESCAPED,
    GONE,
    HASH_TEXT,
    OK,
    SEEDER,
    Changed,
    asked,
    deleted,
    failure,
    filled,
    query,
)
from tracker_edge.access import TorrentRow, changes

REFUSED: dict[str, tuple[Changed, str]] = {
    "no info_hash": ({"info_hash": None}, "Missing info_hash"),
    "empty info_hash": ({"info_hash": ""}, HASH_TEXT),
    "%0": ({"info_hash": "%0" * 20}, HASH_TEXT),
    "%zz": ({"info_hash": "%zz" + "%01" * 19}, HASH_TEXT),
    "%0%a": ({"info_hash": "%0%a"}, HASH_TEXT),
    "% at the end": ({"info_hash": "%01" * 19 + "%"}, HASH_TEXT),
    "%u1234": ({"info_hash": "%u1234" + "%01" * 15}, HASH_TEXT),
    "19 bytes": ({"info_hash": "%01" * 19}, HASH_TEXT),
    "21 bytes": ({"info_hash": "%01" * 21}, HASH_TEXT),
    "%00 alone": ({"info_hash": "%00"}, HASH_TEXT),
    "32 bytes": ({"info_hash": "a" * 32}, "Invalid info_hash: cut a v2 hash to 20 bytes"),
    "32 escaped bytes": ({"info_hash": "%04" * 32}, "Invalid info_hash: cut a v2 hash to 20 bytes"),
    "40 hex": ({"info_hash": "01" * 20}, HASH_TEXT),
    "64 hex": ({"info_hash": "04" * 32}, HASH_TEXT),
    "Info_Hash": ({"info_hash": None, "Info_Hash": ESCAPED}, "Missing info_hash"),
    "; is no separator": ({"port": "6881;compact=1"}, "Invalid port"),
    "= in a value": ({"left": "5=6"}, "Invalid left"),
    "no peer_id": ({"peer_id": None}, "Missing peer_id"),
    "empty peer_id": ({"peer_id": ""}, "Invalid peer_id"),
    "19 of peer_id": ({"peer_id": "a" * 19}, "Invalid peer_id"),
    "21 of peer_id": ({"peer_id": "a" * 21}, "Invalid peer_id"),
    "bad escape in peer_id": ({"peer_id": "%zz" + "a" * 19}, "Invalid peer_id"),
    "no port": ({"port": None}, "Missing port"),
    **{f"port {p!r}": ({"port": p}, "Invalid port") for p in (
        "", "0", "1", "1023", "65536", "65537", "70000", "-1", "abc", "80.0", "0x1F90", "６８８１", " 6881", "6_881",
        "+6881", "06881")},
    "port 0 when completing": ({"port": "0", "event": "completed"}, "Invalid port"),
    **{f"no {n}": ({n: None}, f"Missing {n}") for n in ("uploaded", "downloaded", "left")},
    **{f"{n} {v[:24]!r}": ({n: v}, f"Invalid {n}") for n in ("uploaded", "downloaded", "left") for v in (
        "", "-1", "-0", "+5", "1e3", "1_000", " 5", "٥", "0005", "00", "NaN", "12x", "9223372036854775808",
        "18446744073709551615", "18446744073709551616", "9" * 19, "9" * 500)},
    **{f"event {e}": ({"event": e}, "Invalid event") for e in (
        "Started", "STARTED", "empty", "none", "foo", "started%00", "start%65d")},
    "event twice": ({"event": "started&event=stopped"}, "Duplicate parameter"),
    "info_hash twice": ({"info_hash": f"{ESCAPED}&info_hash={ESCAPED}"}, "Duplicate parameter"),
    "two hashes": ({"info_hash": f"{ESCAPED}&info_hash={'%02' * 20}"}, "Duplicate parameter"),
    **{f"numwant {n[:12]}": ({"numwant": n}, "Invalid numwant") for n in ("abc", "-2", "1.5", "", "9" * 20)},
    "3 kB": ({"trackerid": "x" * 3000}, "GET string too long"),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_announce_says_why_and_leaves_nothing(bench: Bench, changed: Changed, text: str) -> None:
    assert bench.body(asked(query(**changed)).encode()) in (failure(text), failure("Malformed HTTP request"))
    assert (bench.journal.rows, len(bench.swarms), bench.swarms.torrents) == ([], 0, 0)


@pytest.mark.parametrize("raw", ["", "?", "?&", "?&=&=b", "?info_hash", "?&=b?", "?info_hash=..&a"])
def test_what_is_hardly_a_query_is_a_failure_too(bench: Bench, raw: str) -> None:
    text = HASH_TEXT if ".." in raw else "Missing info_hash"
    if raw == "?info_hash":
        text = HASH_TEXT
    assert bench.body(f"/announce/{key(ANN)}{raw}") == failure(text)


ACCEPTED: dict[str, tuple[Changed, bytes]] = {
    "plain": ({}, B1),
    "upper case escapes": ({"peer_id": "%2DqB5100%2Dabcdefghijkl"}, B1),
    "port 1024": ({"port": "1024"}, B1),
    "port 65535": ({"port": "65535"}, B1),
    "largest counters": ({"uploaded": str(2**63 - 1), "downloaded": str(2**63 - 1)}, B1),
    "left 2^32": ({"left": "4294967296"}, B1),
    "left 2^63-1": ({"left": str(2**63 - 1)}, B1),
    "left 0": ({"left": "0"}, SEEDER),
    "no event": ({"event": ""}, B1),
    "paused": ({"event": "paused"}, B1),
    "started": ({"event": "started"}, B1.replace(b"10:incomplete", b"11:external ip4:\x08\x08\x08\x0810:incomplete")),
    "completed with bytes left": ({"event": "completed"}, B1),
    "stopped of nobody": ({"event": "stopped"}, GONE),
    "stopped on port 0": ({"event": "stopped", "port": "0"}, GONE),
    "numwant 0": ({"numwant": "0"}, B1),
    "numwant -1": ({"numwant": "-1"}, B1),
    "numwant 10^9": ({"numwant": "1000000000"}, B1),
    "numwant 2^32-1": ({"numwant": "4294967295"}, B1),
    "compact 1": ({"compact": "1"}, B1),
    "compact 2": ({"compact": "2"}, B1),
    "compact 0": ({"compact": "0"}, B1.replace(b"5:peers0:e", b"5:peerslee")),
    "no_peer_id with compact": ({"no_peer_id": "1", "compact": "1"}, B1),
    "key": ({"key": "DEADBEEF"}, B1),
    "a key of 1 kB": ({"key": "k" * 1000}, B1),
    "trackerid": ({"trackerid": "t"}, B1),
    "supportcrypto and 100 unknown": ({"supportcrypto": "1", **{f"x{n}": "y" for n in range(100)}}, B1),
    "names are as they are written": ({"x": "1", "X": "2", "Port": "0", "LEFT": "x"}, B1),
    "= in an unknown value": ({"x": "a=b=c"}, B1),
    "peer_id of zeros": ({"peer_id": "%00" * 20}, B1),
    "peer_id of 0xff": ({"peer_id": "%ff" * 20}, B1),
    "a plus in peer_id": ({"peer_id": "+" * 20}, B1),
    "corrupt and ip": ({"corrupt": "0", "redundant": "9", "ip": "1.2.3.4"}, B1),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "reply"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_an_accepted_announce_is_answered_byte_for_byte(bench: Bench, changed: Changed, reply: bytes) -> None:
    assert bench.body(asked(query(**changed))) == reply
    strict.bencoded(reply)
    assert len(bench.announces) == 1


def test_what_is_accepted_is_journaled_byte_exact(bench: Bench) -> None:
    most = str(2**63 - 1)
    counters = {"uploaded": most, "downloaded": "7", "left": most, "event": "paused", "key": "DEADBEEF"}
    addresses = {"ip": "9.9.9.9", "ipv4": "9.9.9.9:9", "ipv6": "::9"}
    bench.body(asked(query(peer_id="%00%ff+%2B%20%7e" + "z" * 14, **counters, **addresses)))
    [record] = bench.announces
    assert record.peer_id == b"\x00\xff++ ~" + b"z" * 14
    assert (record.uploaded, record.downloaded, record.left) == (2**63 - 1, 7, 10**9)
    assert (record.event, record.key, record.address, record.port) == (Event.PAUSED, 0xDEADBEEF, b"\x08" * 4, 6881)
    assert (record.user_id, record.torrent_id, record.received_at_us) == (ANN.bytes, FILM.bytes, NOW_US)


@pytest.mark.parametrize("raw", [
    "%04%0bkV%3f%5cr%14%a6%b7%98%adC%c3%c9.%40%24%00%b9", "%04%0BkV%3F%5Cr%14%A6%B7%98%ADC%C3%C9.@$%00%B9",
    "%04%0b%6b%56%3f%5c%72%14%a6%B7%98%ad%43%c3%C9%2e%40%24%00%b9",
])  # fmt: skip
def test_a_hash_is_the_same_however_it_is_escaped(bench: Bench, raw: str) -> None:
    info_hash = bytes.fromhex("040b6b563f5c7214a6b798ad43c3c92e402400b9")
    row = TorrentRow(UUID(int=99), info_hash, None, "approved", "", 10**9, 1)
    bench.tracker.access.apply(changes(SECRET, [], [row], (1, 1), False))
    assert bench.body(asked(query(info_hash=raw))) == B1
    assert bench.announces[0].torrent_id == UUID(int=99).bytes


def test_a_plus_in_a_hash_is_a_plus(bench: Bench) -> None:
    row = TorrentRow(UUID(int=99), b"+" * 20, None, "approved", "", 10**9, 1)
    bench.tracker.access.apply(changes(SECRET, [], [row], (1, 1), False))
    for raw in ("+" * 20, "%2b" * 20, "+%2B" * 10):
        assert bench.body(asked(query(info_hash=raw, event="stopped"))) == GONE
    assert bench.body(asked(query(info_hash="%20" * 20))).startswith(b"d14:failure reason20:Unregistered torrent8:")


@pytest.mark.parametrize(
    ("numwant", "told"), [(None, 50), ("0", 0), ("1", 1), ("50", 50), ("51", 50), ("-1", 50), ("4294967295", 50)]
)
def test_numwant_of_sixty(bench: Bench, numwant: str | None, told: int) -> None:
    filled(bench, 60)
    found = strict.bencoded(bench.body(asked(query(numwant=numwant))))
    assert isinstance(found, dict)
    assert isinstance(found[b"peers"], bytes)
    peers = found[b"peers"]
    assert len(peers) == 6 * told
    assert len({peers[n : n + 6] for n in range(0, len(peers), 6)}) == told


def test_no_peers_for_who_stops(bench: Bench) -> None:
    filled(bench, 3)
    assert bench.body(asked(query(event="stopped", numwant="50"))) == OK % (3, 0, 0) + b"5:peers0:e"


def test_b2_and_b4_of_an_ipv6_requester(bench: Bench) -> None:
    assert bench.body(asked(query()), host="2001:db8::5") == B1[:-1] + b"6:peers60:e"
    bench.body(asked(query(left="0", port="51413"), BOB), host="2001:db8::1")
    reply = bench.body(asked(query(event="started", numwant="1")), host="2001:db8::5")
    assert reply == (OK % (1, 0, 1) + b"5:peers0:6:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\xc8\xd5e")


def test_b3_one_peer(bench: Bench) -> None:
    bench.body(asked(query(left="0"), BOB), host="203.0.113.7")
    assert bench.body(asked(query())) == OK % (1, 0, 1) + b"5:peers6:\xcb\x00\x71\x07\x1a\xe1e"


def test_b5_every_key_that_we_send_in_order(bench: Bench) -> None:
    bench.body(asked(query(event="started")), host="2600::5")
    bench.later(100)
    early = bench.body(asked(query()), host="2600::5")
    assert early == (
        OK % (0, 0, 1) + b"5:peers0:6:peers60:15:warning message49:Announced before min interval: no peers this timee"
    )
    again = bench.body(asked(query(event="started")), host="2600::5")
    assert again == (
        b"d8:completei0e10:downloadedi0e11:external ip16:" + packed("2600::5")
        + b"10:incompletei1e8:intervali1800e12:min intervali900e5:peers0:6:peers60:e"
    )  # fmt: skip


def test_b6_to_b8_failures(bench: Bench) -> None:
    unknown = f"/announce/{'a' * 32}?{query()}"
    assert bench.body(unknown) == failure("Passkey not found")
    assert len(failure("Passkey not found")) == 76
    bench.tracker.access.apply(some(torrents=[deleted("")]))
    never = failure("Unregistered torrent", retry_in=b"8:retry in5:never")
    assert bench.body(asked(query())) == never
    assert len(never) == 96
    assert bench.body(asked(query(info_hash="%09" * 20))) == failure("Unregistered torrent", retry_in=b"8:retry ini90e")


@pytest.mark.parametrize(
    ("state", "reason", "reply"),
    [
        ("pending", "", failure("Torrent is pending moderation", 300, b"8:retry ini5e")),
        ("rejected", "", failure("Torrent was rejected", 5400, b"8:retry in5:never")),
        ("rejected", "Bad tags", failure("Torrent was rejected: Bad tags", 5400, b"8:retry in5:never")),
        ("deleted", "Trump", failure("Unregistered torrent: Trump", 5400, b"8:retry in5:never")),
        ("deleted", "x" * 99, failure("Unregistered torrent: " + "x" * 42, 5400, b"8:retry in5:never")),
    ],
)
def test_states_of_torrents(bench: Bench, state: str, reason: str, reply: bytes) -> None:
    bench.body(asked(query()))
    row = deleted(reason) if state == "deleted" else torrent_row(FILM, state, reason)
    bench.tracker.access.apply(some(torrents=[row]))
    for form in ("announce", "scrape"):
        got = bench.body(f"/{form}/{key(ANN)}?{query()}")
        assert got == (reply if form == "announce" else b"d5:filesde5:flagsd20:min_request_intervali900eee")
    assert len(bench.announces) == 1
    bench.tracker.access.apply(some(torrents=[torrent_row(FILM)]))
    assert bench.body(asked(query(event="started"))).startswith(b"d8:complete"), "restored"


def test_a_deletion_is_explained_for_a_day(bench: Bench) -> None:
    bench.tracker.access.apply(some(torrents=[deleted("Dupe")]))
    for seconds, reply in (
        (86_400, failure("Unregistered torrent: Dupe", retry_in=b"8:retry in5:never")),
        (1, failure("Unregistered torrent", retry_in=b"8:retry ini90e")),
    ):
        bench.later(seconds)
        assert bench.body(asked(query())) == reply


def test_rights_of_users(bench: Bench) -> None:
    bench.tracker.access.apply(some([user_row(ANN, can_leech=False), user_row(BOB, enabled=False)]))
    assert bench.body(asked(query())) == failure("Downloading is not allowed for this account")
    assert bench.body(asked(query(left="0"))) == SEEDER
    assert bench.body(asked(query(event="stopped"))) == GONE
    assert bench.body(asked(query(), BOB)) == failure("Account is disabled")
    assert [record.event for record in bench.announces] == [Event.REGULAR, Event.STOPPED]


def test_b9_and_b10_the_long_form(bench: Bench) -> None:
    bench.body(asked(query(left="0", peer_id="-XX0001-abcdefghijkl"), BOB), host="203.0.113.7")
    head = OK % (1, 0, 1)
    assert bench.body(asked(query(compact="0"))) == (
        head + b"5:peersld2:ip11:203.0.113.77:peer id20:-XX0001-abcdefghijkl4:porti6881eeee"
    )
    assert bench.body(asked(query(compact="0", no_peer_id="1", event="started", left="5"), EVE)) == (
        b"d8:completei1e10:downloadedi0e11:external ip4:\x08\x08\x08\x0810:incompletei2e8:intervali1800e"
        b"12:min intervali900e5:peersld2:ip11:203.0.113.74:porti6881eed2:ip7:8.8.8.84:porti6881eeee"
    )


def test_the_long_form_over_ipv6(bench: Bench) -> None:
    host = "6969:6969:6969:6969:6969:6969:6969:6969"
    bench.body(asked(query(left="0", port="28784", peer_id="-qB00000000000000002"), BOB), host=host)
    assert bench.body(asked(query(compact="0")), host="2600::1") == (
        OK % (1, 0, 1) + b"5:peersld2:ip39:" + host.encode() + b"7:peer id20:-qB000000000000000024:porti28784eeee"
    )
