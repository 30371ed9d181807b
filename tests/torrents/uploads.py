"""Torrents to upload: as the domain makes them, and as files."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from domain.metainfo import File, Metainfo
from domain.torrents import Torrent
from runtime.store import new_id
from tests.metainfo.samples import single_info, torrent


def metainfo(n: int = 0, *, size: int = 1000) -> Metainfo:
    """A checked .torrent of two files; another `n` is another torrent."""
    return Metainfo(
        name=f"name {n}",
        files=(File("a.bin", size - 1), File("b/c.bin", 1)),
        size=size,
        piece_length=16384,
        private_added=False,
        info_hash_v1=n.to_bytes(20, "big"),
        info_hash_v2=None,
        info=b"de",
        piece_layers=None,
    )


def upload(n: int = 0, **changes: Any) -> Torrent:
    """A new torrent as the domain makes it."""
    fields: dict[str, Any] = {
        "uploader_id": UUID(int=7),
        "name": f"Upload {n}",
        "description": "About it",
        "category": "movies-hd",
        "tags": ["drama"],
        "anonymous": False,
        "metainfo_sha256": "00" * 32,
        "trusted": False,
    }
    size = changes.pop("size", 1000)
    return Torrent.upload(new_id(), metainfo(n, size=size), **(fields | changes))


def file_of(name: str, **more: Any) -> bytes:
    """A .torrent file; another name is another info-hash."""
    return torrent(single_info(name=name.encode(), **more))
