"""Merkle trees as RFC 9162 section 2.1 has them: roots, and proofs that need a few hashes only.

A tree that grows is known by its perfect subtrees: `node(level, index)` is the root of the leaves from
`index << level` on, `1 << level` of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

Node = Callable[[int, int], bytes]


class BadProof(Exception):
    """The hashes do not prove what they should."""


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over at least one leaf hash."""
    level = leaves
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        odd = level[-1:] if len(level) % 2 else ()
        level = [*(sha256(b"\x01" + left + right).digest() for left, right in pairs), *odd]
    return level[0]


class Frontier:
    """The perfect subtrees that a tree of some size consists of, largest first: enough to make it grow."""

    def __init__(self, size: int = 0, node: Node | None = None) -> None:
        """Of an empty tree, or of one whose nodes are known."""
        self._peaks: list[tuple[int, bytes]] = []
        begin = 0
        for level in reversed(range(size.bit_length())):
            if size >> level & 1:
                assert node is not None
                self._peaks.append((level, node(level, begin >> level)))
                begin += 1 << level

    def append(self, leaf: bytes) -> list[bytes]:
        """The perfect subtrees that this leaf completes, smallest first: itself to begin with."""
        done = [leaf]
        while self._peaks and self._peaks[-1][0] == len(done) - 1:
            done.append(node_hash(self._peaks.pop()[1], done[-1]))
        self._peaks.append((len(done) - 1, done[-1]))
        return done

    @property
    def root(self) -> bytes:
        *others, (_, found) = self._peaks
        for _, peak in reversed(others):
            found = node_hash(peak, found)
        return found


def tree_root(node: Node, size: int) -> bytes:
    """The root of the tree when it had so many leaves."""
    return _subtree(node, 0, size)


def inclusion(node: Node, index: int, size: int) -> list[bytes]:
    """Proves that the leaf is in the tree of that size (RFC 9162 section 2.1.3.1)."""

    def path(begin: int, end: int) -> list[bytes]:
        if end - begin == 1:
            return []
        middle = begin + _split(end - begin)
        if index < middle:
            return [*path(begin, middle), _subtree(node, middle, end)]
        return [*path(middle, end), _subtree(node, begin, middle)]

    return path(0, size)


def consistency(node: Node, old: int, new: int) -> list[bytes]:
    """Proves that the tree of size `new` begins with the one of size `old` (RFC 9162 section 2.1.4.1)."""

    def proof(size: int, begin: int, end: int, *, known: bool) -> list[bytes]:
        if size == end - begin:
            return [] if known else [_subtree(node, begin, end)]
        split = _split(end - begin)
        middle = begin + split
        if size <= split:
            return [*proof(size, begin, middle, known=known), _subtree(node, middle, end)]
        return [*proof(size - split, middle, end, known=False), _subtree(node, begin, middle)]

    return proof(old, 0, new, known=True)


def root_by_inclusion(leaf: bytes, index: int, size: int, proof: Iterable[bytes]) -> bytes:
    """The root of a tree that has the leaf there (RFC 9162 section 2.1.3.2). Raises `BadProof`."""
    place, last, found = index, size - 1, leaf
    if not 0 <= index < size:
        raise BadProof("there is no such leaf in a tree of that size")
    for sibling in proof:
        if last == 0:
            raise BadProof("the proof is too long")
        if place & 1 or place == last:
            found = node_hash(sibling, found)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise BadProof("the proof is too short")
    return found


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raises `BadProof` unless the tree of the new root begins with that of the old one (RFC 9162 section 2.1.4.2)."""
    if not 0 < old <= new:
        raise BadProof("the old tree is the smaller one and not empty")
    if old == new:
        if proof or old_root != new_root:
            raise BadProof("two trees of one size differ")
        return
    hashes = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not hashes:
        raise BadProof("the proof is empty")
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    was = now = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise BadProof("the proof is too long")
        if place & 1 or place == last:
            was, now = node_hash(sibling, was), node_hash(sibling, now)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            now = node_hash(now, sibling)
        place, last = place >> 1, last >> 1
    if last or (was, now) != (old_root, new_root):
        raise BadProof("the new tree does not begin with the old one")


def _subtree(node: Node, begin: int, end: int) -> bytes:
    """The root over a range that begins where a perfect subtree of its size would."""
    size = end - begin
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return node(level, begin >> level)
    middle = begin + _split(size)
    return node_hash(_subtree(node, begin, middle), _subtree(node, middle, end))


def _split(size: int) -> int:
    """The largest power of two below `size`, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1
