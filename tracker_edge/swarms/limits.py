"""Which peers are too many: of one user on one torrent, and leeching ones of one user."""

from __future__ import annotations

from array import array
from typing import Final, Protocol

from tracker_edge.swarms.roster import user_number
from tracker_edge.swarms.swarm import HIDDEN, NO_SLOT, SEEDER, TOO_MANY_PEERS, Swarm

#: Peers that one user may have on one torrent before the rest is hidden.
PEERS_PER_TORRENT: Final = 3
UNLIMITED: Final = 2**31

#: Where pairs of user and torrent are counted, many in one place; a full place stays full.
_PLACES: Final = 2**21
_FULL: Final = 255


class Allowance(Protocol):
    """What users may have; the access snapshot knows it."""

    @property
    def peers_per_torrent(self) -> int: ...

    def slots(self, user_id: bytes) -> int:
        """How many torrents the user may download at a time."""


class Everything:
    """No limit at all."""

    peers_per_torrent = UNLIMITED

    def slots(self, user_id: bytes) -> int:
        return UNLIMITED


class Limits:
    """Counts what is shown of each user. Users are numbers; a peer is asked about when it comes or changes sides."""

    def __init__(self, allowance: Allowance) -> None:
        self.allowance = allowance
        self._leeching = array("I")  # shown leechers by user
        # To look through a swarm of 100,000 at every newcomer would cost more than the announce. So pairs are counted
        # in hashed places, and only where a place says that there may be too many the roster tells how many there are.
        self._pairs = bytearray(_PLACES)

    def welcome(self) -> None:
        """One user more."""
        self._leeching.append(0)

    def may_show(self, swarm: Swarm, user: bytes) -> bool:
        """False when the user has certainly no peer there that others are told of."""
        return self._pairs[_place(swarm.key, user)] > 0

    def hidden(self, swarm: Swarm, user: bytes, user_id: bytes, slot: int, flags: int) -> int:
        """Why a peer that is not counted at present is one too many: a flag of `HIDDEN`, or 0."""
        allowance = self.allowance
        most = allowance.peers_per_torrent
        if self._pairs[_place(swarm.key, user)] >= most and len(swarm.listed_of(user) - {slot}) >= most:
            return TOO_MANY_PEERS
        if flags & SEEDER or self._leeching[user_number(user)] < allowance.slots(user_id):
            return 0
        return NO_SLOT

    def count(self, swarm: Swarm, user: bytes, flags: int, by: int) -> None:
        """A peer is shown, or not any more."""
        if flags & HIDDEN:
            return
        if not flags & SEEDER:
            self._leeching[user_number(user)] += by
        place = _place(swarm.key, user)
        if self._pairs[place] != _FULL:
            self._pairs[place] += by


def _place(torrent: bytes, user: bytes) -> int:
    return hash(torrent + user) & (_PLACES - 1)
