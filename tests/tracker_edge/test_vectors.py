"""Exact bytes for exact bytes through parser, rules and encoder: the tables of BEP 3, 7, 15, 21, 23, 24, 31, 48, 52.

Every row is one that some tracker in the field gets wrong; over sockets, `test_wire` and `test_udp_wire` repeat some.
"""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from domain.announces import Event
from tests.tracker_edge import strict
from tests.tracker_edge.bench import NOW_S, NOW_US, Bench, packed
from tests.tracker_edge.datagrams import announce as datagram
from tests.tracker_edge.datagrams import connect
from tests.tracker_edge.datagrams import scrape as scrape_datagram
from tests.tracker_edge.edges import ANN, BOB, BOOK, EVE, FILM, HASH, HYBRID, SECRET, V2, key, some, target
from tests.tracker_edge.edges import torrent as torrent_row
from tests.tracker_edge.edges import user as user_row
from tracker_edge.access import TorrentRow, changes
from tracker_edge.connection_ids import ConnectionIds
from tracker_edge.flood import Flood
from tracker_edge.metrics import DatagramTally
from tracker_edge.restore import apply as replay
from tracker_edge.swarms import Swarms
from tracker_edge.udp import Desk

Changed = dict[str, str | None]

ESCAPED = "%01" * 20
#: complete, downloaded, incomplete
OK = b"d8:completei%de10:downloadedi%de10:incompletei%de8:intervali1800e12:min intervali900e"
B1 = b"d8:completei0e10:downloadedi0e10:incompletei1e8:intervali1800e12:min intervali900e5:peers0:e"
SEEDER = b"d8:completei1e10:downloadedi0e10:incompletei0e8:intervali1800e12:min intervali900e5:peers0:e"
GONE = b"d8:completei0e10:downloadedi0e10:incompletei0e8:intervali1800e12:min intervali900e5:peers0:e"
HASH_TEXT = "Invalid info_hash: 20 bytes, percent-escaped"


def failure(text: str, interval: int = 5400, retry_in: bytes = b"") -> bytes:
    times = b"8:intervali%de12:min intervali%de" % (interval, interval)
    return b"d14:failure reason%d:%b%b%be" % (len(text), text.encode(), times, retry_in)


def query(**changed: str | None) -> str:
    """A leecher's announce; None leaves a parameter out."""
    parameters: Changed = {
        "info_hash": ESCAPED, "peer_id": "-qB5100-abcdefghijkl", "port": "6881", "uploaded": "0", "downloaded": "0",
        "left": "5", **changed,
    }  # fmt: skip
    return "&".join(f"{name}={value}" for name, value in parameters.items() if value is not None)


def asked(text: str, user_id: UUID = ANN) -> str:
    return f"/announce/{key(user_id)}?{text}"


@pytest.fixture
def bench() -> Bench:
    return Bench(allow_private=True)


def deleted(reason: str) -> TorrentRow:
    """FILM, deleted just now."""
    return torrent_row(FILM, "deleted", reason)._replace(deleted_at_us=NOW_US)


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


def filled(bench: Bench, count: int, *, left: str = "0", user_id: UUID = BOB, host: str = "8.8.4.4") -> None:
    for number in range(count):
        bench.body(asked(query(peer_id=f"{number:020}", port=str(7000 + number), left=left), user_id), host=host)


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


# edge.md 1.4: the thirteen replies, where the encoder alone is in test_bencode


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


def scrape(*raw: str, user_id: UUID = ANN, form: str = "/scrape/{key}?{query}") -> str:
    return form.format(key=key(user_id), query="&".join(f"info_hash={each}" for each in raw))


FLAGS = b"5:flagsd20:min_request_intervali900eee"


def test_b11_to_b13_scrapes(bench: Bench) -> None:
    bench.body(asked(query(left="0"), BOB))
    bench.body(asked(query(event="paused"), EVE))
    bench.body(asked(query()))
    row = b"d8:completei1e10:downloadedi0e11:downloadersi1e10:incompletei2ee"
    one = b"d5:filesd20:" + b"\x01" * 20 + row + b"e" + FLAGS
    assert bench.body(scrape(ESCAPED)) == one
    assert bench.body(scrape(ESCAPED, ESCAPED)) == one, "asked for twice, told once"
    assert bench.body(scrape("%09" * 20, ESCAPED, "%08" * 20)) == one, "unknown ones are left out"
    assert bench.body(scrape("%09" * 20)) == b"d5:filesde" + FLAGS
    for form in ("/{key}/scrape?{query}", "/tracker/scrape?passkey={key}&{query}", "/scrape?{query}&passkey={key}"):
        assert bench.body(scrape(ESCAPED, form=form)) == one


@pytest.mark.parametrize("path", ["/announce/{}", "/{}/announce", "/tracker/announce", "/announce"])
def test_every_announce_path_has_its_scrape(bench: Bench, path: str) -> None:
    """BEP 48: the client replaces `announce` in the last component, libtorrent and Transmission the substring."""
    own = key(ANN)
    tail = f"?info_hash={ESCAPED}" + ("" if "{}" in path else f"&passkey={own}")
    assert bench.body(path.format(own).replace("announce", "scrape") + tail).startswith(b"d5:filesd20:\x01")


def test_the_keys_of_a_scrape_are_sorted_as_bytes(bench: Bench) -> None:
    hashes = [bytes((first,)) + b"x" * 19 for first in (0xFF, 0x00, 0x3A, 0x80, 0x7F, 0x31)]
    rows = [TorrentRow(UUID(int=100 + n), h, None, "approved", "", 1, 1) for n, h in enumerate(hashes)]
    bench.tracker.access.apply(changes(SECRET, [], rows, (1, 1), False))
    body = bench.body(scrape(*("".join(f"%{byte:02x}" for byte in h) for h in hashes)))
    found = strict.bencoded(body)
    assert isinstance(found, dict)
    assert isinstance(found[b"files"], dict)
    assert list(found[b"files"]) == sorted(hashes)


@pytest.mark.parametrize(
    ("tail", "text"),
    [
        ("", "Missing info_hash: a full scrape is not offered"),
        ("?", "Missing info_hash: a full scrape is not offered"),
        ("?info_hash=", HASH_TEXT),
        (f"?info_hash={ESCAPED}&info_hash=%01", HASH_TEXT),
        ("?" + "&".join(f"info_hash=%{n:02x}" + "a" * 19 for n in range(61)), "GET string too long: at most 60 hashes"),
    ],
)
def test_refused_scrapes(bench: Bench, tail: str, text: str) -> None:
    assert bench.body(f"/scrape/{key(ANN)}{tail}") == failure(text)


def test_a_scrape_needs_a_key_and_an_account(bench: Bench) -> None:
    for odd in ("", "a" * 32, key(ANN)[:31], key(ANN).upper(), "%00"):
        assert bench.body(f"/scrape/{odd}?info_hash={ESCAPED}") == failure("Passkey not found")
    of_another = key(ANN, BOOK)
    assert bench.body(f"/scrape/{of_another}?info_hash={ESCAPED}") == failure("Passkey not found")
    bench.tracker.access.apply(some([user_row(ANN, enabled=False)]))
    assert bench.body(scrape(ESCAPED)) == failure("Account is disabled")


def test_hidden_torrents_are_not_in_a_scrape(bench: Bench) -> None:
    bench.tracker.access.apply(some(torrents=[torrent_row(FILM, "pending"), torrent_row(HYBRID, "deleted")]))
    known = b"d8:completei0e10:downloadedi0e11:downloadersi0e10:incompletei0ee"
    body = bench.body(scrape(ESCAPED, "%02" * 20, "%03" * 20))
    assert body == b"d5:filesd20:" + b"\x02" * 20 + known + b"e" + FLAGS


def test_counters_of_a_scrape_are_never_below_zero(bench: Bench) -> None:
    for event in ("started", "stopped", "stopped", "completed", "stopped"):
        bench.body(asked(query(left="0", event=event)))
    bench.body(asked(query(), BOB))
    bench.later(7300)
    assert len(bench.swarms.expire(bench.clock.s - 7200, 100)) == 1
    assert b"completei0e10:downloadedi1e11:downloadersi0e10:incompletei0e" in bench.body(scrape(ESCAPED))


# edge.md 4.2: sequences of a swarm


def counts(body: bytes) -> tuple[int, int]:
    found: Any = strict.bencoded(body)
    return found[b"complete"], found[b"incomplete"]


def test_the_sequence_of_webtorrents_tests(bench: Bench) -> None:
    steps = [
        (1, "started", "9", (0, 1)), (1, "completed", "0", (1, 0)), (2, "started", "9", (1, 1)),
        (3, "started", "9", (1, 2)), (2, "stopped", "9", (1, 1)), (3, "stopped", "9", (1, 0)),
    ]  # fmt: skip
    for number, event, left, expected in steps:
        assert counts(bench.body(target(number, (ANN, BOB, EVE)[number - 1], event=event, left=left))) == expected
    assert bench.body(scrape(ESCAPED)).count(b"10:downloadedi1e") == 1


def test_the_second_of_two_is_told_of_the_first(bench: Bench) -> None:
    bench.body(asked(query(port="10001")))
    assert bench.body(asked(query(port="10002"), BOB)).endswith(b"5:peers6:\x08\x08\x08\x08\x27\x11e")


def test_one_peer_id_from_another_address_is_the_same_peer(bench: Bench) -> None:
    bench.body(asked(query()), host="8.8.4.4")
    assert counts(bench.body(asked(query(event="started")), host="8.8.8.8")) == (0, 1)
    assert bench.body(asked(query(), BOB)).endswith(b"5:peers6:\x08\x08\x08\x08\x1a\xe1e")


def test_one_peer_id_of_two_users_is_two_peers(bench: Bench) -> None:
    bench.body(asked(query()), host="8.8.4.4")
    assert bench.body(asked(query(), BOB)) == OK % (0, 0, 2) + b"5:peers6:\x08\x08\x04\x04\x1a\xe1e"


def test_a_hybrid_is_one_torrent_and_both_families_one_peer(bench: Bench) -> None:
    for info_hash in (HASH[HYBRID], V2[:20]):
        for host in ("8.8.8.8", "2600::1"):
            assert counts(bench.body(target(1, ANN, HYBRID, info_hash=info_hash, key="1F"), host=host)) == (0, 1)
    body = bench.body(target(2, BOB, HYBRID, info_hash=V2[:20]), host="2600::2")
    assert body.endswith(b"5:peers6:\x08\x08\x08\x08\x1bY6:peers618:" + packed("2600::1") + b"\x1bYe")
    assert {record.torrent_id for record in bench.announces} == {HYBRID.bytes}


def test_a_completed_is_counted_once_and_only_with_nothing_left(bench: Bench) -> None:
    for event, left in (("started", "5"), ("completed", "5"), ("completed", "0"), ("completed", "0"), ("", "0")):
        bench.body(asked(query(event=event, left=left)))
    assert b"10:downloadedi1e" in bench.body(scrape(ESCAPED))


def test_an_early_announce_is_journaled_and_warned(bench: Bench) -> None:
    bench.body(asked(query(left="0"), BOB))
    bench.body(asked(query()))
    assert bench.body(asked(query(uploaded="5"))) == (
        OK % (1, 0, 1) + b"5:peers0:15:warning message49:Announced before min interval: no peers this timee"
    )
    assert [record.uploaded for record in bench.announces] == [0, 0, 5]


NO_PEERS = OK + b"5:peers0:15:warning message%d:%be"


def limited(complete: int, incomplete: int, warning: bytes) -> bytes:
    return NO_PEERS % (complete, 0, incomplete, len(warning), warning)


def test_over_a_limit_everything_is_journaled_and_nobody_told() -> None:
    bench = Bench(limited=True)
    bench.tracker.access.apply(some([user_row(ANN)._replace(download_slots=1)]))
    bench.body(target(1, BOB, left="0"))
    bench.body(target(1, BOB, BOOK, left="0"))
    assert counts(bench.body(target(2, ANN))) == (1, 1)
    assert bench.body(target(2, ANN, BOOK)) == limited(1, 1, b"Download slot limit reached: no peers for this torrent")
    assert bench.body(target(2, ANN, BOOK, left="0", event="completed")) == OK % (2, 1, 0) + b"5:peers0:e"
    for number in (3, 4):
        assert counts(bench.body(target(number, ANN, left="0"))) == (number - 1, 1)
    too_many = b"Too many clients of yours on this torrent: no peers here"
    assert bench.body(target(5, ANN, left="0")) == limited(4, 1, too_many)
    assert len(bench.announces) == 8


def test_who_announces_too_often_is_journaled_and_told_of_nobody() -> None:
    bench = Bench(flood=Flood(3, 5))
    bench.body(target(1, BOB, left="0"), host="8.8.4.4")
    for number in (2, 3, 4):
        assert counts(bench.body(target(number, ANN, event="started"))) == (1, number - 1)
    by_key = b"Too many announces with your key: no peers for this one"
    assert bench.body(target(5, ANN)) == limited(1, 4, by_key)
    bench.body(target(6, EVE))
    by_address = b"Too many announces from your address: no peers for this one"
    assert bench.body(target(7, EVE)) == limited(1, 6, by_address)
    bench.later(60)
    assert counts(bench.body(target(8, ANN))) == (1, 7)
    assert len(bench.announces) == 8


@pytest.mark.parametrize("port", [1214, 3389, 4662, 6346, 6347, 6699, 8080, 8081])
def test_ports_of_other_programs_are_refused_and_stops_taken(bench: Bench, port: int) -> None:
    assert bench.body(asked(query(port=str(port)))) == failure(f"Port {port} is not allowed")
    assert bench.body(asked(query(port=str(port), event="stopped"))) == GONE


def test_one_address_is_told_once_whoever_was_there_before() -> None:
    """edge.md 4.3: a client that came back with a new peer_id leaves a ghost at its address until that expires."""
    bench = Bench()
    for number in (1, 2, 3):
        bench.body(asked(query(peer_id=f"{number:020}", left="0"), BOB), host="8.8.4.4")
    peers: Any = strict.bencoded(bench.body(asked(query())))
    assert peers[b"peers"] == b"\x08\x08\x04\x04\x1a\xe1"


# reliability.md 3A over HTTP: what surrounds the query


@pytest.mark.parametrize("fields", [
    "Accept-Encoding: gzip, deflate, br\r\n", "Range: bytes=0-9\r\n", "Expect: 100-continue\r\n",
    "If-Modified-Since: Sat, 01 Jan 2028 00:00:00 GMT\r\n", "If-None-Match: *\r\n", "User-Agent: qBittorrent/5.1\r\n",
    "Host: tracker.example:80\r\n", "Host:\r\n", "X-Forwarded-For: 1.2.3.4\r\n", "X-Real-IP: 1.2.3.4\r\n",
    "Forwarded: for=1.2.3.4\r\n", "Connection: keep-alive\r\n", "Accept: */*\r\n",
    "Want-Digest: SHA-512;q=1\r\n", "",
])  # fmt: skip
def test_header_fields_change_no_byte_of_the_answer(bench: Bench, fields: str) -> None:
    raw = f"GET {asked(query())} HTTP/1.1\r\n{fields}\r\n".encode()
    assert bench.exchange(raw) == b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 92\r\n\r\n" + B1
    assert bench.announces[0].address == b"\x08" * 4


@pytest.mark.parametrize("fields", [
    "Accept-Language: en\r\n", "Referer: http://x/\r\n", "Cookie: a=b\r\n", "Accept-Charset: utf-8\r\n",
    "User-Agent: Mozilla/5.0\r\n", "user-agent: SAFARI\r\n",
    f"User-Agent: {'x' * 65}\r\n",
])  # fmt: skip
def test_browsers_are_told_that_they_are_none(bench: Bench, fields: str) -> None:
    assert bench.body(asked(query()), fields) == failure("Not a BitTorrent client")
    assert bench.journal.rows == []


@pytest.mark.parametrize(
    ("raw", "count"),
    [
        (b"GET {} HTTP/1.0\r\n\r\n", 1),
        (b"GET {} HTTP/1.1\r\n\r\n", 1),
        (b"GET http://other.example:8080{} HTTP/1.1\r\nHost: x\r\n\r\n", 1),
        (b"GET {}#fragment HTTP/1.1\r\n\r\n", 1),
        (b"GET {} HTTP/1.1\r\n\r\nGET {} HTTP/1.1\r\n\r\n", 2),
        (b"GET {} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET {} HTTP/1.1\r\n\r\n", 2),
        (b"GET {} HTTP/1.1\r\nContent-Length: 4\r\n\r\nbodyGET {} HTTP/1.1\r\n\r\n", 2),
        (b"GET {} HTTP/1.1\r\nConnection: close\r\n\r\nGET {} HTTP/1.1\r\n\r\n", 1),
    ],
)
def test_forms_of_a_request(bench: Bench, raw: bytes, count: int) -> None:
    data = raw.replace(b"{}", asked(query(event="started", left="0")).encode())
    for cut in (0, 1, len(data) // 2, len(data) - 1):
        bench.journal.rows.clear()
        found = strict.responses(bench.exchange(data[:cut], data[cut:]))
        assert [(each.status, each.body[:12]) for each in found] == [(200, b"d8:completei")] * count
        assert len(bench.journal.rows) == count


def test_what_follows_an_unknown_torrent_is_answered_after_it(bench: Bench) -> None:
    """In one piece and in several, and when the client has said its last meanwhile."""
    known = f"GET {asked(query(event='stopped'))} HTTP/1.1\r\n\r\n".encode()
    unknown = f"GET {asked(query(info_hash='%09' * 20))} HTTP/1.1\r\n\r\n".encode()
    reason = failure("Unregistered torrent", retry_in=b"8:retry ini90e")
    stream = known + unknown + known + unknown + known
    for cut in range(0, len(stream), 7):
        connection, wire = bench.connect()
        connection.data_received(stream[:cut])
        connection.data_received(stream[cut:])
        assert connection.eof_received(), "there is more to be told"
        bench.timers.elapse()
        assert [each.body for each in strict.responses(bytes(wire.received))] == [GONE, reason, GONE, reason, GONE]
        assert wire.ended


def test_no_more_is_read_while_an_unknown_torrent_is_waited_for(bench: Bench) -> None:
    """Each takes its moment: a client that sends thousands of them must not have them all kept."""
    connection, wire = bench.connect()
    for _ in range(3):
        connection.data_received(f"GET {asked(query(info_hash='%09' * 20))} HTTP/1.1\r\n\r\n".encode())
    assert wire.paused
    bench.timers.elapse()
    assert not wire.paused
    assert len(strict.responses(bytes(wire.received))) == 3


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD", "OPTIONS", "TRACE", "DELETE", "PATCH", "get", "announce"])
def test_only_get_announces(bench: Bench, method: str) -> None:
    answer = bench.exchange(f"{method} {asked(query())} HTTP/1.1\r\n\r\n".encode())
    body = b"" if method == "HEAD" else b"Only GET"
    head = b"HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain\r\nContent-Length: 8\r\nAllow: GET\r\n\r\n"
    assert answer == head + body
    assert (bench.journal.rows, len(bench.swarms)) == ([], 0)


@pytest.mark.parametrize("host", [
    "127.0.0.1", "10.1.2.3", "169.254.1.1", "0.0.0.0", "100.64.0.1", "192.168.0.1", "::", "::1", "fe80::1", "fc00::1",
    "2002:7f00:1::", "64:ff9b::7f00:1", "224.0.0.1", "ff02::1", "255.255.255.255",
])  # fmt: skip
def test_who_is_not_on_the_internet_is_told_to_nobody(host: str) -> None:
    bench = Bench()
    bench.body(asked(query(left="0"), BOB), host=host)
    body = bench.body(asked(query(compact="0", event="started")), host="2600::1")
    found: Any = strict.bencoded(body)
    assert (found[b"complete"], found[b"peers"]) == (1, [])
    assert len(bench.announces) == 2


def test_a_mapped_address_is_an_ipv4_peer(bench: Bench) -> None:
    bench.body(asked(query(left="0"), BOB), host="::ffff:8.8.4.4")
    assert bench.body(asked(query()), host="::ffff:8.8.8.8") == OK % (1, 0, 1) + b"5:peers6:\x08\x08\x04\x04\x1a\xe1e"


def test_a_repeated_announce_is_journaled_and_counted_once(bench: Bench) -> None:
    for _ in range(20):
        bench.body(asked(query(event="started")))
    assert counts(bench.body(asked(query(event="started")))) == (0, 1)
    bench.body(asked(query(event="stopped")))
    assert counts(bench.body(asked(query(event="stopped")))) == (0, 0)


# edge.md 1.6 through a desk with a valid connection id


class Udp:
    """A desk beside the connections of one edge."""

    def __init__(self) -> None:
        self.bench = Bench(allow_private=True)
        clock = SimpleNamespace(now_s=NOW_S, now_us=lambda: NOW_US)
        self.desk = Desk(
            self.bench.tracker, ConnectionIds(SECRET), clock, DatagramTally("ipv4"), unix_s=lambda: 1_800_000_000.0
        )

    def ask(self, host: str, request: Any, *arguments: Any, **fields: Any) -> str:
        address = packed(host)
        own = (self.desk.answer(connect(), address)[1] or b"")[8:]
        return (self.desk.answer(request(own, *arguments, **fields), address)[1] or b"").hex()


def test_golden_packets_through_the_rules() -> None:
    udp = Udp()
    alone = udp.ask("8.8.8.8", datagram, 1, ANN, event=2)
    assert alone == "0000000155777888000007080000000100000000"
    udp.ask("203.0.113.7", datagram, 2, BOB, left=0, port=6881)
    assert udp.ask("8.8.8.8", datagram, 1, ANN, event=2)[16:] == "000007080000000100000001cb0071071ae1"
    udp.ask("2001:db8::1", datagram, 3, BOB, left=0, port=51413)
    assert udp.ask("2001:db8::9", datagram, 4, EVE)[16:] == (
        "00000708000000020000000220010db8000000000000000000000001c8d5"
    )
    refused = udp.ask("8.8.8.8", datagram, 1, ANN, tail=b"\x02\x2a/announce/" + b"a" * 32)
    assert refused[16:] == b"Passkey not found".hex()
    assert refused[:8] == "00000003"


def test_the_golden_scrape_through_the_rules() -> None:
    """Seeders, completed, leechers: and zeros in the place of what is not known."""
    udp = Udp()
    for number, event, left in ((1, 2, 5), (1, 1, 0), (2, 2, 5), (2, 1, 0), (2, 3, 0), (3, 2, 5), (4, 2, 5), (5, 2, 5)):
        udp.ask("8.8.8.8", datagram, number, ANN, event=event, left=left)
    row = "000000010000000200000003"
    assert udp.ask("8.8.8.8", scrape_datagram, HASH[FILM]) == "0000000299aabbcc" + row
    unknown = b"?" * 20
    assert udp.ask("8.8.8.8", scrape_datagram, unknown, HASH[FILM], unknown, HASH[FILM])[16:] == (
        "00" * 12 + row + "00" * 12 + row
    )


def test_counts_are_the_same_over_both_protocols_and_families() -> None:
    udp = Udp()
    udp.ask("8.8.8.8", datagram, 1, ANN, left=0)
    udp.ask("2600::1", datagram, 1, ANN, left=0)
    udp.bench.body(target(2, BOB), host="2600::2")
    assert udp.ask("8.8.8.8", scrape_datagram, HASH[FILM])[16:] == "000000010000000000000001"
    assert udp.ask("2600::3", scrape_datagram, HASH[FILM])[16:] == "000000010000000000000001"
    assert b"completei1e10:downloadedi0e11:downloadersi1e10:incompletei1e" in udp.bench.body(scrape(ESCAPED))


# edge.md 4.3


def test_the_journal_alone_makes_the_same_swarms() -> None:
    """Whatever was announced: peers, addresses, roles and numbers are those of the edge that heard it."""
    bench, rng = Bench(), Random(5)
    for _ in range(600):
        bench.later(rng.choice((0, 1, 60)))
        torrent_id, number = rng.choice((FILM, BOOK)), rng.randrange(8)
        event, left = rng.choice(("", "", "started", "stopped", "paused")), str(rng.choice((0, 0, 9)))
        host = rng.choice(("8.8.8.8", "8.8.4.4", "2600::8", "10.0.0.1"))
        bench.body(target(number, rng.choice((ANN, BOB, EVE)), torrent_id, event=event, left=left), host=host)
    again = Swarms(Random(6))
    for record in bench.announces:
        replay(again, record, bench.clock.us, bench.clock.s, 1)
    assert sorted(again.sessions()) == sorted(bench.swarms.sessions())
    assert len(again) > 10
    for torrent_id in (FILM, BOOK):
        assert again.counts(torrent_id.bytes) == bench.swarms.counts(torrent_id.bytes)


# The judge itself


@pytest.mark.parametrize("sound", [
    b"d8:intervali1042e12:min intervali10e5:peers0:e", b"d5:peers0:15:warning message12:test messagee",
    b"d8:completei3e10:downloadedi2e10:incompletei0e8:intervali1803e12:min intervali1800e5:peers6:\x7f\0\0\1\xfc'e",
    b"d8:completei333e10:incompletei444e8:intervali111e12:min intervali222e5:peersld2:ip15:105.105.105.1057:peer id20:"
    b"-qB000000000000000014:porti28784eeee",
    b"d5:filesd20:iiiiiiiiiiiiiiiiiiiid8:completei1e10:downloadedi2e10:incompletei3eeee",
    b"d8:intervali1800e5:peers6:iiiipp6:peers618:iiiiiiiiiiiiiiiippe", b"d5:filesdee", b"i-5e", b"le", b"0:", B1,
])  # fmt: skip
def test_replies_that_are_sound(sound: bytes) -> None:
    strict.bencoded(sound)


@pytest.mark.parametrize("unsound", [
    b"d14:failure reason1:x12:min intervali5400e8:intervali5400ee",  # Ocelot
    b"d8:completei1e10:incompletei1e10:downloadedi1ee",  # Ocelot's scrape
    b"d1:ai1e1:ai1ee", b"i-0e", b"i03e", b"i+1e", b"i e", b"02:ab", b"2:a", b"d1:ae", b"di1ei1ee", b"l", b"d", b"",
    B1 + b"\r\n", b"i1", b"-1:a",
])  # fmt: skip
def test_replies_that_are_not(unsound: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        strict.bencoded(unsound)


@pytest.mark.parametrize("unsound", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length:  0\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"d5:filesdee",
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", b"HTTP/1.1 200 OK\r\nContent-Length: 00\r\n\r\n",
])  # fmt: skip
def test_responses_that_are_none(unsound: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        strict.responses(unsound)
