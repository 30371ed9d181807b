"""Requests: somebody wishes, others raise the bounty, one fills, the first accepts or gives up."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from domain.permissions import Permission
from runtime.demo import words
from runtime.demo.past import moment
from runtime.demo.people import Member
from runtime.demo.stage import Stage
from runtime.demo.swarm import Torrent


@dataclass(slots=True, eq=False)
class _Request:
    id: UUID
    requester: Member
    title: str
    bounties: dict[UUID, int]
    filler: Member | None = None
    torrent: Torrent | None = None
    closed: bool = False

    @property
    def points(self) -> int:
        return sum(self.bounties.values())


class Wishes(Stage):
    """What happens to requests."""

    def _open_request(self, now_us: int) -> None:
        member = self._somebody(Permission.REQUESTS, points=30)
        if member is None:
            return
        rng = self._rng
        title, points = words.title(rng, moment(now_us).year), rng.randint(5, 30)
        request_id = self._site.open_request(member, title, "In any good quality.", words.category(rng), points)
        request = _Request(request_id, member, title, {member.id: points})
        for _ in range(int(rng.expovariate(1.5))):
            self._soon(now_us, 3, lambda at_us: self._add_bounty(request, at_us))
        if rng.random() < 0.8:
            self._soon(now_us, 5, lambda at_us: self._fill(request, at_us))
        if rng.random() < 0.3:
            self._soon(now_us, 25, lambda at_us: self._cancel(request, at_us))

    def _add_bounty(self, request: _Request, now_us: int) -> None:
        member = self._somebody(Permission.REQUESTS, points=10)
        if member is not None and not request.closed:
            points = self._rng.randint(1, 10)
            self._site.add_bounty(member, request.id, points)
            request.bounties[member.id] = request.bounties.get(member.id, 0) + points

    def _fill(self, request: _Request, now_us: int) -> None:
        filler, torrent = self._somebody(Permission.REQUESTS, but=request.requester), self._listed_one()
        if filler is None or torrent is None or request.closed or request.filler is not None:
            return
        self._site.fill(filler, request.id, torrent)
        request.filler, request.torrent = filler, torrent
        self._soon(now_us, 1, lambda at_us: self._answer_fill(request, at_us))

    def _answer_fill(self, request: _Request, now_us: int) -> None:
        filler, torrent, requester = request.filler, request.torrent, request.requester
        if filler is None or torrent is None or request.closed or not requester.is_there:
            return
        if torrent.listed and self._rng.random() < 0.85:
            self._site.accept(requester, request.id, filler, request.points)
            request.closed = True
            return
        self._site.reject_fill(requester, request.id, "another one was meant")
        request.filler = request.torrent = None
        self._soon(now_us, 5, lambda at_us: self._fill(request, at_us))

    def _cancel(self, request: _Request, now_us: int) -> None:
        if request.requester.is_there and not request.closed and request.filler is None:
            self._site.cancel(request.requester, request.id, request.bounties)
            request.closed = True
