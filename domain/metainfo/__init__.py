"""Strict .torrent files: what an upload says (version 1, version 2, hybrid), and what we hand out for it."""

from __future__ import annotations

from domain.metainfo.errors import InvalidMetainfo
from domain.metainfo.torrent import MAX_BYTES, File, Metainfo, announce_hashes, parse, personal, personal_size

__all__ = ["MAX_BYTES", "File", "InvalidMetainfo", "Metainfo", "announce_hashes", "parse", "personal", "personal_size"]
