"""What holds across sessions: seed time once, snatches once, promotions by the time of the announce."""

from __future__ import annotations

from domain.announces import Announce, Event
from domain.base import MAX_COUNT
from domain.credit import OUT_OF_ORDER
from domain.factors import EVERYBODY, FREE, NEUTRAL, Factors, Promotions, Window, user_on_torrent
from domain.tally import CEILING_BYTES_S, Tally
from tests.peers.edges import ADA, ALBUM, FILM, GRACE, IPV4, IPV6, START_US, announce

STARTED, COMPLETED, STOPPED, EXPIRED = Event.STARTED, Event.COMPLETED, Event.STOPPED, Event.EXPIRED


def tallied(*records: Announce, before: Tally | None = None, deleted: bool = False, **windows: list[Window]) -> Tally:
    """The tally of one segment after what `before` left behind."""
    subjects = {"film": FILM.bytes, "ada": ADA.bytes, "everybody": EVERYBODY}
    subjects["ada_on_film"] = user_on_torrent(FILM.bytes, ADA.bytes)
    promotions = Promotions({subjects[name]: found for name, found in windows.items()})
    tally = Tally(before.clients if before else {}, {FILM.bytes} if deleted else set())
    tally.add(1, records, promotions)
    tally.close()
    return tally


def seconds(start: float, end: float | None, factors: Factors = FREE) -> Window:
    return Window(START_US + int(start * 1e6), None if end is None else START_US + int(end * 1e6), factors)


def test_each_credit_has_its_explaining_fact() -> None:
    tally = tallied(
        announce(0, STARTED, up=5, left=10),
        announce(0, STARTED, user=GRACE, torrent=ALBUM, left=10),
        announce(100, up=25, down=10, left=5),
        announce(100, user=GRACE, torrent=ALBUM, up=7, left=10),
    )
    ada, grace = tally.users[ADA.bytes], tally.users[GRACE.bytes]
    assert (ada.uploaded, ada.downloaded, grace.uploaded, grace.downloaded) == (20, 10, 7, 0)
    assert [(t.n, t.credit.baseline_uploaded, t.credit.uploaded) for t in tally.transfers] == [(2, 5, 20), (3, 0, 7)]


def test_a_repeated_record_changes_nothing() -> None:
    once = tallied(announce(0, STARTED), announce(100, up=9))
    again = tallied(announce(100, up=9), announce(100, up=9), before=once)
    assert again.transfers == []
    assert again.users == {}


def test_an_older_record_moves_nothing_back() -> None:
    late = announce(50, STARTED, up=3, left=100, address=IPV6)
    tally = tallied(announce(0, STARTED), announce(100, up=9), late)
    client = tally.clients[late[2], late[1], late[3]]
    assert (client.session.uploaded, client.session.left, client.ipv6) == (9, 0, None)
    assert [t.credit.anomaly for t in tally.transfers] == [None, OUT_OF_ORDER]


def test_seed_time_counts_once_however_many_clients_seed() -> None:
    tally = tallied(
        announce(0, STARTED, client=1),
        announce(600, STARTED, client=2),
        announce(1800, client=1),
        announce(2400, client=2),
        announce(3600, client=1),
    )
    assert tally.users[ADA.bytes].seed_time_s == 3600
    assert [t.seed_time_s for t in tally.transfers] == [1800, 600, 1200]


def test_seed_time_of_two_users_and_of_two_torrents_is_each_their_own() -> None:
    both = [(ADA, FILM), (ADA, ALBUM), (GRACE, FILM)]
    tally = tallied(*(announce(at, user=u, torrent=t) for at in (0, 1800) for u, t in both))
    assert tally.users[ADA.bytes].seed_time_s == 3600
    assert tally.users[GRACE.bytes].seed_time_s == 1800


def test_seed_time_that_another_edge_has_counted_is_not_counted_again() -> None:
    before = tallied(announce(0, client=1), announce(10, client=2), announce(3000, client=1))
    late = tallied(announce(2000, client=2), announce(3500, client=2), before=before)
    assert late.users[ADA.bytes].seed_time_s == 500


def test_no_seed_time_while_leeching_or_away() -> None:
    tally = tallied(
        announce(0, STARTED, left=5),
        announce(1000, COMPLETED, down=5),
        announce(1900, STOPPED, down=5),
        announce(2000, STARTED, down=5),
    )
    assert tally.users[ADA.bytes].seed_time_s == 900


def test_swarms_count_clients_and_users_count_torrents() -> None:
    tally = tallied(
        announce(0, client=1),
        announce(0, client=2),
        announce(0, user=GRACE, left=5),
        announce(0, torrent=ALBUM, left=5),
    )
    film, album = tally.torrents[FILM.bytes], tally.torrents[ALBUM.bytes]
    assert (film.seeders, film.leechers, album.seeders, album.leechers) == (2, 1, 0, 1)
    ada = tally.users[ADA.bytes]
    assert (ada.seeding, ada.leeching) == (1, 1)
    gone = tallied(announce(9, STOPPED, client=1), announce(9, EXPIRED, user=GRACE), before=tally)
    assert (gone.torrents[FILM.bytes].seeders, gone.torrents[FILM.bytes].leechers) == (-1, -1)
    assert gone.users[GRACE.bytes].leeching == -1
    assert gone.users[ADA.bytes].seeding == 0, "another client still seeds"


def test_addresses_of_both_families_are_kept_until_the_client_leaves() -> None:
    first = announce(0, STARTED)
    tally = tallied(first, announce(1, STARTED, address=IPV6, port=7000))
    (client,) = tally.clients.values()
    assert (client.ipv4, client.port4, client.ipv6, client.port6) == (IPV4, 6881, IPV6, 7000)
    (client,) = tallied(announce(2, STOPPED), before=tally).clients.values()
    assert (client.ipv4, client.port4, client.ipv6, client.port6) == (None, None, None, None)


def test_a_snatch_is_proposed_once_for_all_clients_of_a_user() -> None:
    tally = tallied(
        announce(0, STARTED, client=1, left=5),
        announce(0, STARTED, client=2, left=5),
        announce(10, COMPLETED, client=1, down=5),
        announce(20, COMPLETED, client=2, down=5),
    )
    assert tally.snatches == {(FILM.bytes, ADA.bytes): START_US + 10_000_000}


def test_a_client_that_only_leaves_is_not_remembered() -> None:
    tally = tallied(announce(0, STOPPED), announce(1, EXPIRED, user=GRACE))
    assert (tally.clients, tally.transfers, tally.torrents, tally.users) == ({}, [], {}, {})


def test_a_window_frees_downloads_from_its_start_until_its_end() -> None:
    records = [announce(at, down=at, left=1, user=user) for user in (ADA, GRACE) for at in (0, 99, 100, 199, 200)]
    tally = tallied(*records, film=[seconds(100, 200)])
    assert tally.users[ADA.bytes].downloaded == tally.users[GRACE.bytes].downloaded == 99 + 1
    assert tally.users[ADA.bytes].raw_downloaded == 200
    assert [t.credit.download_percent for t in tally.transfers[:4]] == [100, 0, 0, 100]


def test_a_users_own_window_frees_nobody_else() -> None:
    records = [announce(at, down=at, up=at, left=1, user=user) for user in (ADA, GRACE) for at in (0, 100)]
    tally = tallied(*records, ada=[seconds(0, None)])
    assert (tally.users[ADA.bytes].downloaded, tally.users[GRACE.bytes].downloaded) == (0, 100)
    assert (tally.users[ADA.bytes].uploaded, tally.users[GRACE.bytes].uploaded) == (100, 100)


def test_each_explanation_names_what_was_counted() -> None:
    """Plain, a double torrent, that on a double site, half price besides, a token besides, neutral, plain again."""
    records = [announce(s, up=100 * s, down=100 * s, left=1, user=user) for user in (ADA, GRACE) for s in range(10)]
    tally = tallied(
        *records,
        film=[seconds(2, 9, Factors(200, 100)), seconds(6, 7, NEUTRAL)],
        everybody=[seconds(3, 7, Factors(200, 100)), seconds(4, 7, Factors(100, 50))],
        ada_on_film=[seconds(5, 7)],
    )
    counted: dict[bytes, list[tuple[int, int]]] = {ADA.bytes: [], GRACE.bytes: []}
    for transfer in tally.transfers:
        credit = transfer.credit
        assert (credit.raw_uploaded, credit.raw_downloaded) == (100, 100)
        assert (credit.uploaded, credit.downloaded) == (credit.upload_percent, credit.download_percent)
        counted[transfer.announce.user_id].append((credit.uploaded, credit.downloaded))
    others = [(100, 100), (200, 100), (200, 100), (200, 50), (200, 50), (0, 0), (200, 100), (200, 100), (100, 100)]
    assert counted == {ADA.bytes: [*others[:4], (200, 0), *others[5:]], GRACE.bytes: others}


def test_a_token_frees_one_torrent_of_one_user() -> None:
    everybody = [(u, t) for u in (ADA, GRACE) for t in (FILM, ALBUM)]
    records = [announce(s, down=s, left=1, user=u, torrent=t) for u, t in everybody for s in (0, 100)]
    tally = tallied(*records, ada_on_film=[seconds(0, None)])
    assert (tally.users[ADA.bytes].downloaded, tally.users[GRACE.bytes].downloaded) == (100, 200)
    assert tally.users[ADA.bytes].raw_downloaded == 200


def test_a_deleted_torrent_has_no_swarm_and_still_settles() -> None:
    tally = tallied(announce(0, STARTED, left=9), announce(5, up=70, left=9), deleted=True)
    assert tally.users[ADA.bytes].uploaded == 70
    assert FILM.bytes not in {k for k, t in tally.torrents.items() if t.seeders or t.leechers}
    assert not any(client.session.active for client in tally.clients.values())


def test_what_nobody_can_move_earns_nothing_and_says_why() -> None:
    tally = tallied(announce(0, STARTED), announce(1, up=CEILING_BYTES_S * 60), announce(2, up=MAX_COUNT))
    assert tally.users[ADA.bytes].uploaded == 0
    assert [t.credit.anomaly for t in tally.transfers] == ["implausible_rate"] * 2
