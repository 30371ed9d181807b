"""What clients announce, as libtorrent does: started, every half hour, completed, stopped, and anew the next day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

from domain.announces import Event
from runtime.demo.books import Books
from runtime.demo.past import DAY_US, HOUR_US, SECOND_US
from runtime.demo.people import Member

INTERVAL_US = 1800 * SECOND_US
JITTER_US = 240 * SECOND_US
#: An edge gives up a peer that was silent for so long.
SILENT_US = 7200 * SECOND_US
#: Of the sessions: their program crashes or loses its line instead of stopping.
CRASHES = 0.04
#: Of those who could: go on seeding the next day.
GOES_ON = 0.45
#: Hours that a download is seeded on the day it came, on average.
SEEDS_H = 6.0
#: Of a cheater's announces: bytes that never were, as many as a fast line could have sent; more than any could.
INVENTS = 0.3
EXAGGERATES = 0.05
_GIB = 2**30
_TOO_MUCH = 6 * 10**12

_STARTED, _REGULAR, _COMPLETED = int(Event.STARTED), int(Event.REGULAR), int(Event.COMPLETED)
_STOPPED, _EXPIRED = int(Event.STOPPED), int(Event.EXPIRED)

At = Callable[[int, Callable[[int], None]], None]


@dataclass(slots=True, eq=False)
class Torrent:
    """One upload as its swarm sees it; `wanted` are bytes that leechers got and no seeder has sent yet."""

    id: UUID
    uploader: Member
    size: int
    uploaded_us: int
    listed: bool = False
    deleted: bool = False
    reported: bool = False
    wanted: int = 0


class Swarms:
    """What every client shares: the clock's queue (`at`), the journal (`write`), the books and chance."""

    def __init__(
        self, rng: Random, at: At, write: Callable[[tuple[Any, ...]], None], books: Books, start_us: int, end_us: int
    ) -> None:
        self.rng = rng
        self.at = at
        self.write = write
        self.books = books
        self._start_us = start_us
        self.end_us = end_us

    def join(self, member: Member, torrent: Torrent, at_us: int, *, left: int) -> None:
        """The member's client starts when it runs next."""
        member.on.add(torrent.id.bytes)
        starts_us = member.awake_at(at_us)
        self.at(starts_us, lambda now_us: _Client(self, member, torrent, left).start(now_us))

    def progress(self, at_us: int) -> float:
        """The part of the history that is over."""
        return (at_us - self._start_us) / (self.end_us - self._start_us)


class _Client:
    """One run of one program on one torrent: a peer id, and counters from zero."""

    __slots__ = (
        "_down_s", "_downloaded", "_interval_us", "_key", "_last_us", "_left", "_member", "_peer_id",
        "_swarms", "_torrent", "_until_us", "_uploaded",
    )  # fmt: skip

    def __init__(self, swarms: Swarms, member: Member, torrent: Torrent, left: int) -> None:
        self._swarms = swarms
        self._member = member
        self._torrent = torrent
        self._left = left
        self._uploaded = self._downloaded = 0

    def start(self, at_us: int) -> None:
        if self._refused():
            return
        rng = self._swarms.rng
        self._peer_id = self._member.peer_id(rng, self._swarms.progress(at_us))
        self._key = rng.getrandbits(32)
        self._interval_us = INTERVAL_US + int(rng.random() * JITTER_US)
        self._down_s = max(1, int(self._member.down * (0.3 + 0.7 * rng.random())))
        self._last_us = at_us
        self._until_us = self._ends(at_us)
        self._announce(at_us, _STARTED)
        self._swarms.at(self._next(at_us), self.step)

    def step(self, at_us: int) -> None:
        """The time has come that the last announce was answered with, or something happened before."""
        if self._refused():
            self._fall_silent()
            return
        elapsed_us = at_us - self._last_us
        down = self._download(elapsed_us)
        if down and not self._left:
            event = _COMPLETED
        else:
            event = _STOPPED if at_us >= self._until_us else _REGULAR
        if event == _STOPPED and self._swarms.rng.random() < CRASHES:
            self._torrent.wanted += down
            self._fall_silent()
            return
        up = self._upload(elapsed_us, down)
        self._uploaded += up
        self._downloaded += down
        lie = self._lie() if self._member.cheats else 0
        if lie > _TOO_MUCH:
            self._uploaded += lie
            self._swarms.books.lies += 1
        elif up or down or lie:
            self._uploaded += lie
            self._swarms.books.moved(at_us, self._member.id.bytes, self._torrent.id.bytes, up + lie, down)
        self._last_us = at_us
        self._announce(at_us, event)
        if event == _STOPPED:
            self._go_on(at_us)
        else:
            self._swarms.at(self._next(at_us), self.step)

    def _refused(self) -> bool:
        """Whether an edge would not take the announce."""
        return self._torrent.deleted or not (self._member.may_leech if self._left else self._member.is_there)

    def _ends(self, at_us: int) -> int:
        """The end of the day, or of the wish to share."""
        ends_us = self._member.asleep_at(at_us)
        if not self._left:
            wish_us = int(self._swarms.rng.expovariate(1 / (SEEDS_H * self._member.zeal)) * HOUR_US)
            ends_us = min(ends_us, at_us + wish_us)
        return max(ends_us, at_us + 60 * SECOND_US)

    def _next(self, at_us: int) -> int:
        next_us = min(at_us + self._interval_us, max(self._until_us, at_us + SECOND_US))
        if self._left:
            next_us = min(next_us, at_us + -(-self._left * SECOND_US // self._down_s))
        return next_us

    def _download(self, elapsed_us: int) -> int:
        if not self._left:
            return 0
        down = min(self._left, -(-self._down_s * elapsed_us // SECOND_US))
        self._left -= down
        if not self._left:
            self._until_us = self._ends(self._last_us + elapsed_us)
        return down

    def _upload(self, elapsed_us: int, down: int) -> int:
        """What others got is what some send: everybody who can takes a part of it."""
        torrent = self._torrent
        up = min(torrent.wanted, self._member.up * elapsed_us // SECOND_US)
        torrent.wanted += down - up
        return up

    def _lie(self) -> int:
        chance = self._swarms.rng.random()
        if chance < EXAGGERATES:
            return _TOO_MUCH + int(chance * 1e12) + 1
        return int(chance * 10 * _GIB) if chance < INVENTS else 0

    def _announce(self, at_us: int, event: int) -> None:
        member, torrent = self._member, self._torrent
        self._swarms.write(
            (
                at_us, member.id.bytes, torrent.id.bytes, self._peer_id, event, self._uploaded, self._downloaded,
                self._left, member.address, member.port, self._key,
            )
        )  # fmt: skip

    def _fall_silent(self) -> None:
        if not self._torrent.deleted:
            self._swarms.at(self._last_us + SILENT_US, self._expire)

    def _expire(self, at_us: int) -> None:
        """What an edge writes of a peer that it gave up (no counters)."""
        if self._torrent.deleted:
            return
        member, torrent = self._member, self._torrent
        self._swarms.write(
            (
                at_us, member.id.bytes, torrent.id.bytes, self._peer_id, _EXPIRED, 0, 0, 0, member.address,
                member.port, 0,
            )
        )  # fmt: skip
        self._go_on(at_us)

    def _go_on(self, at_us: int) -> None:
        """Perhaps the program starts again the next day: always for what is not complete."""
        if not self._left and self._swarms.rng.random() >= GOES_ON * min(1.5, self._member.zeal):
            return
        again_us = at_us + int((0.3 + 0.5 * self._swarms.rng.random()) * DAY_US)
        if again_us > self._swarms.end_us:
            return
        self._swarms.join(self._member, self._torrent, again_us, left=self._left)
