"""What each datagram is answered, row by row of reliability.md 3B, with a clock that the test moves."""

from __future__ import annotations

import socket
from random import Random
from types import SimpleNamespace

import pytest

from domain.announces import Event, unpack
from tests.tracker_edge import edges
from tests.tracker_edge.bench import Rows
from tests.tracker_edge.datagrams import announce, connect, options, scrape
from tests.tracker_edge.edges import ANN, BOB, BOOK, EVE, FILM, HASH, HYBRID, SECRET, V2, key, some
from tracker_edge.announce import Tracker
from tracker_edge.connection_ids import ConnectionIds
from tracker_edge.metrics import DatagramTally
from tracker_edge.swarms import Swarms
from tracker_edge.udp import Desk, Listener

FOUR, OTHER, SIX = b"\x08\x08\x08\x08", b"\x08\x08\x04\x04", b"\x26" + bytes(15)
STALE = b"\0\0\0\x03Uwx\x88Connection ID expired"


class Bench:
    """A desk over an access snapshot, with its clocks in hand."""

    def __init__(self) -> None:
        self.swarms = Swarms(Random(1))
        self.tracker = Tracker(edges.access(), self.swarms)
        self.clock = SimpleNamespace(now_s=1000, now_us=lambda: 5)
        self.unix_s = 1_800_000_000.0
        self.tally = DatagramTally("ipv4")
        self.desk = Desk(
            self.tracker, ConnectionIds(SECRET), self.clock, self.tally, unix_s=lambda: self.unix_s, max_told=10
        )
        self.rows: list[bytes] = []

    def ask(self, datagram: bytes, address: bytes = FOUR) -> bytes | None:
        row, reply = self.desk.answer(datagram, address)
        self.rows += [row] if row else []
        return reply

    def connect(self, address: bytes = FOUR) -> bytes:
        reply = self.ask(connect(), address)
        assert reply is not None
        return reply[8:]

    def later(self, seconds: float) -> None:
        self.unix_s += seconds
        self.clock.now_s += int(seconds)


@pytest.fixture
def desk() -> Bench:
    return Bench()


def test_an_announce_is_decided_as_over_http(desk: Bench) -> None:
    own = desk.connect()
    assert desk.ask(announce(own, 1, ANN, left=0, event=2)) == bytes.fromhex(
        "00000001 55777888 00000708 00000000 00000001".replace(" ", "")
    )
    reply = desk.ask(announce(desk.connect(OTHER), 2, BOB, downloaded=5, left=7, uploaded=6), OTHER)
    assert reply == bytes.fromhex("0000000155777888000007080000000100000001") + FOUR + (7001).to_bytes(2, "big")
    [first, second] = unpack(b"".join(desk.rows))
    assert (first.user_id, first.torrent_id, first.event, first.left) == (ANN.bytes, FILM.bytes, Event.STARTED, 0)
    assert (second.user_id, second.downloaded, second.left, second.uploaded) == (BOB.bytes, 5, 7, 6)
    assert (second.address, second.port, second.key) == (OTHER, 7002, 0xDEADBEEF)


@pytest.mark.parametrize("size", range(16))
def test_short_datagrams_are_left_alone(desk: Bench, size: int) -> None:
    assert desk.ask(connect()[:size]) is None
    assert desk.ask(bytes(size)) is None


def test_only_the_magic_number_opens_a_connection(desk: Bench) -> None:
    magic = connect()
    for bit in range(96):
        changed = int.from_bytes(magic[:12], "big") ^ 1 << bit
        assert desk.ask(changed.to_bytes(12, "big") + magic[12:]) is None


def test_a_connect_is_answered_with_no_more_than_it_has(desk: Bench) -> None:
    for padding in (0, 1, 1384, 4000):
        assert len(desk.ask(connect() + bytes(padding)) or b"") == 16


@pytest.mark.parametrize("own", [bytes(8), b"\xff" * 8, bytes.fromhex("0000041727101980"), b"guessed!"])
def test_a_made_up_connection_id_is_left_alone(desk: Bench, own: bytes) -> None:
    assert desk.ask(announce(own)) is None
    assert desk.ask(scrape(own, HASH[FILM])) is None
    assert (desk.rows, len(desk.swarms), desk.tally.dropped["connection_id"]) == ([], 0, 2)


def test_an_id_of_another_address_is_left_alone(desk: Bench) -> None:
    assert desk.ask(announce(desk.connect()), OTHER) is None
    assert desk.ask(announce(desk.connect()), SIX) is None
    assert desk.rows == []


def test_an_id_outlives_its_desk(desk: Bench) -> None:
    before = Bench().connect()
    assert (desk.ask(announce(before)) or b"")[:4] == b"\0\0\0\x01"


@pytest.mark.parametrize(("age_s", "accepted"), [(0, True), (59, True), (119, True), (121, False), (-3000, False)])
def test_the_age_of_an_id(desk: Bench, age_s: int, accepted: bool) -> None:
    own = desk.connect()
    desk.later(age_s)
    reply = desk.ask(announce(own))
    assert (reply == STALE) is not accepted
    assert len(desk.rows) == accepted


def test_each_address_is_told_once_a_second_that_its_id_is_stale(desk: Bench) -> None:
    own, other = desk.connect(), desk.connect(OTHER)
    desk.later(300)
    assert [desk.ask(announce(own)) for _ in range(3)] == [STALE, None, None]
    assert desk.ask(announce(other), OTHER) == STALE
    desk.later(1)
    assert desk.ask(announce(own)) == STALE
    assert desk.rows == []
    assert desk.tally.refused["stale_connection_id"] == 3
    desk.later(1)
    assert desk.ask(scrape(own, HASH[FILM])) == b"\0\0\0\x03\x99\xaa\xbb\xccConnection ID expired"
    desk.later(1)
    assert desk.ask(scrape(own)) is None, "16 bytes are answered by no more"
    desk.later(86400)
    assert desk.ask(announce(own)) is None, "who had the address yesterday proves nothing"


def test_the_addresses_that_were_told_are_bounded(desk: Bench) -> None:
    asked = [
        (announce(desk.connect(address)), address) for address in (b"\x08\x08\x01" + bytes((n,)) for n in range(50))
    ]
    desk.later(200)
    assert sum(desk.ask(*each) is not None for each in asked) == 10


@pytest.mark.parametrize("action", [3, 4, 5, 0x01000000, 2**32 - 1])
def test_errors_answers_and_unknown_actions_are_left_alone(desk: Bench, action: int) -> None:
    own = desk.connect()
    assert desk.ask(own + action.to_bytes(4, "big") + announce(own)[12:]) is None
    assert desk.ask(action.to_bytes(4, "big") + b"Uwx\x88" + b"text of an error packet" * 5) is None


def test_our_own_replies_are_left_alone(desk: Bench) -> None:
    own = desk.connect()
    replies = [desk.ask(connect()), desk.ask(announce(own)), desk.ask(scrape(own, HASH[FILM])), desk.ask(scrape(own))]
    assert [reply[3] for reply in replies if reply] == [0, 1, 2, 3]
    for reply in replies:
        assert reply is not None
        assert desk.ask(reply) is None
        assert desk.ask(reply + bytes(200)) is None


@pytest.mark.parametrize(("size", "answered"), [(97, False), (140, True), (1500, True), (4096, True)])
def test_announces_may_be_longer_but_not_shorter(desk: Bench, size: int, answered: bool) -> None:
    datagram = announce(desk.connect())
    assert (desk.ask((datagram + bytes(4096))[:size]) is not None) is answered


def test_without_a_key_the_client_is_told_to_use_http(desk: Bench) -> None:
    own = desk.connect()
    for tail in (b"", b"\0", b"\x01" * 255, options(b""), options(b"/announce"), options(b"/../"), options(b"/\0\xff")):
        reply = desk.ask(announce(own, tail=tail))
        assert reply == b"\0\0\0\x03Uwx\x88passkey required: use the HTTP announce URL"
        assert len(reply) <= 98
    assert desk.ask(announce(own, tail=b"\x02\x2a/announce")) == b"\0\0\0\x03Uwx\x88Malformed option"
    assert (desk.rows, len(desk.swarms)) == ([], 0)


@pytest.mark.parametrize("odd", ["a" * 31, "a" * 33, "A" * 32, "%2e", "a" * 240])
def test_odd_keys_get_the_text_of_unknown_ones(desk: Bench, odd: str) -> None:
    assert desk.ask(announce(desk.connect(), tail=options(f"/announce/{odd}".encode()))) == (
        b"\0\0\0\x03Uwx\x88Passkey not found"
    )


def test_a_key_opens_its_torrent_only(desk: Bench) -> None:
    own = desk.connect()
    assert b"Passkey not found" in (desk.ask(announce(own, torrent_id=BOOK, tail=options(b"/announce/" + key(ANN, FILM).encode()))) or b"")  # fmt: skip  # noqa: E501
    assert (desk.ask(announce(own, torrent_id=BOOK, tail=options(b"/announce/" + key(ANN).encode()))) or b"")[3] == 1


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"users": [edges.user(ANN, enabled=False)]}, "Account is disabled"),
        ({"users": [edges.user(ANN, can_leech=False)]}, "Downloading is not allowed for this account"),
        ({"users": [edges.user(ANN, passkey_no=2)]}, "Passkey not found"),
        ({"torrents": [edges.torrent(FILM, "pending")]}, "Torrent is pending moderation"),
        ({"torrents": [edges.torrent(FILM, "deleted", "dupe")]}, "Unregistered torrent: dupe"),
        ({"torrents": [edges.torrent(FILM, "rejected", "ä" * 90)]}, "Torrent was rejected: " + "ä" * 21),
    ],
)
def test_refusals_say_why(desk: Bench, changed: dict[str, list[object]], text: str) -> None:
    desk.tracker.access.apply(some(**changed))  # type: ignore[arg-type]
    reply = desk.ask(announce(desk.connect()))
    assert reply == b"\0\0\0\x03Uwx\x88" + text.encode()
    assert (desk.rows, len(desk.swarms)) == ([], 0)


def test_an_unknown_torrent_is_named_so(desk: Bench) -> None:
    reply = desk.ask(announce(desk.connect(), info_hash=b"?" * 20, tail=options(b"/announce/" + key(ANN).encode())))
    assert reply == b"\0\0\0\x03Uwx\x88Unregistered torrent"


@pytest.mark.parametrize(
    "fields",
    [
        {"event": 5},
        {"event": 2**32 - 1},
        {"left": 2**63},
        {"uploaded": 2**64 - 1},
        {"downloaded": 2**63},
        {"port": 80},
    ],  # fmt: skip
)
def test_impossible_fields_are_refused_and_change_nothing(desk: Bench, fields: dict[str, int]) -> None:
    reply = desk.ask(announce(desk.connect(), **fields))  # type: ignore[arg-type]
    assert reply is not None
    assert reply[:8] == b"\0\0\0\x03Uwx\x88"
    assert reply[8:16] == b"Invalid "
    assert (desk.rows, len(desk.swarms)) == ([], 0)


def test_the_ip_field_is_ignored(desk: Bench) -> None:
    desk.ask(announce(desk.connect(), ip=0x01020304))
    assert next(unpack(desk.rows[0])).address == FOUR


def test_numwant_bounds_the_list(desk: Bench) -> None:
    for number in range(120):
        source = b"\x08\x09\x01" + bytes((number,))
        desk.ask(announce(desk.connect(source), number + 1, BOB, left=0), source)
    for address, stride in ((FOUR, 6), (SIX, 18)):
        for numwant, peers in ((-1, 50), (0, 0), (3, 3), (2**31 - 1, 50), (-(2**31), 50)):
            asking = announce(desk.connect(address), 500 + numwant % 97, ANN, numwant=numwant, event=2)
            reply = desk.ask(asking, address)
            assert reply is not None
            assert len(reply) - 20 == (peers * stride if address == FOUR else 0)


def test_a_reply_lists_the_family_of_its_datagram(desk: Bench) -> None:
    for number, address in enumerate((FOUR, SIX, OTHER), 1):
        desk.ask(announce(desk.connect(address), number, BOB, left=0), address)
    desk.ask(announce(desk.connect(SIX), 9, ANN), SIX)
    four = desk.ask(announce(desk.connect(OTHER), 9, ANN, event=2), OTHER)
    six = desk.ask(announce(desk.connect(SIX), 9, ANN, event=2), SIX)
    assert four is not None
    assert six is not None
    assert len(four) == 20 + 2 * 6
    assert six == bytes.fromhex("0000000155777888000007080000000100000003") + SIX + (7002).to_bytes(2, "big")
    assert desk.swarms.counts(FILM.bytes).incomplete == 1, "one peer with two addresses"


def test_a_hybrid_torrent_is_one_swarm_by_both_hashes(desk: Bench) -> None:
    own = desk.connect()
    desk.ask(announce(own, 1, ANN, HYBRID, left=0))
    reply = desk.ask(announce(own, 2, BOB, HYBRID, info_hash=V2[:20]))
    assert reply is not None
    assert reply[20:] == FOUR + (7001).to_bytes(2, "big")
    assert desk.ask(scrape(own, HASH[HYBRID], V2[:20])) == (
        b"\0\0\0\x02\x99\xaa\xbb\xcc" + 2 * bytes.fromhex("000000010000000000000001")
    )


def test_scrape_needs_no_key_and_keeps_the_order(desk: Bench) -> None:
    own = desk.connect()
    desk.ask(announce(own, 1, ANN, left=0))
    desk.ask(announce(own, 2, BOB, BOOK))
    desk.ask(announce(own, 3, EVE, BOOK, event=4))
    desk.tracker.access.apply(some(torrents=[edges.torrent(HYBRID, "pending")]))
    rows = {HASH[FILM]: "000000010000000000000000", HASH[BOOK]: "000000000000000000000002"}
    asked = [HASH[BOOK], b"?" * 20, HASH[FILM], HASH[HYBRID], HASH[BOOK]]
    assert desk.ask(scrape(own, *asked)) == b"\0\0\0\x02\x99\xaa\xbb\xcc" + b"".join(
        bytes.fromhex(rows.get(each, "00" * 12)) for each in asked
    )
    for count in (74, 75, 100):
        assert len(desk.ask(scrape(own, *[HASH[FILM]] * count)) or b"") == 8 + 12 * 74
    assert desk.ask(scrape(own)) == b"\0\0\0\x03\x99\xaa\xbb\xccA full scrape is not offered"


@pytest.mark.parametrize("tail", range(1, 20))
def test_a_scrape_with_an_odd_tail_is_left_alone(desk: Bench, tail: int) -> None:
    own = desk.connect()
    assert desk.ask(scrape(own, HASH[FILM], bytes(tail))) is None
    assert desk.ask(scrape(own, bytes(tail))) is None


@pytest.mark.parametrize("transaction", [bytes(4), b"\xff" * 4, b"\0\0\0\x03"])
def test_the_transaction_is_echoed(desk: Bench, transaction: bytes) -> None:
    own = desk.connect()
    for datagram in (
        connect(transaction),
        announce(own, transaction=transaction),
        scrape(own, transaction=transaction),
    ):
        assert (desk.ask(datagram) or b"")[4:8] == transaction


def test_two_requests_in_one_datagram_are_one(desk: Bench) -> None:
    own = desk.connect()
    assert len(desk.ask(connect() + announce(own)) or b"") == 16
    assert desk.rows == []


@pytest.mark.parametrize(
    ("address", "port", "nobody"),
    [
        ("8.8.8.8", 6881, False),
        ("8.8.8.8", 53, False),
        ("8.8.8.8", 0, True),
        ("0.0.0.0", 6881, True),
        ("224.0.0.1", 6881, True),
        ("255.255.255.255", 6881, True),
        ("127.0.0.1", 1, False),
        ("127.0.0.1", -1, True),
    ],
)
def test_whom_no_answer_must_reach(address: str, port: int, nobody: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("0.0.0.0", 0))
        listener = Listener(bound, Bench().desk, Rows())
        source = address, listener.port if port < 0 else port
        assert listener._is_no_client(socket.inet_aton(address), source) is nobody


@pytest.mark.parametrize(("address", "nobody"), [("::1", False), ("::", True), ("ff02::1", True), ("2600::1", False)])
def test_whom_no_answer_must_reach_over_ipv6(address: str, nobody: bool) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as bound:
        listener = Listener(bound, Bench().desk, Rows())
        assert listener._is_no_client(socket.inet_pton(socket.AF_INET6, address), (address, 6881, 0, 0)) is nobody
