"""Torrents for the tests: built by hand from a few bytes of content, or made by libtorrent from files."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any

import libtorrent as lt

from domain.metainfo import InvalidMetainfo, parse
from domain.metainfo.bencode import Value, encode
from domain.metainfo.v2 import BLOCK_BYTES, layer_root

PIECE_LENGTH = 16 * 1024

Tree = dict[bytes, Any]


def body(length: int, mark: bytes = b"x") -> bytes:
    """Content in which no two pieces are alike."""
    return b"".join(b"%b%07d" % (mark, number) for number in range(length // 8 + 1))[:length]


#: (path, content); sorted, as a file tree is. One file is longer than a piece, one empty, one a piece, one shorter.
CONTENT = (
    ("a.txt", body(100_000, b"a")),
    ("empty", b""),
    ("sub/b.bin", body(PIECE_LENGTH, b"b")),
    ("sub/c.bin", body(300, b"c")),
)

#: The content of torrents of one file, whose path is their name.
ONE = (("t", body(50_000)),)


def code_of(data: bytes) -> str | None:
    """The code with which `data` is refused, None if it is accepted; any other exception goes through."""
    try:
        parse(data)
    except InvalidMetainfo as error:
        return error.code
    return None


def v1_info(content: Sequence[tuple[str, bytes]] = CONTENT, **changes: Any) -> Tree:
    """A version 1 info dictionary of several files; keyword `piece_length` stands for the key `piece length`."""
    files = [_entry(path, held) for path, held in content]
    return changed(_v1(files, b"".join(held for _, held in content)), changes)


def single_info(content: bytes = ONE[0][1], **changes: Any) -> Tree:
    """A version 1 info dictionary of one file."""
    info = _v1([], content)
    del info[b"files"]
    return changed({**info, b"length": len(content)}, changes)


def v2_info(content: Sequence[tuple[str, bytes]] = CONTENT, **changes: Any) -> Tree:
    """A version 2 info dictionary; `layers(content)` are its piece layers."""
    tree: Tree = {}
    for path, held in content:
        node = tree
        for part in path.encode().split(b"/"):
            node = node.setdefault(part, {})
        root = {b"pieces root": layer_root(_layer(held), PIECE_LENGTH)} if held else {}
        node[b""] = {b"length": len(held), **root}
    info = {b"file tree": tree, b"meta version": 2, b"name": b"t", b"piece length": PIECE_LENGTH, b"private": 1}
    return changed(info, changes)


def hybrid_info(content: Sequence[tuple[str, bytes]] = CONTENT, **changes: Any) -> Tree:
    """Both at once, with pad files between the files that need them."""
    files: list[Value] = []
    whole = b""
    for path, held in content:
        if held and len(whole) % PIECE_LENGTH:
            pad = -len(whole) % PIECE_LENGTH
            files.append({b"attr": b"p", b"length": pad, b"path": [b".pad", b"%d" % pad]})
            whole += bytes(pad)
        files.append(_entry(path, held))
        whole += held
    return changed(v2_info(content) | _v1(files, whole), changes)


def layers(content: Sequence[tuple[str, bytes]] = CONTENT) -> Tree:
    """The piece layers of `v2_info(content)` and `hybrid_info(content)`."""
    long = [_layer(held) for _, held in content if len(held) > PIECE_LENGTH]
    return {layer_root(layer, PIECE_LENGTH): layer for layer in long}


def torrent(info: Any, **more: Any) -> bytes:
    """The .torrent around `info`; further top-level keys as keywords, `piece_layers` for `piece layers`."""
    return encode(changed({b"announce": b"http://tracker.example/announce", b"info": info}, more))


def changed(value: Tree, changes: dict[str, Any]) -> Tree:
    """`value` with other members; a keyword's underscores stand for blanks."""
    return value | {key.replace("_", " ").encode(): each for key, each in changes.items()}


def without(value: Tree, *keys: bytes) -> Tree:
    return {key: each for key, each in value.items() if key not in keys}


def with_paths(*paths: Any) -> bytes:
    """A version 1 torrent with a one-byte file at each path, given as text or as whatever `path` shall be."""
    files = [{b"length": 1, b"path": each.encode().split(b"/") if isinstance(each, str) else each} for each in paths]
    return torrent(v1_info(files=files, pieces=bytes(-(-len(files) // PIECE_LENGTH) * 20)))


def v2_torrent(info: Any, **more: Any) -> bytes:
    return torrent(info, **{"piece_layers": layers(), **more})


def with_leaf(**changes: Any) -> bytes:
    """The version 2 torrent whose first file has other properties; None takes one away."""
    info = v2_info()
    leaf = info[b"file tree"][b"a.txt"][b""]
    leaf.update({key.replace("_", " ").encode(): value for key, value in changes.items()})
    for key in [key for key, value in leaf.items() if value is None]:
        del leaf[key]
    return v2_torrent(info)


def with_tree(tree: Any) -> bytes:
    return v2_torrent(v2_info(file_tree=tree))


def hybrid(change: Any) -> bytes:
    """The hybrid torrent after `change(its list of files)`."""
    info = hybrid_info()
    change(info[b"files"])
    size = sum(file[b"length"] for file in info[b"files"])
    return v2_torrent(info | {b"pieces": bytes(-(-size // PIECE_LENGTH) * 20)})


def good_torrents() -> dict[str, bytes]:
    return {
        "v1 single": torrent(single_info()),
        "v1 multi": torrent(v1_info()),
        "v2 single": torrent(v2_info(ONE), piece_layers=layers(ONE)),
        "v2 multi": torrent(v2_info(), piece_layers=layers()),
        "hybrid single": torrent(
            without(hybrid_info(ONE), b"files") | {b"length": len(ONE[0][1])}, piece_layers=layers(ONE)
        ),
        "hybrid multi": torrent(hybrid_info(), piece_layers=layers()),
    }


def made_by_libtorrent(folder: Path, flags: int, *, single: bool, private: bool = True) -> bytes:
    """A torrent of files written below `folder`, as libtorrent's own creator makes it."""
    root = folder / "t"
    for path, held in (("", ONE[0][1]),) if single else CONTENT:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(held)
    creator = lt.create_torrent(lt.list_files(str(root)), PIECE_LENGTH, flags)
    creator.set_priv(private)
    creator.add_tracker("http://other.example/announce")
    lt.set_piece_hashes(creator, str(folder))
    return bytes(lt.bencode(creator.generate()))


def _entry(path: str, held: bytes) -> Tree:
    return {b"length": len(held), b"path": path.encode().split(b"/")}


def _v1(files: Sequence[Value], whole: bytes) -> Tree:
    pieces = [sha1(whole[at : at + PIECE_LENGTH]).digest() for at in range(0, len(whole), PIECE_LENGTH)]
    fixed = {b"name": b"t", b"piece length": PIECE_LENGTH, b"private": 1}
    return {**fixed, b"files": list(files), b"pieces": b"".join(pieces)}


def _layer(held: bytes) -> bytes:
    """Hashes of the pieces, which are one block each here."""
    assert PIECE_LENGTH == BLOCK_BYTES
    return b"".join(sha256(held[at : at + BLOCK_BYTES]).digest() for at in range(0, len(held), BLOCK_BYTES))
