"""The tree against its definition in RFC 9162, and its proofs against every tree of small sizes."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.audit import merkle
from runtime.audit.merkle import BadProof, Frontier, leaf_hash, node_hash

SIZES = range(1, 34)


def leaves(size: int) -> list[bytes]:
    return [leaf_hash(bytes([number])) for number in range(size)]


def defined(entries: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1, word for word."""
    if len(entries) == 1:
        return entries[0]
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return node_hash(defined(entries[:split]), defined(entries[split:]))


def nodes(size: int) -> merkle.Node:
    """The perfect subtrees as a growing tree keeps them."""
    kept, frontier = list[list[bytes]](), Frontier()
    for leaf in leaves(size):
        kept.append(frontier.append(leaf))
    return lambda level, index: kept[((index + 1) << level) - 1][level]


def test_the_hashes_have_the_prefixes_of_the_rfc() -> None:
    assert leaf_hash(b"") == bytes.fromhex("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")
    assert node_hash(b"a" * 32, b"b" * 32) == sha256(b"\x01" + b"a" * 32 + b"b" * 32).digest()


@pytest.mark.parametrize("size", SIZES)
def test_every_way_to_a_root_gives_the_defined_one(size: int) -> None:
    wanted, frontier = defined(leaves(size)), Frontier()
    for leaf in leaves(size):
        frontier.append(leaf)
    assert merkle.root(leaves(size)) == frontier.root == merkle.tree_root(nodes(size), size) == wanted
    assert Frontier(size, nodes(size)).root == wanted, "taken up from what is kept"


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_is_proved_and_no_other_is(size: int) -> None:
    root, node = defined(leaves(size)), nodes(SIZES[-1])
    for index, leaf in enumerate(leaves(size)):
        proof = merkle.inclusion(node, index, size)
        assert merkle.root_by_inclusion(leaf, index, size, proof) == root
        assert merkle.root_by_inclusion(leaf_hash(b"other"), index, size, proof) != root
        for wrong in [[*proof, root]] + [proof[:-1]] * bool(proof):
            with pytest.raises(BadProof):
                merkle.root_by_inclusion(leaf, index, size, wrong)


@pytest.mark.parametrize("new", SIZES)
def test_every_older_tree_is_the_beginning_and_no_other_is(new: int) -> None:
    node, new_root = nodes(new), defined(leaves(new))
    for old in range(1, new + 1):
        proof, old_root = merkle.consistency(node, old, new), defined(leaves(old))
        merkle.check_consistency(old, new, old_root, new_root, proof)
        for roots in ((leaf_hash(b"other"), new_root), (old_root, leaf_hash(b"other"))):
            with pytest.raises(BadProof):
                merkle.check_consistency(old, new, *roots, proof)


@given(st.integers(1, 32), st.integers(0, 31), st.integers(0, 255))
def test_a_proof_with_a_wrong_bit_proves_nothing(size: int, index: int, bit: int) -> None:
    index %= size
    proof, root = merkle.inclusion(nodes(size), index, size), defined(leaves(size))
    for number, one in enumerate(proof):
        flipped = (int.from_bytes(one, "big") ^ 1 << bit).to_bytes(32, "big")
        wrong = [*proof[:number], flipped, *proof[number + 1 :]]
        assert merkle.root_by_inclusion(leaves(size)[index], index, size, wrong) != root


@pytest.mark.parametrize(("index", "size"), [(1, 1), (-1, 4), (4, 4)])
def test_a_place_that_is_not_there_is_refused(index: int, size: int) -> None:
    with pytest.raises(BadProof):
        merkle.root_by_inclusion(leaf_hash(b""), index, size, [])
