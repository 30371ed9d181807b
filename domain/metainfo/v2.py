"""What do the file tree and the piece layers say (BEP 52), and do the layers really hash to the files' roots?"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from domain.metainfo import info as v1
from domain.metainfo import paths
from domain.metainfo.bencode import Value
from domain.metainfo.errors import InvalidMetainfo
from domain.metainfo.info import Dictionary

#: Leaves of the hash tree cover 16 KiB of a file; those beyond its end are 32 zero bytes.
BLOCK_BYTES = 16 * 1024
HASH_BYTES = 32
_ZERO_HASH = bytes(HASH_BYTES)


class TreeFile(NamedTuple):
    """A leaf of the file tree; `root` is the 32-byte root of its hash tree, None for an empty file."""

    path: str
    length: int
    root: bytes | None


def tree_files(info: Dictionary) -> list[TreeFile]:
    """The files in the order of the tree, which is that of the content; `bad_v2` and the codes of names and lengths."""
    if info.get(b"meta version") != 2:
        raise InvalidMetainfo("bad_v2", "The meta version is not 2.")
    leaves = _leaves(info.get(b"file tree"))
    texts = paths.check_paths([parts for parts, _ in leaves])
    files = [_file(path, leaf) for path, (_, leaf) in zip(texts, leaves, strict=True)]
    v1.refuse_unusable([(file.path, file.length) for file in files])
    return files


def _leaves(tree: Value | None) -> list[tuple[tuple[bytes, ...], Dictionary]]:
    """(path, properties) of each file; depth is bounded by that of the bencoding."""
    found: list[tuple[tuple[bytes, ...], Dictionary]] = []
    todo: list[tuple[tuple[bytes, ...], Value | None]] = [((), tree)]
    while todo:
        parts, node = todo.pop()
        if not isinstance(node, dict) or not node:
            raise InvalidMetainfo("bad_v2", "The file tree has a folder that is empty or not a dictionary.")
        leaf = node.get(b"")
        if leaf is None:
            todo.extend(((*parts, name), child) for name, child in reversed(node.items()))
        elif isinstance(leaf, dict) and len(node) == 1 and parts:
            found.append((parts, leaf))
        else:
            raise InvalidMetainfo("bad_v2", "The file tree has a file without a name, or one that is also a folder.")
        if len(found) > v1.MAX_FILES:
            raise v1.too_many_files()
    return found


def _file(path: str, leaf: Dictionary) -> TreeFile:
    if v1.is_pad(leaf):
        raise InvalidMetainfo("hybrid_mismatch", "The file tree has a pad file, which only the list of files may have.")
    length, root = v1.length(leaf), leaf.get(b"pieces root")
    if length == 0 and root is None:
        return TreeFile(path, 0, None)
    if length == 0 or not isinstance(root, bytes) or len(root) != HASH_BYTES or root == _ZERO_HASH:
        raise InvalidMetainfo("bad_v2", "A file's pieces root is missing, malformed or given for an empty file.")
    return TreeFile(path, length, root)


def refuse_wrong_layers(files: list[TreeFile], layers: Value | None, piece_length: int) -> None:
    """`bad_v2` unless `layers` has exactly the layers of the files longer than a piece, and each hashes to its root."""
    if sum(-(-file.length // piece_length) for file in files) > v1.MAX_PIECES:
        raise InvalidMetainfo("bad_pieces", f"The torrent has more than {v1.MAX_PIECES} pieces.")
    due = {(file.root, -(-file.length // piece_length)) for file in files if file.length > piece_length}
    if not isinstance(layers, dict) or len(layers) != len(due) or layers.keys() != {root for root, _ in due}:
        raise InvalidMetainfo("bad_v2", "The piece layers are missing, or are not those of the files.")
    for root, pieces in due:
        layer = layers[root or b""]
        if not isinstance(layer, bytes) or len(layer) != pieces * HASH_BYTES:
            raise InvalidMetainfo("bad_v2", "A piece layer does not fit the length of its file.")
        if layer_root(layer, piece_length) != root:
            raise InvalidMetainfo("bad_v2", "A piece layer does not hash to the root of its file.")


def layer_root(layer: bytes, piece_length: int) -> bytes:
    """The root of the hash tree above `layer`: SHA-256 hashes, 32 bytes for each piece of `piece_length` bytes."""
    pad, covered = _ZERO_HASH, BLOCK_BYTES
    while covered < piece_length:
        pad, covered = _parent(pad + pad), covered * 2
    while len(layer) > HASH_BYTES:
        if len(layer) % (2 * HASH_BYTES):
            layer += pad
        layer = b"".join([_parent(layer[at : at + 64]) for at in range(0, len(layer), 2 * HASH_BYTES)])
        pad = _parent(pad + pad)
    return layer


def _parent(children: bytes) -> bytes:
    return sha256(children).digest()
