"""What a batch of announces adds up to: sessions, who earned what and why, swarms, snatches.

`credit.settle` judges one announce of one session; here is what holds across sessions: seed time counts once per user
and torrent however many clients seed it, a torrent is snatched once, promotions hold by the time of the announce.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

from domain.announces import Announce
from domain.base import MAX_COUNT
from domain.credit import Credit, Session, settle
from domain.factors import Promotions

#: 10 Gbit/s: no client moves more over one session, so more is a lie or a broken counter.
CEILING_BYTES_S = 1_250_000_000

Key = tuple[bytes, bytes, bytes]  # torrent_id, user_id, peer_id
Pair = tuple[bytes, bytes]  # torrent_id, user_id

_US = 1_000_000
_SEEDING, _LEECHING = 1, 2


@dataclass(slots=True)
class Client:
    """One client of one user on one torrent: its session, what it earned, where it listens while it is active."""

    session: Session
    first_announced_us: int
    uploaded: int = 0  # credited
    downloaded: int = 0
    seed_time_s: int = 0
    seeded_until_us: int | None = None
    ipv4: bytes | None = None
    port4: int | None = None
    ipv6: bytes | None = None
    port6: int | None = None

    def moved(self, session: Session, announce: Announce) -> None:
        """The session went on; both families' addresses are kept until the client leaves."""
        self.session = session
        if not session.active:
            self.ipv4 = self.port4 = self.ipv6 = self.port6 = None
        elif len(announce.address) == 4:
            self.ipv4, self.port4 = announce.address, announce.port
        else:
            self.ipv6, self.port6 = announce.address, announce.port


class Transfer(NamedTuple):
    """The explaining fact of one announce; `seq` and `n` are the record's place in its edge's journal."""

    seq: int
    n: int
    announce: Announce
    credit: Credit
    seed_time_s: int  # as counted: not what another client of the same user has counted already


@dataclass(slots=True)
class UserDelta:
    uploaded: int = 0
    downloaded: int = 0
    raw_uploaded: int = 0
    raw_downloaded: int = 0
    seed_time_s: int = 0
    seeding: int = 0  # torrents
    leeching: int = 0


@dataclass(slots=True)
class TorrentDelta:
    uploaded: int = 0  # raw
    downloaded: int = 0
    seeders: int = 0  # clients
    leechers: int = 0


class Tally:
    """Announces in, changes out. `clients` must hold every known client of every (torrent, user) that announces."""

    def __init__(self, clients: dict[Key, Client], promotions: Promotions, deleted: AbstractSet[bytes]) -> None:
        self.clients = clients
        self.changed: set[Key] = set()
        self.transfers: list[Transfer] = []
        self.snatches: dict[Pair, int] = {}  # candidates: the caller knows which of them are not the first
        self.users: defaultdict[bytes, UserDelta] = defaultdict(UserDelta)
        self.torrents: defaultdict[bytes, TorrentDelta] = defaultdict(TorrentDelta)
        self._promotions = promotions
        self._deleted = deleted
        self._seeded_until: dict[Pair, int] = {}
        for (torrent_id, user_id, _), client in clients.items():
            self._seeded(torrent_id, user_id, client.seeded_until_us or 0)
        self._before = {key: _activity(client.session) for key, client in clients.items()}

    def add(self, seq: int, records: Iterable[Announce]) -> None:
        """The records of one segment, in the order in which the edge wrote them."""
        for n, announce in enumerate(records):
            self._add(seq, n, announce)

    def close(self) -> None:
        """Work out how the swarms changed from before the first record to after the last one."""
        before: defaultdict[Pair, int] = defaultdict(int)
        after: defaultdict[Pair, int] = defaultdict(int)
        for key, client in self.clients.items():
            was, now = self._before.get(key, 0), _activity(client.session)
            before[key[:2]] |= was
            after[key[:2]] |= now
            if was != now:
                torrent = self.torrents[key[0]]
                torrent.seeders += (now == _SEEDING) - (was == _SEEDING)
                torrent.leechers += (now == _LEECHING) - (was == _LEECHING)
        for pair, now in after.items():
            was = before[pair]
            if was != now:
                user = self.users[pair[1]]
                user.seeding += bool(now & _SEEDING) - bool(was & _SEEDING)
                user.leeching += bool(now & _LEECHING) - bool(was & _LEECHING)

    def _add(self, seq: int, n: int, announce: Announce) -> None:
        key = announce.torrent_id, announce.user_id, announce.peer_id
        client = self.clients.get(key)
        before = client.session if client else None
        session, credit = settle(before, announce, self._promotions.factors(announce), CEILING_BYTES_S)
        if session is None:
            return
        if session.active and announce.torrent_id in self._deleted:
            session = session._replace(active=False)
        if client is None:
            client = self.clients[key] = Client(session, announce.received_at_us)
        if session is not before:
            client.moved(session, announce)
            self.changed.add(key)
        if credit.snatched:
            self.snatches.setdefault(key[:2], announce.received_at_us)
        seed_time_s = self._seed_time(before, client, announce, credit) if credit.seed_time_s else 0
        if seed_time_s or credit.raw_uploaded or credit.raw_downloaded or credit.anomaly:
            self.transfers.append(Transfer(seq, n, announce, credit, seed_time_s))
            self._credit(client, announce, credit, seed_time_s)

    def _seed_time(self, before: Session | None, client: Client, announce: Announce, credit: Credit) -> int:
        """The part of the announce's seed time after what any client of this user has counted on this torrent."""
        assert before is not None, "a first announce has no seed time"
        until = self._seeded(announce.torrent_id, announce.user_id, announce.received_at_us)
        client.seeded_until_us = announce.received_at_us
        if until <= before.counted_at_us:
            return credit.seed_time_s
        return max(0, (announce.received_at_us - until) // _US)

    def _seeded(self, torrent_id: bytes, user_id: bytes, until_us: int) -> int:
        """Until when the user's seed time on the torrent was counted before it is counted until `until_us`."""
        pair = torrent_id, user_id
        counted = self._seeded_until.get(pair, 0)
        self._seeded_until[pair] = max(counted, until_us)
        return counted

    def _credit(self, client: Client, announce: Announce, credit: Credit, seed_time_s: int) -> None:
        client.uploaded = min(client.uploaded + credit.uploaded, MAX_COUNT)
        client.downloaded = min(client.downloaded + credit.downloaded, MAX_COUNT)
        client.seed_time_s += seed_time_s
        user = self.users[announce.user_id]
        user.uploaded += credit.uploaded
        user.downloaded += credit.downloaded
        user.raw_uploaded += credit.raw_uploaded
        user.raw_downloaded += credit.raw_downloaded
        user.seed_time_s += seed_time_s
        torrent = self.torrents[announce.torrent_id]
        torrent.uploaded += credit.raw_uploaded
        torrent.downloaded += credit.raw_downloaded


def _activity(session: Session) -> int:
    if not session.active:
        return 0
    return _SEEDING if session.left == 0 else _LEECHING
