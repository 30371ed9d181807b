"""Who announces what in benchmarks: users, torrents, and peers that are the same in every process and every run."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from random import Random
from typing import NamedTuple
from uuid import UUID

from domain.announce_keys import announce_key
from tracker_edge.access import Changes, TorrentRow, UserRow, changes

SECRET = b"bench" * 8
#: What such clients call themselves in peer ids (BEP 20) and in the header, by how often they are met.
CLIENTS = (
    (60, b"-qB5100-", b"qBittorrent/5.1.0"),
    (20, b"-TR4060-", b"Transmission/4.0.6"),
    (12, b"-DE2110-", b"Deluge/2.1.1 libtorrent/2.0.10.0"),
    (8, b"-lt0F80-", b"rtorrent/0.15.8/0.15.8"),
)
#: One torrent in so many is hybrid (BEP 52).
HYBRID_EVERY = 5
#: One peer in so many is a second client of the user before it in the swarm.
SECOND_CLIENT_EVERY = 50
#: Above what client rules refuse, below what systems give to outgoing connections.
FIRST_PORT, PORTS = 10_000, 20_000
_MIB = 2**20


class Torrent(NamedTuple):
    """`hashes` are the 20 bytes that clients announce: of v1, and of v2 cut short for a hybrid."""

    id: UUID
    hashes: tuple[bytes, ...]
    size: int  # bytes


class Peer(NamedTuple):
    """One client on one torrent; `user` and `torrent` are places in the catalogue."""

    user: int
    torrent: int
    rank: int  # its place in the swarm
    peer_id: bytes
    agent: bytes
    port: int
    key: int


@dataclass
class Catalogue:
    """Users, torrents and their announce keys: made up, or those of a running site (then `own_keys` are by user)."""

    users: Sequence[UUID]
    torrents: Sequence[Torrent]
    own_keys: Sequence[str] = ()
    seed: int = 0

    @property
    def room(self) -> int:
        """Peers with different (user, torrent), second clients apart."""
        return len(self.users) * len(self.torrents)

    def key(self, user: int, torrent: int) -> str:
        """The 32 characters of the user's announce URL."""
        if self.own_keys:
            return self.own_keys[user]
        return announce_key(SECRET, self.users[user], 1, self.torrents[torrent].id)

    def peer(self, number: int) -> Peer:
        """Peer `number` of at most `room`: swarms grow evenly, and nobody is in one twice but as a second client."""
        rank, torrent = divmod(number, len(self.torrents))
        owner = rank - 1 if rank % SECOND_CLIENT_EVERY == SECOND_CLIENT_EVERY - 1 else rank
        digest = blake2b(b"%d peer %d" % (self.seed, number), digest_size=16).digest()
        prefix, agent = self._clients[digest[0] % len(self._clients)]
        return Peer(
            user=(owner + 7 * torrent) % len(self.users),
            torrent=torrent,
            rank=rank,
            peer_id=prefix + urlsafe_b64encode(digest[:9]),
            agent=agent,
            port=FIRST_PORT + rank % PORTS,
            key=int.from_bytes(digest[9:13], "big"),
        )

    def peers(self, torrents: int) -> Iterator[int]:
        """Numbers of the peers of the first `torrents` torrents, swarm rank by swarm rank, without end."""
        rank = 0
        while True:
            yield from range(rank * len(self.torrents), rank * len(self.torrents) + torrents)
            rank += 1

    def access(self) -> Changes:
        """The edge's snapshot of a catalogue that is made up."""
        users = [UserRow(user_id=u, passkey_no=1, enabled=True, can_leech=True, changed_pos=1) for u in self.users]
        torrents = [
            TorrentRow(
                torrent_id=torrent.id,
                info_hash_v1=torrent.hashes[0],
                info_hash_v2=torrent.hashes[1] + bytes(12) if len(torrent.hashes) > 1 else None,
                state="approved",
                reason=None,
                size=torrent.size,
                changed_pos=1,
            )
            for torrent in self.torrents
        ]
        return changes(SECRET, users, torrents, (-1, -1), True)

    @cached_property
    def _clients(self) -> list[tuple[bytes, bytes]]:
        return [(prefix, agent) for share, prefix, agent in CLIENTS for _ in range(share)]


def made_up(users: int, torrents: int) -> Catalogue:
    """The same users and torrents in every process; sizes from 50 MiB to 80 GiB, most of them small."""
    rng = Random(f"{users} users, {torrents} torrents")
    return Catalogue(
        [UUID(bytes=rng.randbytes(16), version=4) for _ in range(users)],
        [_torrent(rng, hybrid=number % HYBRID_EVERY == 0) for number in range(torrents)],
    )


def _torrent(rng: Random, *, hybrid: bool) -> Torrent:
    size = int(min(max(rng.lognormvariate(7, 1.5), 50), 80_000) * _MIB) + rng.randrange(_MIB)
    hashes = (rng.randbytes(20), rng.randbytes(20)) if hybrid else (rng.randbytes(20),)
    return Torrent(UUID(bytes=rng.randbytes(16), version=4), hashes, size)
