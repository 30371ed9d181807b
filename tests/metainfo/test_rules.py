"""Rows D13, D14, D21 to D25, D29 and D32 to D35 of the bad-input catalogue, and what we hand out for an upload."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha1, sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.metainfo import File, InvalidMetainfo, announce_hashes, parse, personal, personal_size
from domain.metainfo.bencode import decode, encode
from tests.metainfo.mutants import mutants
from tests.metainfo.samples import (
    CONTENT,
    PIECE_LENGTH,
    body,
    code_of,
    good_torrents,
    hybrid_info,
    layers,
    single_info,
    torrent,
    v1_info,
    v2_info,
    v2_torrent,
    with_leaf,
    with_paths,
    without,
)

GOOD = good_torrents()
LONG = ("a.txt", 100_000)


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD)
def test_a_good_torrent_is_accepted_as_it_is(data: bytes) -> None:
    metainfo = parse(data)
    assert encode(decode(data)[b"info"]) == metainfo.info  # type: ignore[call-overload, index]
    assert not metainfo.private_added


def test_the_content_of_a_hybrid_is_that_of_both_parts_without_padding() -> None:
    metainfo = parse(GOOD["hybrid multi"])
    assert metainfo.files == tuple(File(path, len(body)) for path, body in CONTENT)
    assert metainfo.size == sum(len(body) for _, body in CONTENT)
    assert metainfo.info_hash_v1 == sha1(metainfo.info).digest()
    assert metainfo.info_hash_v2 == sha256(metainfo.info).digest()
    assert metainfo.piece_layers == encode(layers())


def test_each_version_has_its_own_hashes_to_announce() -> None:
    v1, v2, both = (parse(GOOD[kind]) for kind in ("v1 multi", "v2 multi", "hybrid multi"))
    assert (v1.info_hash_v2, v1.piece_layers, v2.info_hash_v1) == (None, None, None)
    assert announce_hashes(v1) == (sha1(v1.info).digest(),)
    assert announce_hashes(v2) == (sha256(v2.info).digest()[:20],)
    assert announce_hashes(both) == (sha1(both.info).digest(), sha256(both.info).digest()[:20])


@pytest.mark.parametrize("root", [{}, {b"info": 1}, {b"info": []}, {b"info": {}}, {b"info": b"4:info"}])
def test_d13_there_is_one_info_dictionary(root: Any) -> None:
    assert code_of(encode(root)) == "no_info"
    assert code_of(b"d4:infode4:infodee") == "duplicate_key"


def test_d14_the_hash_is_that_of_the_real_info_dictionary() -> None:
    decoy = encode({b"info": single_info()})
    info = single_info(name=b"real", source=decoy[1:-1])
    data = torrent(info, comment=decoy, announce_list=[[decoy, {b"info": single_info()}]], zz={b"info": single_info()})
    assert parse(data).info_hash_v1 == sha1(encode(info)).digest()


@pytest.mark.parametrize("length", [-1, 2**63 - 1, 2**47 + 1, b"1", [], {}, None])
def test_d21_a_length_is_a_number_of_bytes_that_pieces_can_hold(length: Any) -> None:
    wrong = {} if length is None else {b"length": length}
    assert (
        code_of(torrent(v1_info(files=[{b"path": [b"a"], **wrong}, {b"length": 1, b"path": [b"b"]}]))) == "bad_length"
    )
    assert code_of(torrent(without(single_info(), b"length") | wrong)) == "bad_length"
    assert code_of(with_leaf(length=length)) == "bad_length"


def test_d21_there_is_a_length_or_a_list_of_files_and_something_in_it() -> None:
    assert code_of(torrent(v1_info(length=1))) == "bad_length"
    assert code_of(torrent(without(v1_info(), b"files"))) == "bad_length"
    no_lists: tuple[Any, ...] = ([], b"", {}, 1)
    assert {code_of(torrent(v1_info(files=files))) for files in no_lists} == {"bad_length"}
    assert code_of(torrent(v1_info([("a", b""), ("b", b"")]))) == "bad_length"
    assert code_of(torrent(single_info(b""))) == "bad_length"
    assert code_of(torrent(v2_info([("a", b"")]), piece_layers={})) == "bad_length"
    assert code_of(torrent(single_info(attr=b"p"))) == "bad_length"


@pytest.mark.parametrize("length", [None, 0, -16384, 1, 16383, 24576, 8192, 2**27, 2**63 - 1, b"16384", [16384]])
def test_d22_a_piece_length_is_a_power_of_two_from_16_kib_to_64_mib(length: Any) -> None:
    wrong = {} if length is None else {b"piece length": length}
    for info in (single_info(), v2_info(), hybrid_info()):
        assert code_of(v2_torrent(without(info, b"piece length") | wrong)) == "bad_piece_length"


@pytest.mark.parametrize("exponent", range(14, 27))
def test_d22_every_other_piece_length_is_accepted(exponent: int) -> None:
    assert parse(torrent(single_info(b"x", piece_length=2**exponent))).piece_length == 2**exponent


@pytest.mark.parametrize("pieces", [None, b"", bytes(20), bytes(79), bytes(81), bytes(60), bytes(100), 80, [bytes(80)]])
def test_d23_there_is_one_hash_for_each_piece(pieces: Any) -> None:
    wrong = {} if pieces is None else {b"pieces": pieces}
    assert code_of(torrent(without(single_info(body(4 * PIECE_LENGTH)), b"pieces") | wrong)) == "bad_pieces"


def test_d23_more_than_0x200000_pieces_are_refused_without_counting_on_hashes() -> None:
    files = {b"%02d" % n: {b"": {b"length": 2**30, b"pieces root": b"r" * 32}} for n in range(33)}
    assert code_of(v2_torrent(v2_info(file_tree=files))) == "bad_pieces"


@pytest.mark.parametrize("private", [None, 0, b"1", 2, [1], {b"a": 1}, -1])
def test_d24_private_is_set_and_the_hash_is_that_of_what_we_hand_out(private: Any) -> None:
    for good in (single_info(source=b"X", x_cross_seed=b"y"), v2_info(publisher=b"p"), hybrid_info(zz=[{b"a": 1}])):
        info = without(good, b"private") | ({} if private is None else {b"private": private})
        metainfo = parse(v2_torrent(info))
        assert metainfo.private_added
        assert metainfo.info == encode(good)
        assert metainfo == replace(parse(v2_torrent(good)), private_added=True)


def test_d25_only_our_announce_and_comment_are_handed_out() -> None:
    more: dict[str, Any] = {
        **{"announce_list": [[b"http://evil.example"]], "announce-list": [[b"http://evil.example"]], "similar": [b"x"]},
        **{"nodes": [[b"evil.example", 1]], "url-list": b"http://evil.example", "httpseeds": [b"http://evil.example"]},
        **{"comment": b"http://evil.example", "update-url": b"http://evil.example", "publisher": b"evil.example"},
        **{"created_by": b"evil.example", "creation_date": 1, "encoding": b"UTF-8", "collections": [b"evil.example"]},
    }
    for info in (single_info(source=b"kept"), hybrid_info(source=b"kept")):
        metainfo = parse(v2_torrent(info, **more))
        handed_out = personal(metainfo.info, metainfo.piece_layers, "https://ours.example/ä", "für dich")
        expected: Any = {b"announce": "https://ours.example/ä".encode(), b"comment": "für dich".encode(), b"info": info}
        if metainfo.piece_layers is not None:
            expected[b"piece layers"] = layers()
        assert decode(handed_out) == expected
        assert encode(expected) == handed_out
        assert b"evil" not in handed_out


@pytest.mark.parametrize("attributes", [b"l", b"xl", b"z", b"X", b"\xff", 1, [b"x"], {}])
def test_d29_links_and_unknown_attributes_are_refused(attributes: Any) -> None:
    link = {b"attr": attributes, b"length": 1, b"path": [b"a"]}
    assert code_of(torrent(v1_info(files=[link], pieces=bytes(20)))) == "symlink"
    assert code_of(torrent(single_info(attr=attributes))) == "symlink"
    assert code_of(with_leaf(attr=attributes)) == "symlink"


def test_d29_a_target_makes_a_link_even_without_the_attribute() -> None:
    link = {b"length": 1, b"path": [b"a"], b"symlink path": [b"..", b"..", b"etc"]}
    assert code_of(torrent(v1_info(files=[link], pieces=bytes(20)))) == "symlink"
    assert code_of(torrent(single_info(symlink_path=[b"b"]))) == "symlink"
    assert code_of(with_leaf(symlink_path=[b"b"])) == "symlink"


@pytest.mark.parametrize("attributes", [b"", b"x", b"h", b"hx"])
def test_d29_executable_and_hidden_files_are_files(attributes: bytes) -> None:
    file = {b"attr": attributes, b"length": 1, b"path": [b"a"]}
    assert parse(torrent(v1_info(files=[file], pieces=bytes(20)))).files == (File("a", 1),)
    assert parse(with_leaf(attr=attributes)).files[0] == LONG


def test_d32_more_than_20000_files_are_refused() -> None:
    paths = [[b"%d" % number] for number in range(20_001)]
    assert len(parse(with_paths(*paths[1:])).files) == 20_000
    assert code_of(with_paths(*paths)) == "too_many_files"
    assert code_of(with_paths(*([b"%d" % number] for number in range(100_000)))) == "too_many_files"
    tree = {b"%06d" % number: {b"": {b"length": 5, b"pieces root": b"r" * 32}} for number in range(20_001)}
    assert code_of(torrent(v2_info(file_tree=tree), piece_layers={})) == "too_many_files"


@pytest.mark.parametrize("date", [-1, 2**62, b"yesterday", [], {}])
def test_d33_the_creation_date_is_ignored(date: Any) -> None:
    assert parse(torrent(single_info(), creation_date=date)) == parse(GOOD["v1 single"])


@pytest.mark.parametrize("text", [b"<script>", b"[url=x]", b"\x1b[31m", b"\xff\x00", 1, [], {}])
def test_d34_comment_and_creator_have_no_effect(text: Any) -> None:
    assert parse(torrent(single_info(), comment=text, created_by=text)) == parse(GOOD["v1 single"])


@pytest.mark.parametrize("text", [b"magnet:?xt=urn:btih:" + b"a" * 40, b"  Magnet:?x", b"MAGNET:"])
def test_d35_magnet_links_are_not_supported(text: bytes) -> None:
    assert code_of(text) == "not_supported"


def test_unknown_keys_of_the_info_dictionary_are_part_of_the_hash() -> None:
    infos = [single_info(), single_info(source=b"A"), single_info(source=b"B"), single_info(x_cross_seed=b"A")]
    assert [parse(torrent(info)).info_hash_v1 for info in infos] == [sha1(encode(info)).digest() for info in infos]


@given(st.binary(max_size=200), st.sampled_from(sorted(GOOD)), st.integers(0, 500), st.integers(0, 500))
def test_whatever_is_uploaded_is_parsed_or_refused(noise: bytes, kind: str, start: int, cut: int) -> None:
    assert isinstance(code_of(GOOD[kind][:start] + noise + GOOD[kind][start + cut :]), str | None)
    assert isinstance(code_of(noise), str)


def test_damaged_torrents_are_parsed_or_refused_and_what_we_hand_out_is_parsed_again() -> None:
    accepted = 0
    for data in mutants(list(GOOD.values()), 6000, seed=99):
        try:
            metainfo = parse(data)
        except InvalidMetainfo:
            continue
        accepted += 1
        again = parse(personal(metainfo.info, metainfo.piece_layers, "http://ours.example", ""))
        assert (again.info, again.files, again.private_added) == (metainfo.info, metainfo.files, False)
    assert accepted > 500


def test_a_second_tracker_is_a_tier_after_the_first() -> None:
    first, second = "http://ours.example/announce/k", "udp://ours.example:6969/announce/k"
    for info in (single_info(), hybrid_info()):
        metainfo = parse(v2_torrent(info))
        alone = personal(metainfo.info, metainfo.piece_layers, first, "")
        expected: Any = decode(alone)
        assert b"announce-list" not in expected
        expected[b"announce-list"] = [[first.encode()], [second.encode()]]
        assert encode(expected) == personal(metainfo.info, metainfo.piece_layers, first, "", second)


@given(st.text(min_size=1, max_size=300), st.text(max_size=300), st.sampled_from(["", "udp://ours.example/announce/k"]))
def test_how_long_a_copy_is_can_be_told_without_making_it(announce_url: str, comment: str, second: str) -> None:
    for info in (single_info(), hybrid_info()):
        metainfo = parse(v2_torrent(info))
        stored = len(personal(metainfo.info, metainfo.piece_layers, "", "")) - len(b"8:announce0:7:comment0:")
        copy = personal(metainfo.info, metainfo.piece_layers, announce_url, comment, second)
        assert personal_size(stored, announce_url, comment, second) == len(copy)
