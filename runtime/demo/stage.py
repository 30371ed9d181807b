"""What every part of the demo's life stands on: the clock's queue, the people, and chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappush
from random import Random

from domain.permissions import Permission
from runtime.demo.past import DAY_US, moment
from runtime.demo.people import Member
from runtime.demo.scope import Scope
from runtime.demo.segments import Segments
from runtime.demo.site import Site
from runtime.demo.swarm import Torrent


@dataclass
class People:
    """Everybody, and everything that is listed."""

    members: list[Member] = field(default_factory=list)
    administrators: list[Member] = field(default_factory=list)
    moderators: list[Member] = field(default_factory=list)
    torrents: list[Torrent] = field(default_factory=list)
    draw: list[Torrent] = field(default_factory=list)


class Stage:
    """Where things happen in the order of their time; subclasses are what happens."""

    def __init__(self, scope: Scope, site: Site, segments: Segments) -> None:
        self.people = People()
        self._scope = scope
        self._site = site
        self._segments = segments
        self._rng = Random(f"{scope.seed} life")
        self._queue: list[tuple[int, int, Callable[[int], None]]] = []
        self._turn = 0

    def _at(self, at_us: int, happen: Callable[[int], None]) -> None:
        self._turn += 1
        heappush(self._queue, (at_us, self._turn, happen))

    def _act_at(self, at_us: int, act: Callable[[int], None]) -> None:
        """Something that takes commands."""

        def happen(now_us: int) -> None:
            self._site.turn_to(now_us)
            with self._site.working():
                act(now_us)

        self._at(at_us, happen)

    def _soon(self, now_us: int, days: float, act: Callable[[int], None]) -> None:
        """After so many days on average."""
        self._act_at(now_us + 60_000_000 + int(self._rng.expovariate(1 / days) * DAY_US), act)

    def _administrator(self) -> Member:
        return self._rng.choice(self.people.administrators)

    def _moderator(self) -> Member:
        return self._rng.choice(self.people.moderators)

    def _somebody(
        self,
        permission: str = Permission.LOGIN,
        *,
        but: Member | None = None,
        zealous: bool = False,
        points: int = 0,
    ) -> Member | None:
        """A member who may do that, unless a few in a row may not; few do most of what the zealous do."""
        members = self.people.members
        for _ in range(12 if members else 0):
            place = self._rng.random() ** (3 if zealous else 1)
            member = members[int(place * len(members))]
            has = self._site.books.points[member.id] // 1000 if points else 0
            if member is not but and has >= points and member.may(permission):
                return member
        return None

    def _listed_one(self) -> Torrent | None:
        for _ in range(12 if self.people.torrents else 0):
            torrent = self._rng.choice(self.people.torrents)
            if torrent.listed:
                return torrent
        return None

    def _in_days(self, now_us: int, least: int, most: int) -> datetime:
        return moment(now_us + self._rng.randint(least, most) * DAY_US)
