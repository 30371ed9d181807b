"""Edges that ship announces straight into the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from domain.announce_addresses import encrypted
from domain.announces import Announce, Event, encode
from domain.base import SYSTEM
from domain.peers import EdgeJournal
from domain.torrents import Torrent
from runtime import journal
from runtime.platform import Platform
from tests.given import NOON, event, rows_of

ADA, GRACE = UUID(int=0xADA), UUID(int=0x62ACE)
FILM, ALBUM = UUID(int=0xF117), UUID(int=0xA1B)

#: A record's place in time: seconds after noon.
START_US = int(NOON.timestamp() * 1_000_000)
IPV4, IPV6 = bytes([192, 0, 2, 1]), bytes.fromhex("20010db8000000000000000000000001")


def announce(
    at_s: float = 0,
    event: Event = Event.REGULAR,
    *,
    user: UUID = ADA,
    torrent: UUID = FILM,
    client: int = 1,
    up: int = 0,
    down: int = 0,
    left: int = 0,
    address: bytes = IPV4,
    port: int = 6881,
) -> Announce:
    """One record; `client` tells a user's clients apart."""
    peer_id = b"-qB5100-" + uuid5(user, str(client)).bytes[:12]
    at_us = START_US + round(at_s * 1_000_000)
    return Announce(at_us, user.bytes, torrent.bytes, peer_id, event, up, down, left, address, port, 0)


def uploaded(torrent: UUID, size: int) -> Torrent.Uploaded:
    """Somebody's upload of a torrent that has no other event yet."""
    return event(  # type: ignore[no-any-return]
        Torrent.Uploaded,
        torrent,
        uploader_id=ADA,
        name="name",
        description="",
        category="movies-hd",
        tags=[],
        anonymous=False,
        info_hash_v1="00" * 20,
        info_hash_v2=None,
        size=size,
        piece_length=16384,
        file_paths=["a"],
        file_lengths=[size],
        metainfo_sha256="00" * 32,
    )


class ShippingEdge:
    """One edge's end of its chain."""

    def __init__(self, platform: Platform, edge_id: str = "edge-1") -> None:
        self.platform = platform
        self.edge_id = edge_id
        self.seq = 0
        self.previous = journal.GENESIS

    def ship(self, *segments: Sequence[Announce]) -> int:
        """Each argument becomes one segment, all of them one fact; returns its position."""
        sealed = [self._sealed(records) for records in segments]

        def insert(cursor: Any) -> None:
            for segment in sealed:
                journal.insert(cursor, segment)

        return self.platform.store(SYSTEM, "edge").record(
            EdgeJournal.SegmentsRecorded,
            EdgeJournal.stream_id(self.edge_id),
            beside=insert,
            edge_id=self.edge_id,
            first_seq=sealed[0].seq,
            last_seq=self.seq,
            announces=sum(map(len, segments)),
            sha256=self.previous.hex(),
        )

    def _sealed(self, records: Sequence[Announce]) -> journal.Segment:
        times = sorted(datetime.fromtimestamp(r.received_at_us // 1_000_000, UTC) for r in records)
        first, last = times[0], times[-1] + timedelta(seconds=1)
        self.seq += 1
        segment = journal.seal(
            self.edge_id,
            self.seq,
            len(records),
            first,
            last,
            self.previous,
            encrypted(encode(records), self.platform.keyring.write_keys),
        )
        self.previous = segment.sha256
        return segment


def stats(platform: Platform, user: UUID) -> dict[str, int]:
    """The user's row, zeros when there is none."""
    names = (
        "uploaded",
        "downloaded",
        "raw_uploaded",
        "raw_downloaded",
        "seeding",
        "leeching",
        "snatched",
        "seed_time_s",
    )
    rows = rows_of(platform, f"SELECT {', '.join(names)} FROM read.user_stats WHERE user_id = %s", [user])
    return dict(zip(names, rows[0] if rows else [0] * len(names), strict=True))


def swarm(platform: Platform, torrent: UUID) -> tuple[int, ...]:
    """Seeders, leechers, times completed; zeros when nobody has announced."""
    rows = rows_of(
        platform,
        "SELECT seeders, leechers, times_completed FROM read.torrent_stats WHERE torrent_id = %s",
        [torrent],
    )
    return rows[0] if rows else (0, 0, 0)
