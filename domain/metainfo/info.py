"""What does the info dictionary say in its version 1 part (BEP 3, BEP 27, pad files of BEP 47)?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from domain.metainfo import paths
from domain.metainfo.bencode import Value
from domain.metainfo.errors import InvalidMetainfo

Dictionary = Mapping[bytes, Value]

MAX_FILES = 20_000

#: Powers of two from the size of a block (BEP 52 asks for at least 16 KiB) up to 64 MiB.
PIECE_LENGTHS = frozenset(2**n for n in range(14, 27))

#: libtorrent's load_torrent_limits.max_pieces.
MAX_PIECES = 0x200000

#: More content than that many of the largest pieces hold cannot be described.
MAX_LENGTH = MAX_PIECES * max(PIECE_LENGTHS)

SHA1_BYTES = 20

#: BEP 47: x executable, h hidden, p pad file; l, a symbolic link, is refused (it may point out of the folder).
_ATTRIBUTES = frozenset(b"xhp")


#: One entry of the list of files: path, length in bytes, and whether it is padding (BEP 47). Plain tuples, because the
#: garbage collector does not visit them and 20,000 files are otherwise a quarter slower.
Entry: TypeAlias = tuple[str, int, bool]


def name(info: Dictionary) -> str:
    """The torrent's name; `bad_name`, `bad_encoding`."""
    _same_in_utf8(info, b"name", "bad_name")
    return paths.check_name(info.get(b"name"))


def piece_length(info: Dictionary) -> int:
    """Bytes per piece; `bad_piece_length`."""
    length = info.get(b"piece length")
    if type(length) is not int or length not in PIECE_LENGTHS:
        raise InvalidMetainfo("bad_piece_length", "The piece length is not a power of two from 16 KiB to 64 MiB.")
    return length


def entries(info: Dictionary, name: str) -> list[Entry]:
    """What `length` or `files` list, in order; in a single-file torrent the path is the torrent's name."""
    files = info.get(b"files")
    if (files is None) == (b"length" not in info):
        raise InvalidMetainfo("bad_length", "The torrent must have either a length or a list of files.")
    if files is None:
        found = [(name, length(info), is_pad(info))]
    elif isinstance(files, list) and files:
        found = _listed(files)
    else:
        raise InvalidMetainfo("bad_length", "The list of files is empty or not a list.")
    refuse_unusable([(path, length) for path, length, pad in found if not pad])
    return found


def _listed(files: list[Value]) -> list[Entry]:
    if len(files) > 2 * MAX_FILES:  # each file may be followed by padding
        raise too_many_files()
    lengths, pads, parts = [], [], []
    for file in files:
        if not isinstance(file, dict):
            raise InvalidMetainfo("bad_path", "The list of files has an entry that is not a dictionary.")
        path = file.get(b"path")
        if not isinstance(path, list):
            raise InvalidMetainfo("bad_path", "A file has no path.")
        if len(file) > 2:  # more than length and path: rare enough that most torrents skip these questions
            _same_in_utf8(file, b"path", "bad_path")
        parts.append(path)
        lengths.append(length(file))
        pads.append(len(file) > 2 and is_pad(file))
    return list(zip(paths.check_paths(parts), lengths, pads, strict=True))


def length(file: Dictionary) -> int:
    """The file's length in bytes; `bad_length`."""
    value = file.get(b"length")
    if type(value) is not int or not 0 <= value <= MAX_LENGTH:
        raise InvalidMetainfo("bad_length", "A file has no length, or an impossible one.")
    return value


def is_pad(file: Dictionary) -> bool:
    """Whether `attr` says padding; `symlink` for links and for attributes that BEP 47 does not know."""
    attributes = file.get(b"attr", b"")
    if not isinstance(attributes, bytes) or not _ATTRIBUTES.issuperset(attributes) or b"symlink path" in file:
        raise InvalidMetainfo("symlink", "A file is a symbolic link or has an unknown attribute.")
    return b"p" in attributes


def refuse_unusable(files: list[tuple[str, int]]) -> None:
    """Refuses lists of (path, length) that are too long, clash, or hold nothing at all."""
    if len(files) > MAX_FILES:
        raise too_many_files()
    if not any(length for _, length in files):
        raise InvalidMetainfo("bad_length", "All files are empty.")
    paths.refuse_conflicts([path for path, _ in files])


def too_many_files() -> InvalidMetainfo:
    return InvalidMetainfo("too_many_files", f"The torrent has more than {MAX_FILES} files.")


def refuse_wrong_pieces(info: Dictionary, size: int, piece_length: int) -> None:
    """`bad_pieces` unless there is one SHA-1 for each piece of `size` bytes, padding included."""
    pieces = info.get(b"pieces")
    count = -(-size // piece_length)
    if not isinstance(pieces, bytes) or len(pieces) != count * SHA1_BYTES or count > MAX_PIECES:
        raise InvalidMetainfo("bad_pieces", "The piece hashes are missing or do not fit the size of the content.")


def _same_in_utf8(holder: Dictionary, key: bytes, code: str) -> None:
    """Clients differ in whether they prefer `name.utf-8` to `name`, so the two may not differ."""
    if holder.get(key + b".utf-8", holder.get(key)) != holder.get(key):
        raise InvalidMetainfo(code, "The UTF-8 form of a name differs from the name.")
