"""Decisions without sockets: order of checks, texts, what is journaled, what is told."""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from domain.announces import Announce, Event, unpack
from tests.tracker_edge.edges import ANN, BOB, BOOK, EVE, FILM, HASH, HYBRID, V2, access, key, peer, some, told
from tests.tracker_edge.edges import torrent as torrent_row
from tests.tracker_edge.edges import user as user_row
from tracker_edge.announce import REASON_SHOWN_US, WARNINGS, Tracker, expired_row
from tracker_edge.protocol.types import (
    AccountDisabled,
    LeechingForbidden,
    PasskeyNotFound,
    Peer,
    Query,
    Refused,
    Reply,
    TorrentDeleted,
    TorrentPending,
    TorrentRejected,
    UnregisteredTorrent,
)
from tracker_edge.swarms import Gone, Swarms

NOW_US = 1_800_000_000_000_000


class Answer(NamedTuple):
    reply: Reply
    row: bytes


class Clients:
    """Announces to one tracker, as users make them."""

    def __init__(self) -> None:
        self.tracker = Tracker(access(), Swarms(Random(1)), numwant_max=50)
        self.now_s = 5000

    def come(
        self, user_id: UUID, number: int, torrent_id: UUID = FILM, *, address: bytes | None = None,
        announce_key: str | None = None, **changed: Any,
    ) -> Answer:  # fmt: skip
        query = Query(HASH[torrent_id], peer(number), 7000 + number, 0, 0, 100, Event.REGULAR, -1, True, False, 77)
        for name, value in changed.items():
            setattr(query, name, value)
        given = (announce_key or key(user_id, torrent_id)).encode()
        here = address or bytes((8, 8, 8, number))
        return Answer(*self.tracker.announce(query, given, here, NOW_US, self.now_s))

    def refused(self, kind: type[Refused], user_id: UUID, **changed: Any) -> str:
        with pytest.raises(kind) as caught:
            self.come(user_id, 9, **changed)
        assert len(self.tracker.swarms) == 0
        return str(caught.value)


@pytest.fixture
def clients() -> Clients:
    return Clients()


def test_two_clients_find_each_other(clients: Clients) -> None:
    first = clients.come(ANN, 1, left=0, event=Event.STARTED)
    assert told(first.reply) == told(Reply(1, 0, 0, 1800, 900, b"", None, external_ip=bytes((8, 8, 8, 1))))
    second = clients.come(BOB, 2, event=Event.STARTED)
    assert second.reply.peers == bytes((8, 8, 8, 1)) + (7001).to_bytes(2, "big")


def test_what_is_journaled_is_the_announce(clients: Clients) -> None:
    answer = clients.come(ANN, 1, uploaded=5, downloaded=6, left=7, event=Event.STARTED)
    assert list(unpack(answer.row)) == [
        Announce(
            NOW_US, ANN.bytes, FILM.bytes, peer(1), Event.STARTED, 5, 6, 7, bytes((8, 8, 8, 1)), 7001, 77
        )
    ]  # fmt: skip


def test_an_expired_peer_is_journaled_too() -> None:
    gone = Gone(ANN.bytes, FILM.bytes, peer(1), bytes((8, 8, 8, 1)), 7001)
    [record] = unpack(expired_row(gone, NOW_US))
    assert (record.event, record.user_id, record.peer_id) == (Event.EXPIRED, ANN.bytes, peer(1))


def test_keys_are_checked_first(clients: Clients) -> None:
    clients.tracker.access.apply(some([user_row(ANN, enabled=False)], [torrent_row(FILM, "deleted")]))
    for wrong in (key(ANN, BOOK), "a" * 32, "short"):
        assert clients.refused(PasskeyNotFound, ANN, announce_key=wrong) == "Passkey not found"


def test_an_unknown_hash_is_unregistered(clients: Clients) -> None:
    assert clients.refused(UnregisteredTorrent, ANN, info_hash=b"?" * 20) == "Unregistered torrent"
    clients.refused(PasskeyNotFound, ANN, info_hash=b"?" * 20, announce_key="a" * 32)


@pytest.mark.parametrize(
    ("state", "reason", "kind", "text"),
    [
        ("pending", "", TorrentPending, "Torrent is pending moderation"),
        ("rejected", "Bad tags", TorrentRejected, "Torrent was rejected: Bad tags"),
        ("deleted", "Dupe", TorrentDeleted, "Unregistered torrent: Dupe"),
        ("deleted", "", TorrentDeleted, "Unregistered torrent"),
    ],
)
def test_closed_torrents_say_why(clients: Clients, state: str, reason: str, kind: type[Refused], text: str) -> None:
    clients.tracker.access.apply(some(torrents=[torrent_row(FILM, state, reason, deleted_at=NOW_US)]))
    assert clients.refused(kind, ANN) == text
    clients.come(ANN, 1, BOOK)


def test_a_deleted_torrent_says_why_for_a_day(clients: Clients) -> None:
    for ago, kind, text in (
        (REASON_SHOWN_US, TorrentDeleted, "Unregistered torrent: Dupe"),
        (REASON_SHOWN_US + 1, UnregisteredTorrent, "Unregistered torrent"),
    ):
        deleted = torrent_row(FILM, "deleted", "Dupe", deleted_at=NOW_US - ago)
        clients.tracker.access.apply(some(torrents=[deleted]))
        assert clients.refused(kind, ANN) == text


def test_rights(clients: Clients) -> None:
    clients.tracker.access.apply(some([user_row(ANN, enabled=False), user_row(BOB, can_leech=False)]))
    assert clients.refused(AccountDisabled, ANN) == "Account is disabled"
    assert clients.refused(LeechingForbidden, BOB) == "Downloading is not allowed for this account"
    assert clients.come(BOB, 2, left=0).reply.complete == 1
    assert clients.come(BOB, 2, left=5, event=Event.STOPPED).reply.complete == 0


def test_stopped_gets_no_peers_and_is_not_counted(clients: Clients) -> None:
    clients.come(ANN, 1, left=0)
    clients.come(BOB, 2)
    reply = clients.come(BOB, 2, event=Event.STOPPED, port=0).reply
    assert (reply.complete, reply.incomplete, reply.peers) == (1, 0, b"")


@pytest.mark.parametrize(("numwant", "told"), [(-1, 50), (0, 0), (1, 1), (50, 50), (51, 50), (10**9, 50)])
def test_how_many_peers(clients: Clients, numwant: int, told: int) -> None:
    for number in range(100):
        clients.come(ANN, number, left=0)
    peers = clients.come(BOB, 200, numwant=numwant).reply.peers
    assert len(peers) == 6 * told


def test_an_early_announce_is_taken_but_gets_a_warning_and_no_peers(clients: Clients) -> None:
    clients.come(ANN, 1, left=0)
    clients.come(BOB, 2, event=Event.STARTED)
    clients.now_s += 100
    early = clients.come(BOB, 2, uploaded=9)
    assert (early.reply.warning, early.reply.peers, early.reply.complete) == (WARNINGS["min_interval"], b"", 1)
    assert [record.uploaded for record in unpack(early.row)] == [9]
    completed = clients.come(BOB, 2, left=0, event=Event.COMPLETED)
    assert completed.reply.warning is None
    clients.now_s += 850
    assert clients.come(BOB, 2).reply.warning is None


def test_two_families_are_one_peer_and_both_are_told(clients: Clients) -> None:
    six = bytes.fromhex("2600") + bytes(13) + b"\x01"
    clients.come(ANN, 1, left=0)
    both = clients.come(ANN, 1, left=0, address=six)
    assert (both.reply.complete, both.reply.peers, both.reply.peers6) == (1, b"", b"")
    only4 = clients.come(BOB, 2).reply
    assert (len(only4.peers), only4.peers6) == (6, None)
    only6 = clients.come(EVE, 3, address=six[:-1] + b"\x03").reply
    assert only6.peers6 == six + (7001).to_bytes(2, "big")
    assert len(only6.peers) == 12


def test_a_hybrid_is_one_swarm(clients: Clients) -> None:
    clients.come(ANN, 1, HYBRID, left=0)
    reply = clients.come(BOB, 2, HYBRID, info_hash=V2[:20]).reply
    assert (reply.complete, reply.incomplete) == (1, 1)


def test_the_long_form_on_request(clients: Clients) -> None:
    clients.come(ANN, 1, left=0)
    told = Peer(peer(1), bytes((8, 8, 8, 1)), 7001)
    assert clients.come(BOB, 2, compact=False).reply.peers == [told]
    assert clients.come(EVE, 3, compact=False, no_peer_id=True, numwant=1).reply.peers == [told._replace(peer_id=b"")]


def test_left_is_at_most_the_size(clients: Clients) -> None:
    [record] = unpack(clients.come(ANN, 1, left=2**63 - 1).row)
    assert record.left == 10**9


def test_scrapes_show_what_is_open(clients: Clients) -> None:
    clients.come(ANN, 1, left=0)
    clients.tracker.access.apply(some(torrents=[torrent_row(BOOK, "pending")]))
    hashes = [HASH[FILM], HASH[BOOK], b"?" * 20, V2[:20]]
    found = clients.tracker.scrape(hashes, key(ANN).encode())
    assert {h: counts.complete for h, counts in found.items()} == {HASH[FILM]: 1, V2[:20]: 0}
    assert set(clients.tracker.scrape([HASH[FILM], HASH[HYBRID]], key(ANN, FILM).encode())) == {HASH[FILM]}
    assert clients.tracker.scrape([b"?" * 20], key(ANN, FILM).encode()) == {}


def test_scrapes_need_a_key_and_an_account(clients: Clients) -> None:
    with pytest.raises(PasskeyNotFound):
        clients.tracker.scrape([HASH[FILM]], b"a" * 32)
    with pytest.raises(PasskeyNotFound):
        clients.tracker.scrape([HASH[FILM]], key(ANN, BOOK).encode())
    clients.tracker.access.apply(some([user_row(ANN, enabled=False)]))
    with pytest.raises(AccountDisabled):
        clients.tracker.scrape([HASH[FILM]], key(ANN).encode())
