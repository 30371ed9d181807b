"""One announce or scrape decided, without sockets: what is answered, what is journaled, or why it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from domain.announce_keys import HALF
from domain.announces import Announce, Event, pack, pack_row
from tracker_edge.access import APPROVED, PASSKEY_NOT_FOUND, Access, Torrent
from tracker_edge.others import Latest
from tracker_edge.protocol.compact import may_hand_out
from tracker_edge.protocol.types import (
    DEFAULT_NUMWANT,
    AccountDisabled,
    Counts,
    LeechingForbidden,
    PasskeyNotFound,
    Peer,
    Query,
    Reply,
    TorrentDeleted,
    TorrentPending,
    TorrentRejected,
    UnregisteredTorrent,
)
from tracker_edge.swarms import Gone, Swarms

#: Clients' timers and ours differ, and a retry comes early: only what is well before `min interval` counts as early.
EARLY_SLACK_S = 60
EARLY = b"Announced before min interval: no peers this time"


class Answer(NamedTuple):
    """An accepted announce: the reply, to be sent once the row is durable."""

    reply: Reply
    row: bytes


class Tracker:
    """The rules of one edge over its access snapshot and its swarms."""

    def __init__(
        self,
        access: Access,
        swarms: Swarms,
        *,
        interval_s: int = 1800,
        min_interval_s: int = 900,
        numwant_max: int = 50,
    ) -> None:
        self.access = access
        self.swarms = swarms
        self._interval_s = interval_s
        self.min_interval_s = min_interval_s
        self._early_s = min_interval_s - EARLY_SLACK_S
        self.latest: Latest | None = None  # kept while there are other edges
        self._numwant_max = numwant_max
        self._numwant = min(DEFAULT_NUMWANT, numwant_max)

    def announce(self, query: Query, key: bytes, address: bytes, now_us: int, now_s: int) -> Answer:
        """Applies the announce to the swarm and answers it; raises `Refused`, and then nothing has changed.

        `address` is the client's (4 or 16 bytes), `now_us` UTC microseconds for the journal, `now_s` seconds of the
        swarms' clock.
        """
        info_hash, peer_id, port, uploaded, downloaded, left, event, numwant, compact, no_peer_id, client_key = query
        torrent = self.access.torrent(info_hash)
        user = self.access.user(key, torrent)
        if torrent is None:
            raise UnregisteredTorrent("Unregistered torrent")
        if torrent.state != APPROVED:
            raise _closed(torrent)
        if not user.enabled:
            raise AccountDisabled("Account is disabled")
        if left and not user.can_leech and event != Event.STOPPED:
            raise LeechingForbidden("Downloading is not allowed for this account")
        if left > torrent.size > 0:  # Transmission says 2^63-1 while it has no metadata
            left = torrent.size
        swarms = self.swarms
        swarm = swarms.swarm(torrent.id)
        ago = swarms.announce(swarm, user.id, peer_id, event, left, address, port, now_s)
        if self.latest is not None:
            self.latest.note(torrent.id + user.id + peer_id, event, now_us)
        early = ago is not None and ago < self._early_s and event == Event.REGULAR
        wanted = self._numwant if numwant < 0 else min(numwant, self._numwant_max)
        if early or event == Event.STOPPED:
            wanted = 0
        six = len(address) == 16
        peers: bytes | list[Peer]
        first, slots = swarms.draw(swarm, user.id, wanted, six=six, seeder=left == 0)
        has_six = swarm.seed6 is not None or swarm.leech6 is not None
        both = six or (has_six and swarms.has_six(swarm, user.id, peer_id))
        second, more = bytearray(), bytearray()
        if both:
            wanted -= len(slots) >> 2
            second, more = swarms.draw(swarm, user.id, wanted, six=not six, seeder=left == 0)
        if compact:
            peers, peers6 = (bytes(second), bytes(first)) if six else (bytes(first), bytes(second) if both else None)
        else:
            peers, peers6 = swarms.peers(first, slots) + swarms.peers(second, more), None
            if no_peer_id:
                peers = [peer._replace(peer_id=b"") for peer in peers]
        reply = Reply(
            swarm.seeders,
            swarm.leechers,
            swarm.completed,
            self._interval_s,
            self.min_interval_s,
            peers,
            peers6,
            EARLY if early else None,
            # BEP 24, once a session: a client that is told 127.0.0.1 by its tracker learns nothing.
            address if event == Event.STARTED and may_hand_out(address, allow_private=False) else None,
        )
        return Answer(
            reply,
            pack_row(
                now_us,
                uploaded,
                downloaded,
                left,
                client_key,
                port,
                event,
                len(address),
                user.id,
                torrent.id,
                peer_id,
                address,
            ),
        )

    def scrape(self, hashes: Sequence[bytes], key: bytes) -> dict[bytes, Counts]:
        """The numbers of the open torrents among these that the key opens; raises `Refused`.

        Unknown and closed torrents are left out alike. A key that opens none of the known ones is no key.
        """
        user = self.access.user(key, None)
        known = [(info_hash, torrent) for info_hash in hashes if (torrent := self.access.torrent(info_hash))]
        opened = [(info_hash, torrent) for info_hash, torrent in known if user.opens(key[HALF:], torrent)]
        if known and not opened:
            raise PasskeyNotFound(PASSKEY_NOT_FOUND)
        if not user.enabled:
            raise AccountDisabled("Account is disabled")
        return {h: self.swarms.counts(torrent.id) for h, torrent in opened if torrent.state == APPROVED}

    def counts(self, hashes: Sequence[bytes]) -> list[Counts]:
        """The numbers of each torrent in the order asked, for everybody; unknown and closed ones read alike: zeros."""
        nothing = Counts(0, 0, 0, 0)
        known = {h: torrent for h in set(hashes) if (torrent := self.access.torrent(h)) and torrent.state == APPROVED}
        found = {h: self.swarms.counts(torrent.id) for h, torrent in known.items()}
        return [found.get(h, nothing) for h in hashes]


def expired_row(gone: Gone, now_us: int) -> bytes:
    """The journal's record that a peer fell silent or lost its rights."""
    who = gone.user_id, gone.torrent_id, gone.peer_id
    return pack(Announce(now_us, *who, Event.EXPIRED, 0, 0, 0, gone.address, gone.port, 0))


def _closed(torrent: Torrent) -> TorrentDeleted | TorrentRejected | TorrentPending:
    reason = f": {torrent.reason}" if torrent.reason else ""
    if torrent.state == "deleted":
        return TorrentDeleted(f"Unregistered torrent{reason}")
    if torrent.state == "rejected":
        return TorrentRejected(f"Torrent was rejected{reason}")
    return TorrentPending("Torrent is pending moderation")
