"""Do we agree with libtorrent, which never saw our code: same hashes, and nothing accepted that it rejects?"""

from __future__ import annotations

from pathlib import Path

import libtorrent as lt
import pytest

from domain.metainfo import announce_hashes, parse, personal
from tests.metainfo.mutants import mutants
from tests.metainfo.samples import CONTENT, PIECE_LENGTH, code_of, good_torrents, made_by_libtorrent, torrent, v1_info

FLAGS = {
    "v1": lt.create_torrent.v1_only,
    "v1 with pad files": lt.create_torrent.v1_only | lt.create_torrent.canonical_files,
    "v2": lt.create_torrent.v2_only,
    "hybrid": 0,
}

#: Where we refuse what libtorrent takes, and why. Whatever is not listed here must be refused by both.
STRICTER = {
    "malformed": "bytes after the end",
    "malformed_int": "leading zeros",
    "duplicate_key": "clients differ in which of the two counts",
    "unsorted_keys": "BEP 3; else the encoding would not be the only one of its value",
    "bad_encoding": "it replaces what is not UTF-8",
    "bad_name": "it repairs names",
    "bad_path": "it repairs paths",
    "path_conflict": "it renames one of the files",
    "bad_length": "it takes torrents without content, and both a length and a list of files",
    "bad_piece_length": "version 1 with odd piece lengths",
    "bad_pieces": "a length or a list of files but no hashes, beside version 2",
    "symlink": "it follows links that stay within the torrent, and ignores unknown attributes",
    "bad_v2": "missing piece layers (it asks peers), meta version 1, empty folders, a root of an empty file",
    "hybrid_mismatch": "lists that differ in what it repairs; one file in one part and a folder in the other",
}


def hashes_by_libtorrent(data: bytes) -> tuple[bytes | None, bytes | None]:
    hashes = lt.load_torrent_buffer(data).info_hashes
    return (
        hashes.v1.to_bytes() if hashes.has_v1() else None,
        hashes.v2.to_bytes() if hashes.has_v2() else None,
    )


def rejected_by_libtorrent(data: bytes) -> bool:
    try:
        lt.load_torrent_buffer(data)
    except RuntimeError:
        return True
    return False


@pytest.mark.parametrize("single", [True, False], ids=["single", "multi"])
@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
def test_a_torrent_made_by_libtorrent_has_its_hashes_and_files(tmp_path: Path, flags: int, single: bool) -> None:
    data = made_by_libtorrent(tmp_path, flags, single=single)
    metainfo = parse(data)
    assert (metainfo.info_hash_v1, metainfo.info_hash_v2) == hashes_by_libtorrent(data)
    assert not metainfo.private_added
    assert (metainfo.name, metainfo.piece_length) == ("t", PIECE_LENGTH)
    expected = [("t", 50_000)] if single else [(path, len(body)) for path, body in CONTENT]
    assert sorted(metainfo.files) == expected
    assert metainfo.size == sum(length for _, length in expected)


@pytest.mark.parametrize("private", [True, False], ids=["private", "public"])
@pytest.mark.parametrize("single", [True, False], ids=["single", "multi"])
@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
def test_what_we_hand_out_is_private_and_announces_the_stored_hashes(
    tmp_path: Path, flags: int, single: bool, private: bool
) -> None:
    metainfo = parse(made_by_libtorrent(tmp_path, flags, single=single, private=private))
    handed_out = personal(metainfo.info, metainfo.piece_layers, "http://ours.example/k/announce", "ours")
    assert metainfo.private_added is not private
    assert hashes_by_libtorrent(handed_out) == (metainfo.info_hash_v1, metainfo.info_hash_v2)
    params = lt.load_torrent_buffer(handed_out)
    assert params.ti is not None
    assert params.ti.priv()
    assert params.trackers == ["http://ours.example/k/announce"]
    assert announce_hashes(metainfo)[-1] == params.info_hashes.get_best().to_bytes()


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_accepted_that_libtorrent_rejects_and_little_refused_that_it_takes(seed: int) -> None:
    accepted = refused = 0
    for data in mutants([*good_torrents().values(), torrent(v1_info(CONTENT[:1]))], 1500, seed):
        code = code_of(data)
        if code is not None:
            refused += 1
            assert code in STRICTER or rejected_by_libtorrent(data), data
            continue
        accepted += 1
        assert not rejected_by_libtorrent(data), data
        metainfo = parse(data)
        if not metainfo.private_added:
            assert (metainfo.info_hash_v1, metainfo.info_hash_v2) == hashes_by_libtorrent(data)
    assert accepted > 100
    assert refused > 500
