"""One torrent's peers, counted; their addresses lie in a roster per family and role."""

from __future__ import annotations

from typing import Final

from tracker_edge.protocol.types import Counts
from tracker_edge.swarms.roster import Roster

SEEDER: Final = 1
PAUSED: Final = 2
ELSEWHERE: Final = 4  # another edge heard it last
#: Over a limit: counted and credited, but nobody is told of it.
TOO_MANY_PEERS: Final = 8  # of one user on one torrent
NO_SLOT: Final = 16  # the user downloads as many torrents as the group may
HIDDEN: Final = TOO_MANY_PEERS | NO_SLOT


class Swarm:
    """`key` is what 4 bytes of a peer's key say instead of the torrent's id."""

    __slots__ = (
        "completed",
        "key",
        "leech4",
        "leech6",
        "leechers",
        "paused",
        "seed4",
        "seed6",
        "seeders",
        "torrent_id",
    )

    def __init__(self, torrent_id: bytes, key: bytes) -> None:
        self.torrent_id = torrent_id
        self.key = key
        self.seeders = 0
        self.leechers = 0
        self.paused = 0  # leechers that are partial seeds
        self.completed = 0
        self.leech4: Roster | None = None
        self.leech6: Roster | None = None
        self.seed4: Roster | None = None
        self.seed6: Roster | None = None

    @property
    def counts(self) -> Counts:
        return Counts(self.seeders, self.completed, self.leechers, self.leechers - self.paused)

    def count(self, flags: int, by: int) -> None:
        """One peer of these flags more or less."""
        if flags & SEEDER:
            self.seeders += by
        else:
            self.leechers += by
            if flags & PAUSED:
                self.paused += by

    def roster(self, six: int, seeder: int) -> Roster:
        """The roster of a family and a role, made when there is none."""
        name = ("leech4", "seed4", "leech6", "seed6")[2 * bool(six) + bool(seeder)]
        found: Roster | None = getattr(self, name)
        if found is None:
            found = Roster(18 if six else 6)
            setattr(self, name, found)
        return found

    def listed_of(self, user: bytes) -> set[int]:
        """The slots of the user's peers that others are told of."""
        rosters = self.leech4, self.seed4, self.leech6, self.seed6
        return {slot for roster in rosters if roster is not None for slot in roster.slots_of(user)}
