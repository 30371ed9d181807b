"""Scrapes, byte for byte (BEP 48): what is counted, in which order, and for whom."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.tracker_edge import strict
from tests.tracker_edge.bench import Bench
from tests.tracker_edge.edges import ANN, BOB, BOOK, EVE, FILM, HYBRID, SECRET, key, some
from tests.tracker_edge.edges import torrent as torrent_row
from tests.tracker_edge.edges import user as user_row
from tests.tracker_edge.vectors import ESCAPED, HASH_TEXT, asked, failure, query, scrape
from tracker_edge.access import TorrentRow, changes

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
