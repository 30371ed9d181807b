"""Rows D1 to D12 of the bad-input catalogue: what is bencode at all."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.errors import Malformed
from domain.metainfo import MAX_BYTES, InvalidMetainfo, parse
from domain.metainfo.bencode import INT_MAX, INT_MIN, MAX_DEPTH, Value, decode, decode_members, encode
from tests.metainfo.mutants import mutants
from tests.metainfo.samples import code_of, good_torrents, single_info, torrent

GOOD = good_torrents()

values = st.recursive(
    st.integers(INT_MIN, INT_MAX) | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.binary(max_size=12), inner, max_size=5),
    max_leaves=30,
)
file_entries: st.SearchStrategy[Value] = st.builds(
    lambda attr, length, path, more: {**attr, b"length": length, b"path": path, **more},
    st.sampled_from([{}, {b"attr": b"p"}, {b"attr": b"x"}, {b"attr": b"xh"}]),
    st.integers(INT_MIN, INT_MAX),
    st.lists(st.binary(max_size=120) | st.integers(0, 9), max_size=3),
    st.sampled_from([{}, {b"sha1": bytes(20)}]),
)


def refusal(data: bytes, **limits: int) -> str:
    with pytest.raises(InvalidMetainfo) as caught:
        decode(data, **limits)
    return caught.value.code


@given(values | st.lists(file_entries, max_size=4))
def test_every_value_survives_encoding(value: Value) -> None:
    assert decode(encode(value)) == value


@given(st.binary(max_size=40) | st.lists(st.sampled_from([b"d", b"l", b"e", b"i1e", b"1:a", b"0:"])).map(b"".join))
@example(b"d1:ai1e1:bi2ee")
@example(b"ld6:lengthi0e4:pathl1:aeee")
@example(b"ld6:lengthi-0e4:pathl1:aeee")
def test_whatever_decodes_is_the_one_encoding_of_its_value(data: bytes) -> None:
    try:
        value = decode(data)
    except InvalidMetainfo:
        return
    assert encode(value) == data


def test_a_damaged_torrent_decodes_to_its_own_encoding_or_not_at_all() -> None:
    decoded = 0
    for data in mutants(list(GOOD.values()), 2000, seed=7):
        try:
            value = decode(data)
        except InvalidMetainfo:
            continue
        assert encode(value) == data
        decoded += 1
    assert decoded > 500


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        *((bytes([byte]), "malformed") for byte in b"deli057:<\x00\xff"),
        (b"-", "malformed_string"),
    ],
)
def test_d1_nothing_and_a_single_byte_are_refused(data: bytes, code: str) -> None:
    assert code_of(data) == code


def test_d1_ten_mebibytes_and_a_byte_are_too_large_before_they_are_read() -> None:
    with pytest.raises(InvalidMetainfo) as caught:
        parse(bytes(MAX_BYTES + 1))
    assert (caught.value.code, caught.value.status) == ("too_large", 413)
    assert code_of(bytes(MAX_BYTES)) == "malformed"


def test_refusals_are_malformed_requests_that_never_repeat_the_input() -> None:
    secret = b"do-not-repeat-me"
    for info in (single_info(name=secret + b":"), single_info(length=secret), single_info(pieces=secret)):
        with pytest.raises(Malformed) as caught:
            parse(torrent(info))
        assert caught.value.status == 422
        assert secret.decode() not in str(caught.value)
        assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    "data",
    [
        b"<!doctype html><html></html>",
        b'{"info": {}}',
        gzip.compress(GOOD["v1 single"]),
        b"PK\x03\x04" + GOOD["v1 single"],
        b"\x89PNG\r\n\x1a\n" + GOOD["v1 single"],
        b"\xef\xbb\xbf" + GOOD["v1 single"],
        b" " + GOOD["v1 single"],
        b"\n" + GOOD["v1 single"],
        GOOD["v1 single"] + b"\n",
        GOOD["v1 single"] + GOOD["v1 single"],
    ],
    ids=["html", "json", "gzip", "zip", "png", "bom", "blank", "newline", "newline after", "twice"],
)
def test_d2_other_formats_and_surroundings_are_malformed(data: bytes) -> None:
    assert code_of(data) == "malformed"


@pytest.mark.parametrize("data", [b"le", b"l4:infoe", b"i1e", b"4:info", b"0:"])
def test_d3_other_values_than_a_dictionary_are_refused(data: bytes) -> None:
    assert code_of(data) == "not_a_dict"


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD)
def test_d4_a_torrent_cut_short_anywhere_is_malformed(data: bytes) -> None:
    assert {code_of(data[:end]) for end in range(1, len(data))} == {"malformed"}


@pytest.mark.parametrize("where", [b"%b", b"l%be", b"d1:a%be", b"d6:length%b4:pathl1:aee"])
@pytest.mark.parametrize(
    "integer", "i-0e i03e i00e i-03e ie i-e i--1e i1.5e i+1e i1_0e i٣e i0x1e".split() + ["i 1e", "i1 e", "i\n1e"]
)
def test_d5_an_integer_has_one_spelling(integer: str, where: bytes) -> None:
    assert refusal(where.replace(b"%b", integer.encode())) == "malformed_int"


@pytest.mark.parametrize("digits", [b"9223372036854775808", b"-9223372036854775809", b"9" * 5000, b"9" * 10_000_000])
def test_d6_integers_beyond_64_bits_are_refused_by_their_length(digits: bytes) -> None:
    assert refusal(b"i%be" % digits) == "int_range"
    assert refusal(b"ld6:lengthi%be4:pathl1:aeee" % digits) == "int_range"


def test_d6_the_ends_of_64_bits_are_accepted() -> None:
    assert [decode(b"i9223372036854775807e"), decode(b"i-9223372036854775808e")] == [INT_MAX, INT_MIN]


@pytest.mark.parametrize("where", [b"%b", b"l%be", b"d%b", b"d1:a%be", b"ld6:lengthi1e4:pathl%beee"])
@pytest.mark.parametrize(
    "string",
    [
        b"00003:abc",
        b"03:abc",
        b"-1:",
        b"+3:abc",
        b"3 :abc",
        b"99999999999:",
        b"1" + b"0" * 100 + b":",
        b"4294967299:abc",
    ],
)
def test_d7_the_length_of_a_string_has_one_spelling_and_is_no_claim(string: bytes, where: bytes) -> None:
    assert refusal(where.replace(b"%b", string)) == "malformed_string"


@pytest.mark.parametrize("opening", [b"l", b"d1:a", b"d0:", b"ld1:a"])
def test_d8_nesting_deeper_than_a_hundred_is_refused(opening: bytes) -> None:
    assert refusal(opening * 100_000) == "too_deep"


@pytest.mark.parametrize("inner", [b"", b"i1e", b"d6:lengthi1e4:pathl1:aee"])
def test_d8_depth_one_hundred_is_the_last_accepted(inner: bytes) -> None:
    free = MAX_DEPTH - 2 * (inner[:1] == b"d")
    assert decode(b"l" * free + inner + b"e" * free)
    assert refusal(b"l" * (free + 1) + inner + b"e" * (free + 1)) == "too_deep"


@pytest.mark.parametrize("item", [b"0:", b"le", b"i1e", b"de", b"d0:lee", b"1:a"])
def test_d9_a_file_of_nothing_but_structure_has_too_many_tokens(item: bytes) -> None:
    assert code_of(b"d4:infol" + item * (6_000_000 // len(item)) + b"ee") == "too_many_tokens"


def test_d9_the_cap_can_be_set() -> None:
    assert decode(b"li1ei2ee", max_tokens=3) == [1, 2]
    assert refusal(b"li1ei2ee", max_tokens=2) == "too_many_tokens"


@pytest.mark.parametrize("data", [b"d1:bi1e1:ai2ee", b"d2:aai1e1:ai2ee", b"ld1:bi1e1:ai2eee", b"d1:ai0e1:ci0e1:bi0ee"])
def test_d10_unsorted_keys_are_refused(data: bytes) -> None:
    assert refusal(data) == "unsorted_keys"


@pytest.mark.parametrize("data", [b"d1:ai1e1:ai2ee", b"d1:ai1e1:bi1e1:ai2ee", b"d4:infod7:privatei1e7:privatei0eee"])
def test_d11_a_key_given_twice_is_refused(data: bytes) -> None:
    assert refusal(data) == "duplicate_key"


@pytest.mark.parametrize("data", [b"di1e1:ae", b"dlei1ee", b"d1:ae", b"d1:ai1e1:be", b"d1:ai1e", b"dde1:ae", b"li1e"])
def test_d12_dictionaries_have_string_keys_values_and_an_end(data: bytes) -> None:
    assert refusal(data) == "malformed"


def test_d14_the_bytes_of_a_member_are_its_own() -> None:
    decoy = b"4:infod1:xi1ee"
    data = b"d1:al14:" + decoy + b"4:infod1:yi1eee4:infod1:zi1ee1:jd4:infod1:wi1eeee"
    value, raw = decode_members(data)
    assert raw == {b"a": b"l14:" + decoy + b"4:infod1:yi1eee", b"info": b"d1:zi1ee", b"j": b"d4:infod1:wi1eee"}
    assert value[b"info"] == {b"z": 1}


def test_d14_a_member_that_looks_like_a_file_has_its_bytes_too() -> None:
    entry = b"d6:lengthi1e4:pathl1:aee"
    assert decode_members(b"d4:info%be" % entry) == ({b"info": {b"length": 1, b"path": [b"a"]}}, {b"info": entry})
    assert code_of(b"d4:info%be" % entry) == "bad_name"


@pytest.mark.parametrize("value", ["text", None, True, 1.5, [None], {b"a": None}, {"a": 1}, (1,)])
def test_what_bencode_cannot_say_is_our_mistake(value: Any) -> None:
    with pytest.raises(TypeError):
        encode(value)


def test_an_integer_beyond_64_bits_is_not_written() -> None:
    with pytest.raises(OverflowError):
        encode(2**63)
