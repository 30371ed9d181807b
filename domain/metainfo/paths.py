"""Which names may a torrent's files have, so that every client on every system writes them where it should?

All paths of a torrent are looked at together, as one run of bytes, because a torrent may have 20,000 of them. The
floor is what Windows forbids; above it stands what deceives a reader (bidirectional controls, invisible characters).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from unicodedata import normalize

from domain.metainfo.bencode import Value
from domain.metainfo.errors import InvalidMetainfo

#: Longest file name of the usual file systems (NAME_MAX), and longest path of Linux (PATH_MAX), in bytes.
MAX_COMPONENT_BYTES = 255
MAX_PATH_BYTES = 4096

MAX_PATH_PARTS = 32

#: Control characters, and what Windows forbids in file names (Win32 "Naming Files, Paths, and Namespaces").
_FORBIDDEN = bytes(range(1, 32)) + b'\x7f<>:"|?*\\'

#: Device names of Windows, with or without an extension, in a run of lower-case components between NULs.
_RESERVED = re.compile(
    rb"\0(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)(?:[0-9]|\xc2[\xb9\xb2\xb3])) *(?:\.[^\0]*)?\0"
)

#: C1 controls, line separators, bidirectional controls, zero-width and other invisible characters, tags,
#: non-characters. Variation selectors up to U+FE0F stay allowed: emoji need them.
_INVISIBLE = re.compile(
    "[\x80-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_EDGE_SPACE = re.compile(r"\0\s|\s\0")


def check_name(raw: Value | None) -> str:
    """The torrent's own name as text; `bad_name` or `bad_encoding`."""
    if not isinstance(raw, bytes):
        raise InvalidMetainfo("bad_name", "The torrent has no name.")
    if raw[:1] in (b".", b"-", b"~"):
        # Inside the torrent's folder such names are harmless and common; on top a shell takes them for something else.
        raise InvalidMetainfo("bad_name", "The name starts with a dot, a dash or a tilde.")
    return check_paths([[raw]], "bad_name", "The name")[0]


def check_paths(paths: Sequence[Sequence[Value]], code: str = "bad_path", what: str = "A path") -> list[str]:
    """The paths, each given as its components, as text joined with `/`; raises `code` or `bad_encoding`."""
    if max(map(len, paths), default=0) > MAX_PATH_PARTS:
        raise InvalidMetainfo(code, f"{what} has more than {MAX_PATH_PARTS} parts.")
    try:
        joined = b"\0".join([b"/".join(parts) for parts in paths])  # type: ignore[arg-type]
    except TypeError:
        raise InvalidMetainfo(code, f"{what} has a part that is not a string.") from None
    if joined.count(b"\0") != len(paths) - 1 or joined.count(b"/") != sum(map(len, paths)) - len(paths):
        raise InvalidMetainfo(code, f"{what} is empty or has a slash or a NUL in a part.")
    try:
        text = joined.decode()
    except UnicodeDecodeError:
        raise InvalidMetainfo("bad_encoding", f"{what} is not UTF-8.") from None
    if flaw := _flaw(joined, text):
        raise InvalidMetainfo(code, f"{what} {flaw}.")
    return text.split("\0")


def _flaw(joined: bytes, text: str) -> str | None:
    """What is wrong with any of the paths (joined with NUL, their parts with `/`), as the end of a sentence."""
    framed = b"\0%b\0" % joined.replace(b"/", b"\0")
    if b"\0\0" in framed:
        return "has an empty part"
    if max(map(len, framed.split(b"\0"))) > MAX_COMPONENT_BYTES:
        return f"has a part of more than {MAX_COMPONENT_BYTES} bytes"
    if max(map(len, joined.split(b"\0"))) > MAX_PATH_BYTES:
        return f"has more than {MAX_PATH_BYTES} bytes"
    if len(framed.translate(None, _FORBIDDEN)) != len(framed):
        return "has a control character or one that Windows forbids"
    if b".\0" in framed or b" \0" in framed or b"\0 " in framed:
        return "has a part that ends with a dot, or starts or ends with a space"
    if _RESERVED.search(framed.lower()):
        return "has a part that is a device on Windows"
    return None if framed.isascii() else _unicode_flaw(text)


def _unicode_flaw(text: str) -> str | None:
    if _INVISIBLE.search(text):
        return "has an invisible character or one that changes the direction of text"
    if _EDGE_SPACE.search("\0" + text.replace("/", "\0") + "\0"):
        return "has a part that starts or ends with a space"
    return None


def refuse_conflicts(paths: Sequence[str]) -> None:
    """`path_conflict` if two files would be one on a file system without case (or with normalisation), or if a file
    is also the folder of another. Two spellings of one folder are no conflict: file systems merge them."""
    folded = _folded("\0".join(paths)).split("\0")
    files = set(folded)
    if len(files) != len(folded):
        raise InvalidMetainfo("path_conflict", "Two files have the same path, apart from case or Unicode form.")
    folders = {path.rpartition("/")[0] for path in files}
    while folders:
        if not folders.isdisjoint(files):
            raise InvalidMetainfo("path_conflict", "A file has the same path as the folder of another.")
        folders = {folder.rpartition("/")[0] for folder in folders if folder}


def _folded(text: str) -> str:
    """Equal for texts that file systems may take for one another. No character composes with NUL or a slash."""
    return text.lower() if text.isascii() else normalize("NFC", normalize("NFC", text).casefold())
