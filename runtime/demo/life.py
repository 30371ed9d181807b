"""What happens on the demo site and when: people come, upload, download and get points; the clock goes round."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop
from random import Random

from domain.freeleech_tokens import price
from domain.permissions import Permission
from runtime.demo import words
from runtime.demo.newcomers import Newcomers, Plan
from runtime.demo.order import Order
from runtime.demo.past import DAY_US, HOUR_US, SeededIds, moment
from runtime.demo.people import Member, someone
from runtime.demo.scope import MONTH_US, Scope
from runtime.demo.segments import Segments
from runtime.demo.site import Site
from runtime.demo.swarm import Swarms, Torrent
from runtime.demo.wishes import Wishes

#: A torrent of average popularity is so many tickets in the draw of what is downloaded next, the favourite many.
_TICKETS_MAX = 400
#: Of the draws: among what was listed last.
_FRESH, _FRESHEST = 0.35, 150
#: However small the site is, this member cheats.
_FIRST_CHEATER = 5
_PROMOTED_TO = ("power_user", "power_user", "power_user", "elite", "torrent_master", "uploader", "vip")


def registrations(scope: Scope) -> list[Plan]:
    """Staff on the first day; then a site that grows faster the larger it is."""
    rng = Random(f"{scope.seed} registrations")
    staff = ["administrator"] * (1 + scope.users // 2000) + ["moderator"] * (2 + scope.users // 500)
    span_us = scope.end_us - scope.start_us - 2 * HOUR_US
    times = sorted(HOUR_US + int(span_us * rng.random() ** 0.62) for _ in range(max(0, scope.users - len(staff))))
    groups = [*staff, *["member"] * len(times)]
    starts = [*(n * 60_000_000 for n in range(len(staff))), *times]
    plans = []
    for number, (group, after_us) in enumerate(zip(groups, starts, strict=True)):
        at_us = scope.start_us + after_us
        ids = SeededIds(f"{scope.seed} user {number}", at_us)
        plans.append(Plan(at_us, words.username(rng, number + 1), group, ids))
    return plans


class Life(Wishes, Order):
    """The site from its first to its last moment. `run` yields after each turn of the clock."""

    def __init__(self, scope: Scope, site: Site, newcomers: Newcomers, plans: list[Plan], segments: Segments) -> None:
        super().__init__(scope, site, segments)
        self.uploads = 0
        self._newcomers = newcomers
        self._swarms = Swarms(
            Random(f"{scope.seed} swarms"), self._at, segments.write, site.books, scope.start_us, scope.end_us
        )
        for plan in plans:
            self._act_at(plan.at_us, self._register)
        self._plan()

    def run(self) -> Iterator[int]:
        """Yields the time, UTC microseconds."""
        queue, end_us = self._queue, self._scope.end_us
        while queue and queue[0][0] < end_us:
            at_us, _, happen = heappop(queue)
            happen(at_us)
            yield at_us
        self._segments.ship()
        self._site.turn_to(end_us)
        self._site.commit()

    def _plan(self) -> None:
        """What does not follow from something else, at times when there is somebody to do it."""
        scope = self._scope
        for often, act in (
            (scope.torrents, self._upload),
            (2 + scope.torrents // 12, self._open_request),
            (2 + scope.torrents // 60, self._report_torrent),
            (3 + scope.users // 80, self._report_member),
            (2 + scope.torrents // 50, self._free_torrent),
            (2 + scope.torrents // 80, self._promote_torrent),
            (2 + scope.users // 100, self._free_member),
            (2 + scope.users * scope.months // 25, self._give_tokens),
            (2 + scope.users // 6, self._change_group),
            (2 + scope.users // 90, self._ban),
            (scope.months, self._promote_site),
        ):
            for at_us in self._times(often):
                self._act_at(at_us, act)

    def _times(self, often: int) -> list[int]:
        span_us = self._scope.end_us - self._scope.start_us - DAY_US
        return [self._scope.start_us + DAY_US // 2 + int(span_us * self._rng.random() ** 0.66) for _ in range(often)]

    def _register(self, now_us: int) -> None:
        newcomer = self._newcomers.next()
        self._site.register(newcomer)
        rank = self._site.rank(newcomer.plan.group)
        member = someone(self._rng, newcomer.user_id, newcomer.username, rank, now_us)
        if rank.slug == "administrator":
            self.people.administrators.append(member)
        elif rank.slug == "moderator":
            self.people.moderators.append(member)
        else:
            member.cheats |= len(self.people.members) == _FIRST_CHEATER
            self.people.members.append(member)
            self._at(self._next_snatch(member, now_us), lambda at_us: self._snatch(member, at_us))
            self._soon(now_us, 30, lambda at_us: self._grant(member, at_us))

    # members and their torrents

    def _upload(self, now_us: int) -> None:
        member = self._somebody(Permission.UPLOAD, zealous=True)
        if member is None:  # in the first days
            self._soon(now_us, 1, self._upload)
            return
        rng, year = self._rng, moment(now_us).year
        category, called = words.category(rng), words.title(rng, year)
        name, size = words.release(rng, called, category)
        file = words.torrent_file(rng, name, size)
        text = f"{called}. Seeded for as long as I can."
        torrent = self._site.upload(member, file, name, text, category, words.tags(rng), size=size)
        self.uploads += 1
        if torrent.listed:
            self._listed(torrent, now_us)
        elif rng.random() < 0.005:
            self._soon(now_us, 0.1, lambda at_us: self._take_back(torrent, at_us))
        else:
            self._soon(now_us, 0.25, lambda at_us: self._review(torrent, at_us))

    def _take_back(self, torrent: Torrent, now_us: int) -> None:
        if now_us - DAY_US < torrent.uploaded_us and torrent.uploader.is_there:
            self._delete(torrent.uploader, torrent, "wrong file")

    def _review(self, torrent: Torrent, now_us: int) -> None:
        staff = self._moderator()
        if torrent.deleted or torrent.listed:
            return
        if self._rng.random() < 0.05:
            self._site.reject(staff, torrent, self._rng.choice(words.REJECTIONS))
            if self._rng.random() < 0.3:
                self._soon(now_us, 2, lambda at_us: self._approve(torrent, at_us))
        else:
            self._approve(torrent, now_us)

    def _approve(self, torrent: Torrent, now_us: int) -> None:
        if not torrent.deleted:
            self._site.approve(self._moderator(), torrent)
            self._listed(torrent, now_us)

    def _listed(self, torrent: Torrent, now_us: int) -> None:
        """Everybody sees it; how popular it will be follows a power law."""
        self.people.torrents.append(torrent)
        self.people.draw += [torrent] * min(_TICKETS_MAX, int(self._rng.paretovariate(0.9)))
        self._swarms.join(torrent.uploader, torrent, now_us, left=0)
        if self._rng.random() < 0.015:
            reason = self._rng.choice(words.DELETIONS)
            self._soon(now_us, 40, lambda at_us: self._delete(self._moderator(), torrent, reason))

    def _delete(self, by: Member, torrent: Torrent, reason: str) -> None:
        if not torrent.deleted:
            self._segments.ship()  # an edge ships within a second, so what was announced before counts as before
            self._site.delete(by, torrent, reason)

    def _next_snatch(self, member: Member, now_us: int) -> int:
        per_us = self._scope.snatches * member.zeal / MONTH_US
        return member.awake_at(now_us + 60_000_000 + int(self._rng.expovariate(per_us)))

    def _snatch(self, member: Member, now_us: int) -> None:
        self._at(self._next_snatch(member, now_us), lambda at_us: self._snatch(member, at_us))
        torrent = self._drawn()
        if torrent is None or torrent.id.bytes in member.on or not member.may(Permission.LEECH):
            return
        if member.tokens >= price(torrent.size):
            self._spend(member, torrent, now_us)
        self._swarms.join(member, torrent, now_us, left=torrent.size)

    def _spend(self, member: Member, torrent: Torrent, now_us: int) -> None:
        self._site.turn_to(now_us)
        if not self._site.is_free(torrent):
            with self._site.working():
                self._site.spend_tokens(member, torrent)

    def _drawn(self) -> Torrent | None:
        fresh = self.people.torrents[-_FRESHEST:]
        if not fresh:
            return None
        torrent = self._rng.choice(fresh if self._rng.random() < _FRESH else self.people.draw)
        return torrent if torrent.listed else None

    # points, tokens, promotions

    def _grant(self, member: Member, now_us: int) -> None:
        """A month's bonus for those who seed."""
        self._soon(now_us, 30, lambda at_us: self._grant(member, at_us))
        if member.is_there and member.on:
            points = 20 + int(120 * self._rng.random() * member.zeal)
            self._site.grant(self._administrator(), member, points, f"seeding in {moment(now_us):%B}")

    def _give_tokens(self, now_us: int) -> None:
        if member := self._somebody():
            self._site.give_tokens(self._administrator(), member, self._rng.randint(1, 20), "event of the month")

    def _free_torrent(self, now_us: int) -> None:
        if torrent := self._listed_one():
            self._site.free(self._moderator(), torrent, self._in_days(now_us, 1, 14))

    def _promote_torrent(self, now_us: int) -> None:
        if (torrent := self._listed_one()) is None:
            return
        up, down = self._rng.choice(((200, 100), (200, 50), (100, 50), (150, 30)))
        until = None if self._rng.random() < 0.3 else self._in_days(now_us, 2, 20)
        self._site.promote(self._moderator(), torrent, up, down, until)
        if until is None:
            self._soon(now_us, 15, lambda at_us: self._end_promotion(torrent, at_us))

    def _end_promotion(self, torrent: Torrent, now_us: int) -> None:
        if torrent.listed:
            self._site.end_promotion(self._moderator(), torrent)

    def _free_member(self, now_us: int) -> None:
        if member := self._somebody():
            self._site.free_member(self._administrator(), member, self._in_days(now_us, 2, 30))

    def _promote_site(self, now_us: int) -> None:
        up, down = self._rng.choice(((200, 100), (100, 0), (200, 50)))
        self._site.promote_site(self._administrator(), up, down, moment(now_us + 2 * DAY_US))

    def _change_group(self, now_us: int) -> None:
        member = self._somebody(zealous=True)
        if member is not None and member.rank.slug in {"member", "power_user", "elite"}:
            slug = self._rng.choice(_PROMOTED_TO)
            if self._site.rank(slug).level > member.rank.level:
                self._site.change_group(self._administrator(), member, slug, "earned")
