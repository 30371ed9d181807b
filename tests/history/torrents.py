"""Each member's upload is rejected, approved, promoted, and deleted in the end."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha1
from uuid import UUID, uuid4

from domain.base import SYSTEM
from domain.factors import Factors
from domain.metainfo import File, Metainfo
from domain.torrents import Torrent
from tests.history.past import NOW, Past


def tell(past: Past) -> None:
    past.torrents.extend(_torrent(past, user.id, n) for n, user in enumerate(past.users))


def tell_the_end(past: Past) -> None:
    for user, torrent in zip(past.users, past.torrents, strict=True):
        torrent.delete("the end", by=user.id, staff=True, now=NOW)
        past.save(torrent, actor=user.id)


def _torrent(past: Past, uploader_id: UUID, n: int) -> Torrent:
    torrent = Torrent.upload(
        uuid4(),
        Metainfo(
            name=f"name {n}",
            files=(File("a", 700), File("b/c", 300)),
            size=1000,
            piece_length=16384,
            private_added=False,
            info_hash_v1=sha1(str(n).encode()).digest(),
            info_hash_v2=None if n else bytes(range(32)),
            info=b"de",
            piece_layers=None,
        ),
        uploader_id=uploader_id,
        name=f"An Upload {n}",
        description="About it",
        category="movies-hd",
        tags=["drama", f"tag-{n}"],
        anonymous=bool(n),
        metainfo_sha256="00" * 32,
        trusted=False,
    )
    torrent.reject("wrong category")
    torrent.approve(SYSTEM)
    torrent.grant_freeleech(NOW + timedelta(days=1), now=NOW)
    torrent.end_freeleech(now=NOW)
    torrent.promote(Factors(200, 50), None, now=NOW)
    torrent.end_promotion(now=NOW)
    past.save(torrent, actor=uploader_id)
    return torrent
