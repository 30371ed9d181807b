"""Which uploads are .torrent files that we take, what do they contain, and what do we hand out instead?

What we hand out is rebuilt: the announce URL of the user, the info dictionary as uploaded (but private, BEP 27), the
piece layers of version 2 (BEP 52), and nothing else. So foreign trackers, web seeds, DHT nodes and the uploader's
client leave no trace in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1, sha256
from typing import NamedTuple

from domain.metainfo import info as v1
from domain.metainfo import v2
from domain.metainfo.bencode import Value, decode_members, encode
from domain.metainfo.errors import InvalidMetainfo
from domain.metainfo.hybrid import refuse_mismatch
from domain.metainfo.info import Dictionary

#: libtorrent's load_torrent_limits.max_buffer_size; larger uploads are cut off before they are read.
MAX_BYTES = 10 * 1024 * 1024

_V1_KEYS = (b"files", b"length", b"pieces")
_V2_KEYS = (b"file tree", b"meta version")
_PRIVATE = b"7:privatei1e"


class File(NamedTuple):
    """A file of the torrent: its path below the torrent's folder, joined with `/`, and its length in bytes."""

    path: str
    length: int


@dataclass(frozen=True, slots=True)
class Metainfo:
    """What a .torrent says, checked.

    `files` and `size` leave pad files out. In a single-file torrent the one path is the name. `info` is the canonical
    info dictionary that we hand out, with private = 1; if `private_added`, it differs from the uploaded one, and so do
    the hashes. `info_hash_v1` is 20 bytes of SHA-1, `info_hash_v2` 32 bytes of SHA-256, over `info`.
    """

    name: str
    files: tuple[File, ...]
    size: int
    piece_length: int
    private_added: bool
    info_hash_v1: bytes | None
    info_hash_v2: bytes | None
    info: bytes
    piece_layers: bytes | None


def parse(data: bytes) -> Metainfo:
    """The content of an uploaded .torrent (BEP 3, 27, 47, 52); `InvalidMetainfo`, and no other exception."""
    _refuse_unlikely(data)
    root, raw = decode_members(data)
    info = root.get(b"info")
    if not isinstance(info, dict) or not info:
        raise InvalidMetainfo("no_info", "The file has no info dictionary.")
    name, piece_length = v1.name(info), v1.piece_length(info)
    has_v2 = any(key in info for key in _V2_KEYS)
    has_v1 = not has_v2 or any(key in info for key in _V1_KEYS)
    entries = _v1_entries(info, name, piece_length) if has_v1 else []
    tree = _v2_files(info, root.get(b"piece layers"), piece_length) if has_v2 else []
    if has_v1 and has_v2:
        refuse_mismatch(entries, tree, name, piece_length, listed=b"files" in info)
    files = [(path, length) for path, length, pad in entries if not pad]
    if not has_v1:
        files = [(file.path, file.length) for file in tree]
    canonical = _private(info, raw[b"info"])
    return Metainfo(
        name=name,
        files=tuple(map(File._make, files)),
        size=sum(length for _, length in files),
        piece_length=piece_length,
        private_added=canonical != raw[b"info"],
        info_hash_v1=sha1(canonical, usedforsecurity=False).digest() if has_v1 else None,
        info_hash_v2=sha256(canonical).digest() if has_v2 else None,
        info=canonical,
        piece_layers=raw[b"piece layers"] if has_v2 else None,
    )


def announce_hashes(metainfo: Metainfo) -> tuple[bytes, ...]:
    """The 20-byte hashes that clients announce: that of version 1, and the truncated one of version 2 (BEP 52)."""
    hashes = (metainfo.info_hash_v1, metainfo.info_hash_v2)
    return tuple(digest[: v1.SHA1_BYTES] for digest in hashes if digest is not None)


def personal(info: bytes, piece_layers: bytes | None, announce_url: str, comment: str, second_url: str = "") -> bytes:
    """The .torrent for one user, from `Metainfo.info` and `Metainfo.piece_layers`, both verbatim.

    `second_url` is where clients go while `announce_url` does not answer: a tier of its own (BEP 12), since a private
    torrent uses one tracker at a time (BEP 27).
    """
    parts = [b"d8:announce", encode(announce_url.encode())]
    if second_url:
        parts += [b"13:announce-list", encode([[announce_url.encode()], [second_url.encode()]])]
    parts += [b"7:comment", encode(comment.encode()), b"4:info", info]
    if piece_layers is not None:
        parts += [b"12:piece layers", piece_layers]
    return b"".join([*parts, b"e"])


def personal_size(stored: int, announce_url: str, comment: str, second_url: str = "") -> int:
    """How many bytes `personal` makes of what is stored in so many: info dictionary and piece layers alone."""
    return stored + len(personal(b"", None, announce_url, comment, second_url)) - len(b"d4:infoe")


def _refuse_unlikely(data: bytes) -> None:
    if len(data) > MAX_BYTES:
        raise InvalidMetainfo("too_large", f"The file is larger than {MAX_BYTES} bytes.", status=413)
    if data[:64].lstrip().lower().startswith(b"magnet:"):
        raise InvalidMetainfo("not_supported", "Magnet links are not supported; upload the .torrent file.")


def _v1_entries(info: Dictionary, name: str, piece_length: int) -> list[v1.Entry]:
    entries = v1.entries(info, name)
    v1.refuse_wrong_pieces(info, sum(length for _, length, _ in entries), piece_length)
    return entries


def _v2_files(info: Dictionary, layers: Value | None, piece_length: int) -> list[v2.TreeFile]:
    files = v2.tree_files(info)
    v2.refuse_wrong_layers(files, layers, piece_length)
    return files


def _private(info: Dictionary, raw: bytes) -> bytes:
    """`raw`, the encoding of `info`, with private = 1 (BEP 27).

    Canonical encoding makes splicing exact; only the few short keys after `private` are encoded again.
    """
    private = info.get(b"private")
    if type(private) is int and private == 1:
        return raw
    after = encode({key: value for key, value in info.items() if key > b"private"})[1:-1]
    replaced = 0 if private is None else len(encode({b"private": private})) - 2
    kept = len(raw) - len(after) - replaced - 1
    return b"".join([raw[:kept], _PRIVATE, after, b"e"])
