"""What a batch of announces adds up to: sessions, who earned what and why, swarms, snatches, hours and days.

`credit.settle` judges one announce of one session; here is what holds across sessions: seed time counts once per user
and torrent however many clients seed it, a torrent is snatched once, promotions hold by the time of the announce.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

from domain.announces import Announce
from domain.base import MAX_COUNT
from domain.credit import Credit, Session, settle
from domain.factors import FULL, Promotions

#: 10 Gbit/s: no client moves more over one session, so more is a lie or a broken counter.
CEILING_BYTES_S = 1_250_000_000

Key = tuple[bytes, bytes, bytes]  # torrent_id, user_id, peer_id
Pair = tuple[bytes, bytes]  # torrent_id, user_id

_US = 1_000_000
HOUR_US = 3600 * _US
_SEEDING, _LEECHING = 1, 2
_new = tuple.__new__  # see credit.py


@dataclass(slots=True)
class Client:
    """One client of one user on one torrent: its session, what it earned, where it listens while it is active.

    Of a client that was loaded, `first_announced_us` and the addresses may be None: they are as they were, unless
    `moved_out`.
    """

    session: Session
    first_announced_us: int | None
    uploaded: int = 0  # credited
    downloaded: int = 0
    seed_time_s: int = 0
    seeded_until_us: int | None = None
    ipv4: bytes | None = None
    port4: int | None = None
    ipv6: bytes | None = None
    port6: int | None = None
    moved_out: bool = False  # it left meanwhile: the addresses from before are void

    def moved(self, session: Session, announce: Announce) -> None:
        """The session went on; both families' addresses are kept until the client leaves."""
        self.session = session
        if not session.active:
            self.moved_out = True
            self.ipv4 = self.port4 = self.ipv6 = self.port6 = None
        elif len(announce.address) == 4:
            self.ipv4, self.port4 = announce.address, announce.port
        elif announce.address:
            self.ipv6, self.port6 = announce.address, announce.port


class Transfer(NamedTuple):
    """The explaining fact of one announce; `n` is the record's place in the segment that was added as `seq`."""

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
    seed_size: int = 0  # bytes of what is seeded
    snatched: int = 0
    torrents: int = 0  # that a client of the user's had not been seen on before

    def add(self, other: UserDelta) -> None:
        self.uploaded += other.uploaded
        self.downloaded += other.downloaded
        self.raw_uploaded += other.raw_uploaded
        self.raw_downloaded += other.raw_downloaded
        self.seed_time_s += other.seed_time_s
        self.seeding += other.seeding
        self.leeching += other.leeching
        self.seed_size += other.seed_size
        self.snatched += other.snatched
        self.torrents += other.torrents


class SeedingChange(NamedTuple):
    """A user began to seed a torrent (`seeding` 1) or ceased to (-1), with whichever client, in that hour."""

    hour_us: int
    user_id: bytes
    torrent_id: bytes
    seeding: int


@dataclass(slots=True)
class TorrentDelta:
    uploaded: int = 0  # raw
    downloaded: int = 0
    seeders: int = 0  # clients
    leechers: int = 0
    completed: int = 0  # users


@dataclass(slots=True)
class Hour:
    """One hour of one torrent, or of all. The swarm is its largest after any announce of the hour, counted from what
    it was before the batch."""

    seeders: int
    leechers: int
    uploaded: int = 0  # raw
    downloaded: int = 0
    completed: int = 0  # users
    announces: int = 0

    def reach(self, swarm: TorrentDelta) -> None:
        """The swarm was as large as this."""
        self.seeders = max(self.seeders, swarm.seeders)
        self.leechers = max(self.leechers, swarm.leechers)


class Tally:
    """Announces in, changes out. `clients` must hold every known client of every (torrent, user) that announces.

    `users`, `user_hours`, `torrents` and `hours` are what changed, once it is closed. Times of hours are UTC, in
    microseconds.
    """

    def __init__(self, clients: dict[Key, Client], deleted: AbstractSet[bytes]) -> None:
        self.clients = clients
        self.changed: set[Key] = set()
        self.transfers: list[Transfer] = []
        self.snatches: dict[Pair, int] = {}  # candidates: the caller knows which of them are not the first
        self.users: defaultdict[bytes, UserDelta] = defaultdict(UserDelta)
        self.torrents: defaultdict[bytes, TorrentDelta] = defaultdict(TorrentDelta)
        self.user_hours: defaultdict[int, defaultdict[bytes, UserDelta]] = defaultdict(lambda: defaultdict(UserDelta))
        self.seeding_changes: list[SeedingChange] = []
        self.hours: defaultdict[int, dict[bytes, Hour]] = defaultdict(dict)
        self.site: dict[int, Hour] = {}  # by hour
        self.swarm = TorrentDelta()  # of all torrents
        self._hour_us = -HOUR_US  # none yet
        self._promotions = Promotions()
        self._deleted = deleted
        self._active: dict[Pair, list[int]] = {}  # how many of the user's clients seed and leech the torrent
        self._seeded_until: dict[Pair, int] = {}
        for (torrent_id, user_id, _), client in clients.items():
            active = self._active.get((torrent_id, user_id))
            if active is None:
                active = self._active[torrent_id, user_id] = [0, 0]
            if client.session.active:
                active[client.session.left != 0] += 1
            if client.seeded_until_us is not None:
                self._seeded(torrent_id, user_id, client.seeded_until_us)

    def add(self, seq: int, records: Iterable[Announce], promotions: Promotions) -> None:
        """The records of one segment, in the order in which the edge wrote them, with all promotions that may hold for
        them; `seq` is what the caller calls it."""
        self._promotions = promotions
        for n, announce in enumerate(records):
            self._add(seq, n, announce)

    def shrink(self, seeders: int, leechers: int) -> None:
        """So many clients are gone with a torrent that none of the records so far are about."""
        self.swarm.seeders -= seeders
        self.swarm.leechers -= leechers

    def close(self) -> None:
        """Work out how users and sums changed from before the first record to after the last one."""
        for users in self.user_hours.values():
            for user_id, hour_of_user in users.items():
                self.users[user_id].add(hour_of_user)
        for hour_us, torrents in self.hours.items():
            of_all = self.site[hour_us]
            for torrent_id, hour in torrents.items():
                torrent = self.torrents[torrent_id]
                torrent.uploaded += hour.uploaded
                torrent.downloaded += hour.downloaded
                of_all.uploaded += hour.uploaded
                of_all.downloaded += hour.downloaded
                of_all.announces += hour.announces

    def complete(self, firsts: Iterable[Pair]) -> None:
        """Count those of the `snatches` that were the first of their user and torrent."""
        for torrent_id, user_id in firsts:
            at_us = self.snatches[torrent_id, user_id]
            hour_us = at_us - at_us % HOUR_US
            for user in (self.users[user_id], self.user_hours[hour_us][user_id]):
                user.snatched += 1
            for swarm in (self.torrents[torrent_id], self.hours[hour_us][torrent_id], self.site[hour_us]):
                swarm.completed += 1

    def weigh(self, sizes: Mapping[bytes, int]) -> None:
        """Count the bytes of what users seed, for the `seeding_changes`; a torrent without a size weighs nothing."""
        for hour_us, user_id, torrent_id, seeding in self.seeding_changes:
            size = seeding * sizes.get(torrent_id, 0)
            for user in (self.users[user_id], self.user_hours[hour_us][user_id]):
                user.seed_size += size

    def _add(self, seq: int, n: int, announce: Announce) -> None:
        at_us, user_id, torrent_id, peer_id = announce[:4]
        key = torrent_id, user_id, peer_id
        client = self.clients.get(key)
        before = client.session if client else None
        factors = self._promotions.factors(announce) if self._promotions.windows else FULL
        session, credit = settle(before, announce, factors, CEILING_BYTES_S)
        if session is None:
            return
        if torrent_id in self._deleted and session.active:
            session = session._replace(active=False)
        if client is None:
            client = self.clients[key] = Client(session, at_us, moved_out=True)
        moved = None
        if session is not before:
            client.moved(session, announce)
            self.changed.add(key)
            if before is None or before.active is not session.active or (not before.left) is not (not session.left):
                moved = self._joined_or_left(key, 0 if before is None else _activity(before), _activity(session))
        hour = self._hour(torrent_id, at_us)
        if moved is not None:
            self._count_torrents(user_id, torrent_id, moved)
        hour.announces += 1
        _, _, raw_up, raw_down, _, _, up, down, seed_time_s, snatched, anomaly = credit
        if snatched:
            self.snatches.setdefault(key[:2], at_us)
        if seed_time_s:
            seed_time_s = self._seed_time(before, client, announce, seed_time_s)
            client.seed_time_s += seed_time_s
        if raw_up or raw_down:
            client.uploaded = min(client.uploaded + up, MAX_COUNT)
            client.downloaded = min(client.downloaded + down, MAX_COUNT)
            hour.uploaded += raw_up
            hour.downloaded += raw_down
        elif not (seed_time_s or anomaly):
            return
        self.transfers.append(_new(Transfer, (seq, n, announce, credit, seed_time_s)))
        user = self._hours_of_users[user_id]
        user.uploaded += up
        user.downloaded += down
        user.raw_uploaded += raw_up
        user.raw_downloaded += raw_down
        user.seed_time_s += seed_time_s

    def _joined_or_left(self, key: Key, was: int, now: int) -> UserDelta:
        """Returns what that changes in the numbers of the user's torrents: other clients may have been there."""
        seeders, leechers = (now == _SEEDING) - (was == _SEEDING), (now == _LEECHING) - (was == _LEECHING)
        for swarm in (self.torrents[key[0]], self.swarm):
            swarm.seeders += seeders
            swarm.leechers += leechers
        active = self._active.get(key[:2])
        is_new = active is None
        if active is None:
            active = self._active[key[:2]] = [0, 0]
        was_seeding, was_leeching = active[0] > 0, active[1] > 0
        active[0] += seeders
        active[1] += leechers
        return UserDelta(
            seeding=(active[0] > 0) - was_seeding, leeching=(active[1] > 0) - was_leeching, torrents=int(is_new)
        )

    def _count_torrents(self, user_id: bytes, torrent_id: bytes, moved: UserDelta) -> None:
        """In the hour that was turned to. Also who comes and goes leaves a row, however records are batched."""
        self._hours_of_users[user_id].add(moved)
        if moved.seeding:
            self.seeding_changes.append(SeedingChange(self._hour_us, user_id, torrent_id, moved.seeding))

    def _hour(self, torrent_id: bytes, at_us: int) -> Hour:
        """The torrent's hour of that time, with the swarm as it is now."""
        if not self._hour_us <= at_us < self._hour_us + HOUR_US:
            self._turn_to(at_us)
        swarm, of_all, all_hour = self.torrents[torrent_id], self.swarm, self._site_hour
        if of_all.seeders > all_hour.seeders or of_all.leechers > all_hour.leechers:
            all_hour.reach(of_all)
        hour = self._hours.get(torrent_id)
        if hour is None:
            hour = self._hours[torrent_id] = Hour(swarm.seeders, swarm.leechers)
        elif swarm.seeders > hour.seeders or swarm.leechers > hour.leechers:
            hour.reach(swarm)
        return hour

    def _turn_to(self, at_us: int) -> None:
        """Count in the hour of that time from now on."""
        self._hour_us = at_us - at_us % HOUR_US
        self._hours, self._hours_of_users = self.hours[self._hour_us], self.user_hours[self._hour_us]
        self._site_hour = self.site.setdefault(self._hour_us, Hour(self.swarm.seeders, self.swarm.leechers))

    def _seed_time(self, before: Session | None, client: Client, announce: Announce, seconds: int) -> int:
        """The part of the announce's seed time after what any client of this user has counted on this torrent."""
        assert before is not None, "a first announce has no seed time"
        at_us = client.seeded_until_us = announce.received_at_us
        until = self._seeded(announce.torrent_id, announce.user_id, at_us)
        return seconds if until <= before.counted_at_us else max(0, (at_us - until) // _US)

    def _seeded(self, torrent_id: bytes, user_id: bytes, until_us: int) -> int:
        """Until when the user's seed time on the torrent was counted before it is counted until `until_us`."""
        pair = torrent_id, user_id
        counted = self._seeded_until.get(pair, 0)
        if until_us > counted:
            self._seeded_until[pair] = until_us
        return counted


def _activity(session: Session) -> int:
    if not session.active:
        return 0
    return _SEEDING if session.left == 0 else _LEECHING
