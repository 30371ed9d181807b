"""One announce or scrape decided, without sockets: what is answered, what is journaled, or why it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from domain.announce_keys import HALF
from domain.announces import Announce, Event, pack, pack_row
from tracker_edge.access import APPROVED, PASSKEY_NOT_FOUND, Access, Torrent, User
from tracker_edge.flood import Flood
from tracker_edge.load import Load
from tracker_edge.others import Latest
from tracker_edge.protocol.compact import may_hand_out
from tracker_edge.protocol.types import (
    DEFAULT_NUMWANT,
    REGULAR,
    STARTED,
    STOPPED,
    AccountDisabled,
    Counts,
    LeechingForbidden,
    PasskeyNotFound,
    Peer,
    PortNotAllowed,
    Query,
    Refused,
    Reply,
    RightsUnknown,
    TorrentDeleted,
    TorrentPending,
    TorrentRejected,
    TrackerBusy,
    UnregisteredTorrent,
)
from tracker_edge.swarms import NO_SLOT, TOO_MANY_PEERS, Gone, Swarm, Swarms
from tracker_edge.unregistered import Unregistered

#: Clients' timers and ours differ, and a retry comes early: only what is well before `min interval` counts as early.
EARLY_SLACK_S = 60
#: How long clients are told why a torrent was deleted; after that it is as unknown as any other (Ocelot's 86,400 s).
REASON_SHOWN_US = 86_400 * 1_000_000

UNREGISTERED = "Unregistered torrent"
RIGHTS_UNKNOWN = "The tracker cannot check rights now, try again later"
#: By limit: an announce over it is credited like any other and told of no peers.
WARNINGS = {
    "min_interval": b"Announced before min interval: no peers this time",
    "key": b"Too many announces with your key: no peers for this one",
    "address": b"Too many announces from your address: no peers for this one",
    "slots": b"Download slot limit reached: no peers for this torrent",
    "peers_per_torrent": b"Too many clients of yours on this torrent: no peers here",
}
_HIDDEN_BY = {NO_SLOT: "slots", TOO_MANY_PEERS: "peers_per_torrent"}


class Tracker:
    """The rules of one edge over its access snapshot and its swarms."""

    def __init__(
        self,
        access: Access,
        swarms: Swarms,
        *,
        interval_s: int = 1800,
        jitter_s: int = 0,
        min_interval_s: int = 900,
        numwant_max: int = 50,
        flood: Flood | None = None,
    ) -> None:
        self.access = access
        self.swarms = swarms
        self.load = Load(interval_s)
        self.unregistered = Unregistered()
        self.min_interval_s = min_interval_s
        self.latest: Latest | None = None  # kept while there are other edges
        self.closed_to_newcomers = self.closed = False  # while nobody knows who may announce
        self._jitter_s = min(jitter_s, interval_s // 4) + 1
        self._early_s = min_interval_s - EARLY_SLACK_S
        self._numwant_max = numwant_max
        self._numwant = min(DEFAULT_NUMWANT, numwant_max)
        self._flood = flood or Flood(0, 0)

    def announce(
        self, query: Query, key: bytes, address: bytes, now_us: int, now_s: int, agent: bytes | None = None
    ) -> tuple[Reply, bytes]:
        """The reply, to be sent once the journal's row beside it is durable; raises `Refused`, and then nothing has
        changed.

        `address` is the client's (4 or 16 bytes), `now_us` UTC microseconds for the journal, `now_s` seconds of the
        swarms' clock, `agent` the client's User-Agent (None over UDP).
        """
        torrent, user = self._admitted(query, key, now_us, agent)
        peer_id, port, event, numwant, left = query.peer_id, query.port, query.event, query.numwant, query.left
        if left > torrent.size > 0:  # Transmission says 2^63-1 while it has no metadata
            left = torrent.size
        swarm = torrent.swarm or self._swarm(torrent)
        user_key = user.key or self._user_key(user)
        ago, hidden, dual = self.swarms.announce(swarm, user_key, peer_id, event, left, address, port, now_s)
        if self.latest is not None:
            self.latest.note(torrent.id + user.id + peer_id, event, now_us)
        wanted = self._numwant if numwant < 0 else min(numwant, self._numwant_max)
        limit = _HIDDEN_BY[hidden] if hidden else self._flood.over(user, address, now_s)
        if limit is None and ago is not None and ago < self._early_s and event == REGULAR:
            limit = "min_interval"
        if limit is not None or event == STOPPED:
            wanted = 0
        six, size = len(address) == 16, len(address)
        peers: bytes | list[Peer]
        if query.compact:
            peers, peers6 = self._compact(swarm, user_key, wanted, left == 0, six=six, dual=dual)
        else:
            peers, peers6 = self._long(swarm, user_key, wanted, left == 0, six=six, dual=dual), None
            if query.no_peer_id:
                peers = [peer._replace(peer_id=b"") for peer in peers]
        reply = Reply(
            swarm.seeders,
            swarm.leechers,
            swarm.completed,
            # Spread by what a session keeps, so that each has its own rhythm and none changes it.
            self.load.interval_s + crc32(query.info_hash, crc32(peer_id)) % self._jitter_s,
            self.min_interval_s,
            peers,
            peers6,
            WARNINGS[limit] if limit is not None else None,
            # BEP 24, once a session: a client that is told 127.0.0.1 by its tracker learns nothing.
            address if event == STARTED and may_hand_out(address, allow_private=False) else None,
            limit=limit,
        )
        return reply, pack_row(
            now_us, query.uploaded, query.downloaded, left, query.key, port, event, size,
            user.id, torrent.id, peer_id, address,
        )  # fmt: skip

    def _admitted(self, query: Query, key: bytes, now_us: int, agent: bytes | None) -> tuple[Torrent, User]:
        """Whose announce of what this is, when it may be taken; raises `Refused`."""
        access, event = self.access, query.event
        if query.port in access.refused_ports and event != STOPPED:
            raise PortNotAllowed(f"Port {query.port} is not allowed")
        torrent = access.torrent(query.info_hash)
        user = access.user(key, torrent)
        if access.has_client_rules:  # after the key: a verdict that is not remembered yet costs more than an announce
            access.check_client(query.peer_id, agent)
        if torrent is None:
            self.unregistered.note(user.id, query.info_hash, now_us)
            raise UnregisteredTorrent(UNREGISTERED)
        if torrent.state != APPROVED:
            raise _closed(torrent, now_us)
        if not user.enabled:
            raise AccountDisabled("Account is disabled")
        if query.left and not user.can_leech and event != STOPPED:
            raise LeechingForbidden("Downloading is not allowed for this account")
        if self.load.refuses:
            raise TrackerBusy("The tracker is busy")
        if self.closed_to_newcomers and event != STOPPED and (self.closed or not self._goes_on(torrent, user, query)):
            raise RightsUnknown(RIGHTS_UNKNOWN)
        return torrent, user

    def _goes_on(self, torrent: Torrent, user: User, query: Query) -> bool:
        """Whether this peer is in the swarm already."""
        swarm = torrent.swarm or self._swarm(torrent)
        return self.swarms.has(swarm, user.key or self._user_key(user), query.peer_id)

    def _swarm(self, torrent: Torrent) -> Swarm:
        torrent.swarm = self.swarms.swarm(torrent.id)
        return torrent.swarm

    def _user_key(self, user: User) -> bytes:
        user.key = self.swarms.user(user.id)
        return user.key

    def _compact(
        self, swarm: Swarm, user: bytes, wanted: int, seeder: bool, *, six: bool, dual: bool
    ) -> tuple[bytes, bytes | None]:
        """`peers` and `peers6`; a client that has announced over IPv4 only is told of no IPv6 peers."""
        draw = self.swarms.draw
        if six:
            peers6 = draw(swarm, user, wanted, six=True, seeder=seeder)
            return draw(swarm, user, wanted - len(peers6) // 18, six=False, seeder=seeder), peers6
        peers = draw(swarm, user, wanted, six=False, seeder=seeder)
        return peers, draw(swarm, user, wanted - len(peers) // 6, six=True, seeder=seeder) if dual else None

    def _long(self, swarm: Swarm, user: bytes, wanted: int, seeder: bool, *, six: bool, dual: bool) -> list[Peer]:
        """The peers of `_compact` as a list: of the client's own family first."""
        peers = self.swarms.draw_peers(swarm, user, wanted, six=six, seeder=seeder)
        if six or dual:
            peers += self.swarms.draw_peers(swarm, user, wanted - len(peers), six=not six, seeder=seeder)
        return peers

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
        if self.closed_to_newcomers:  # no scrape says which peer it comes from
            raise RightsUnknown(RIGHTS_UNKNOWN)
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


def _closed(torrent: Torrent, now_us: int) -> Refused:
    reason = f": {torrent.reason}" if torrent.reason else ""
    if torrent.state == "rejected":
        return TorrentRejected(f"Torrent was rejected{reason}")
    if torrent.state != "deleted":
        return TorrentPending("Torrent is pending moderation")
    if now_us - torrent.deleted_at_us > REASON_SHOWN_US:
        return UnregisteredTorrent(UNREGISTERED)
    return TorrentDeleted(f"{UNREGISTERED}{reason}")
