"""Do the two file lists of a hybrid torrent describe the same content (BEP 52, "Upgrade Path"; BEP 47)?"""

from __future__ import annotations

from domain.metainfo.errors import InvalidMetainfo
from domain.metainfo.info import Entry
from domain.metainfo.v2 import TreeFile


def refuse_mismatch(entries: list[Entry], tree: list[TreeFile], name: str, piece_length: int, *, listed: bool) -> None:
    """`hybrid_mismatch` unless both name the same files in the same order, each starting on a piece boundary.

    `listed`: the version 1 part has a list of files, so that clients put them into a folder called `name`.
    """
    files = [(path, length) for path, length, pad in entries if not pad]
    if files != [(file.path, file.length) for file in tree]:
        raise InvalidMetainfo("hybrid_mismatch", "The version 1 and version 2 parts list different files.")
    if listed and [file.path for file in tree] == [name]:
        raise InvalidMetainfo("hybrid_mismatch", "The torrent is one file in version 2, and a folder in version 1.")
    _refuse_misaligned(entries, piece_length)


def _refuse_misaligned(entries: list[Entry], piece_length: int) -> None:
    offset = 0
    for _, length, pad in entries:
        if not pad and length and offset % piece_length:
            raise InvalidMetainfo("hybrid_mismatch", "A file does not start on a piece boundary.")
        offset += length
        if pad and (offset % piece_length or not 0 < length < piece_length):
            raise InvalidMetainfo("hybrid_mismatch", "A pad file does not end at the next piece boundary.")
