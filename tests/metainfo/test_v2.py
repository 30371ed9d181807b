"""Rows D26 to D28 of the bad-input catalogue: file trees, piece layers, and hybrids that contradict themselves."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.metainfo.v2 import layer_root
from tests.metainfo.samples import (
    ONE,
    PIECE_LENGTH,
    code_of,
    hybrid,
    hybrid_info,
    layers,
    single_info,
    torrent,
    v2_info,
    v2_torrent,
    with_leaf,
    with_tree,
    without,
)


@pytest.mark.parametrize("version", [None, 0, 1, 3, b"2", [2]])
def test_d26_only_meta_version_2_is_known(version: Any) -> None:
    wrong = {} if version is None else {b"meta version": version}
    assert code_of(v2_torrent(without(v2_info(), b"meta version") | wrong)) == "bad_v2"
    if wrong:
        assert code_of(torrent(single_info() | wrong)) == "bad_v2"


@pytest.mark.parametrize("root", [None, b"", b"r" * 31, b"r" * 33, bytes(32), b"r" * 32, 1, [b"r" * 32]])
def test_d26_a_file_has_the_root_of_its_layer(root: Any) -> None:
    assert code_of(with_leaf(pieces_root=root)) == "bad_v2"


def test_d26_an_empty_file_has_no_root() -> None:
    assert code_of(
        with_tree(v2_info()[b"file tree"] | {b"empty": {b"": {b"length": 0, b"pieces root": b"r" * 32}}})
    ) == ("bad_v2")


def test_d26_the_piece_layers_are_exactly_those_of_the_files() -> None:
    ((root, layer),) = layers().items()
    flipped = bytes([layer[0] ^ 1]) + layer[1:]
    lies: tuple[Any, ...] = (
        *({}, {root: b""}, {root: layer[:-1]}, {root: layer[:-32]}, {root: layer + bytes(32)}, {root: flipped}),
        *({root: layer, b"r" * 32: layer}, {b"r" * 32: layer}, {root: [layer]}, {root: 1}, b"", [], 1),
        {root: layer[32:64] + layer[:32] + layer[64:]},
    )
    for wrong in lies:
        assert code_of(v2_torrent(v2_info(), piece_layers=wrong)) == "bad_v2"
        assert code_of(v2_torrent(hybrid_info(), piece_layers=wrong)) == "bad_v2"
    assert code_of(torrent(v2_info())) == "bad_v2"


def test_d26_equal_files_share_one_layer_and_unequal_ones_cannot() -> None:
    twins = (("a", b"x" * 50_000), ("b", b"x" * 50_000))
    info = v2_info(twins)
    assert code_of(torrent(info, piece_layers=layers(twins))) is None
    info[b"file tree"][b"b"][b""][b"length"] = 70_000
    assert code_of(torrent(info, piece_layers=layers(twins))) == "bad_v2"


@given(st.integers(1, 70), st.integers(14, 18))
def test_the_root_of_a_layer_is_that_of_the_padded_tree_of_blocks(blocks: int, exponent: int) -> None:
    """Against BEP 52 read literally: a full binary tree over the blocks, missing leaves being zero."""
    leaves = [sha256(b"%d" % n).digest() for n in range(blocks)]
    per_piece = 2 ** (exponent - 14)
    whole = 1
    while whole < max(blocks, per_piece):
        whole *= 2
    level = leaves + [bytes(32)] * (whole - blocks)
    layer = b""
    while True:
        if len(level) == whole // per_piece:
            layer = b"".join(level[: -(-blocks // per_piece)])
        if len(level) == 1:
            break
        level = [sha256(left + right).digest() for left, right in zip(level[::2], level[1::2], strict=True)]
    assert layer_root(layer, 2**exponent) == level[0]


LEAF = {b"length": 5, b"pieces root": b"r" * 32}


@pytest.mark.parametrize(
    "tree",
    [
        *({}, [], 1, b"a", {b"": LEAF}, {b"a": LEAF}, {b"a": {}}, {b"a": {b"b": {}}}, {b"a": 1}, {b"a": {b"": 1}}),
        *({b"a": {b"": LEAF, b"b": {b"": LEAF}}}, {b"": {b"a": {b"": LEAF}}}, {b"": {b"": LEAF}}, {b"a": [LEAF]}),
    ],
)
def test_d27_a_file_tree_has_names_above_and_files_below(tree: Any) -> None:
    assert code_of(torrent(v2_info(file_tree=tree), piece_layers={})) == "bad_v2"


def test_d27_a_missing_file_tree_and_a_bottomless_one_are_refused() -> None:
    assert code_of(v2_torrent(without(v2_info(), b"file tree"))) == "bad_v2"
    assert code_of(b"d4:infod9:file tree" + b"d1:a" * 5000) == "too_deep"
    assert code_of(b"d4:infod9:file tree" + b"d1:a" * 60 + b"d0:de" + b"e" * 63) == "bad_name"


def test_d27_a_deep_but_lawful_tree_has_too_long_a_path() -> None:
    tree: Any = {b"": LEAF}
    for _ in range(33):
        tree = {b"a": tree}
    assert code_of(torrent(v2_info(file_tree=tree), piece_layers={})) == "bad_path"


@pytest.mark.parametrize(
    "change",
    [
        lambda files: files[0].update({b"length": 99_999}),
        lambda files: files[0].update({b"path": [b"b.txt"]}),
        lambda files: files[0].update({b"attr": b"p"}),
        lambda files: files.reverse(),
        lambda files: files.pop(),
        lambda files: files.append({b"length": 0, b"path": [b"more"]}),
    ],
    ids=["length", "path", "pad", "order", "fewer", "more"],
)
def test_d28_the_lists_of_a_hybrid_agree(change: Any) -> None:
    assert code_of(hybrid(change)) == "hybrid_mismatch"


def test_d28_the_pad_files_of_a_hybrid_fill_the_last_piece_of_a_file_exactly() -> None:
    pad = next(place for place, file in enumerate(hybrid_info()[b"files"]) if file.get(b"attr") == b"p")
    right = hybrid_info()[b"files"][pad][b"length"]

    def padded(length: int, files: Any) -> None:
        files[pad][b"length"] = length

    for wrong in (right - 1, right + 1, right + PIECE_LENGTH, 0):
        assert code_of(hybrid(partial(padded, wrong))) == "hybrid_mismatch"
    assert code_of(hybrid(lambda files: files.pop(pad))) == "hybrid_mismatch"
    assert code_of(hybrid(lambda files: files.insert(0, files[pad]))) == "hybrid_mismatch"
    tail = {b"attr": b"p", b"length": PIECE_LENGTH - 300, b"path": [b".pad", b"0"]}
    assert code_of(hybrid(lambda files: files.append(tail))) is None


def test_d28_padding_belongs_into_the_list_only() -> None:
    assert code_of(with_leaf(attr=b"p")) == "hybrid_mismatch"


def test_d28_a_hybrid_of_one_file_is_one_file_in_both_parts() -> None:
    one = without(hybrid_info(ONE), b"files") | {b"length": 50_000}
    assert code_of(torrent(one, piece_layers=layers(ONE))) is None
    assert code_of(torrent(one | {b"name": b"u"}, piece_layers=layers(ONE))) == "hybrid_mismatch"
    assert code_of(torrent(hybrid_info(ONE), piece_layers=layers(ONE))) == "hybrid_mismatch"
    assert code_of(torrent(hybrid_info(ONE, name=b"u"), piece_layers=layers(ONE))) is None
    assert code_of(torrent(without(one, b"pieces"), piece_layers=layers(ONE))) == "bad_pieces"
