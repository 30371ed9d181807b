"""Whose key opens what, as the snapshot changes."""

from __future__ import annotations

import pytest

from domain.announce_rules import DEFAULT_REFUSED_PORTS
from domain.client_rules import ClientRuleKind, ClientRules, Terms
from tests.tracker_edge.edges import ANN, BOB, BOOK, EVE, FILM, HASH, HYBRID, V2, access, everything, key, some
from tests.tracker_edge.edges import torrent as torrent_row
from tests.tracker_edge.edges import user as user_row
from tracker_edge.access import NO_LIMIT, Access, Rules, TorrentRow
from tracker_edge.protocol.types import ClientNotAllowed, PasskeyNotFound


def refused(snapshot: Access, text: str) -> str:
    with pytest.raises(PasskeyNotFound) as caught:
        snapshot.user(text.encode("latin-1"), snapshot.torrent(HASH[FILM]))
    return str(caught.value)


def test_keys_name_their_users() -> None:
    snapshot = access()
    film = snapshot.torrent(HASH[FILM])
    assert snapshot.user(key(ANN, FILM).encode(), film).id == ANN.bytes
    assert snapshot.user(key(BOB).encode(), film).id == BOB.bytes


@pytest.mark.parametrize(
    "text",
    [
        key(ANN, BOOK), key(ANN, FILM, 2), key(ANN, FILM)[:31], key(ANN, FILM) + "a", key(ANN, FILM).upper(), "", "..",
        "%2e", "%00", "a" * 32, "\xff" * 32, "a" * 10_000, key(ANN)[:16] + key(BOB)[16:],
    ],
)  # fmt: skip
def test_every_other_key_is_refused_with_one_text(text: str) -> None:
    assert refused(access(), text) == "Passkey not found"


def test_a_reset_passkey_ends_the_old_keys() -> None:
    snapshot = access()
    snapshot.apply(some([user_row(ANN, passkey_no=2, at=2)]))
    assert refused(snapshot, key(ANN, FILM))
    assert refused(snapshot, key(ANN))
    assert snapshot.user(key(ANN, FILM, 2).encode(), snapshot.torrent(HASH[FILM])).id == ANN.bytes
    assert snapshot.user(key(BOB, FILM).encode(), snapshot.torrent(HASH[FILM])).id == BOB.bytes


def test_both_hashes_of_a_hybrid_name_one_torrent() -> None:
    snapshot = access()
    assert snapshot.torrent(HASH[HYBRID]) is snapshot.torrent(V2[:20])


def test_changes_say_whose_peers_must_go() -> None:
    snapshot = access()
    leaving = snapshot.apply(
        some(
            [user_row(ANN, enabled=False), user_row(BOB, can_leech=False), user_row(EVE)],
            [torrent_row(FILM, "deleted"), torrent_row(BOOK)],
        )
    )
    assert (leaving.users, leaving.leechers, leaving.torrents) == ([ANN.bytes], [BOB.bytes], [FILM.bytes])


def test_a_new_torrent_takes_the_hash_of_a_deleted_one_whatever_the_order() -> None:
    again = TorrentRow(BOOK, HASH[FILM], None, "approved", "", 1, 3)
    for batches in (
        [some(torrents=[torrent_row(FILM, "deleted"), again])],
        [some(torrents=[again, torrent_row(FILM, "deleted")])],
        [some(torrents=[torrent_row(FILM, "deleted")]), some(torrents=[again]),
         some(torrents=[torrent_row(FILM, "deleted", "again")])],
    ):  # fmt: skip
        snapshot = access()
        for batch in batches:
            snapshot.apply(batch)
        found = snapshot.torrent(HASH[FILM])
        assert found is not None
        assert found.id == BOOK.bytes


def test_after_a_rebuild_only_what_was_read_again_counts() -> None:
    snapshot = access()
    snapshot.apply(everything()._replace(users=[], torrents=[]))
    assert snapshot.users == 0
    assert snapshot.torrent(HASH[FILM]) is None


QB = Terms("qBittorrent", "-qB{x}{x}{x}{x}-", "qBittorrent/{n}.{n}", [4, 2], [4, 2], None, [])


def ruled(snapshot: Access, *clients: Terms, ports: frozenset[int] = frozenset(), peers: int = 3) -> None:
    families = ClientRules([(ClientRuleKind.ALLOW, terms) for terms in clients]) if clients else None
    snapshot.apply(some()._replace(rules=Rules(families, ports, peers, 1)))


def denied(snapshot: Access, peer_id: bytes, agent: bytes | None) -> str | None:
    try:
        snapshot.check_client(peer_id, agent)
    except ClientNotAllowed as refusal:
        return str(refusal)
    return None


def test_the_defaults_hold_until_there_are_rules() -> None:
    snapshot = access()
    assert (snapshot.refused_ports, snapshot.peers_per_torrent) == (frozenset(DEFAULT_REFUSED_PORTS), 3)
    assert not snapshot.has_client_rules
    assert denied(snapshot, b"anything at all 1234", b"") is None


def test_rules_hold_until_others_come_and_go_with_none() -> None:
    snapshot = access()
    ruled(snapshot, QB, ports=frozenset({6881}), peers=1)
    assert snapshot.has_client_rules
    assert (snapshot.refused_ports, snapshot.peers_per_torrent) == (frozenset({6881}), 1)
    for _ in range(2):  # as decided, and as remembered
        assert denied(snapshot, b"-qB4250-" + b"a" * 12, b"qBittorrent/4.2") is None
        assert denied(snapshot, b"-qB4250-" + b"b" * 12, None) is None
        assert denied(snapshot, b"-qB4250-" + b"a" * 12, b"") == "Client is not on the allow list"
        assert denied(snapshot, b"-qB4100-" + b"a" * 12, None) == "Version too low: qBittorrent needs 4.2"
    ruled(snapshot, Terms("qBittorrent", "-qB41", None, [], [], None, []))
    assert denied(snapshot, b"-qB4250-" + b"a" * 12, b"qBittorrent/4.2") == "Client is not on the allow list"
    assert denied(snapshot, b"-qB4100-" + b"a" * 12, None) is None
    ruled(snapshot)
    assert not snapshot.has_client_rules
    assert denied(snapshot, b"anything at all 1234", b"") is None


def test_changes_of_users_and_a_rebuild_leave_the_rules_alone() -> None:
    snapshot = access()
    ruled(snapshot, QB, ports=frozenset({6881}), peers=1)
    for changes in (some([user_row(ANN, at=2)]), everything()):
        snapshot.apply(changes)
        assert snapshot.has_client_rules
        assert (snapshot.refused_ports, snapshot.peers_per_torrent) == (frozenset({6881}), 1)


def test_users_have_slots_and_deleted_torrents_a_time() -> None:
    snapshot = access()
    snapshot.apply(
        some(
            [user_row(ANN)._replace(download_slots=5), user_row(BOB)._replace(download_slots=0)],
            [torrent_row(FILM, "deleted", "dupe")._replace(deleted_at_us=7)],
        )
    )
    film, book = snapshot.torrent(HASH[FILM]), snapshot.torrent(HASH[BOOK])
    assert film is not None
    assert book is not None
    assert [snapshot.user(key(who).encode(), book).slots for who in (ANN, BOB, EVE)] == [5, 0, NO_LIMIT]
    assert (film.deleted_at_us, book.deleted_at_us) == (7, 0)
