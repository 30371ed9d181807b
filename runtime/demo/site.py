"""What people do on the demo site: each act is a command of the site's own, at its time, and an entry in the books."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from io import BytesIO
from uuid import UUID, uuid5

from fastapi import UploadFile

from commands.bans import ImposeBan, LiftBan, impose_ban, lift_ban
from commands.bonus import GrantPoints, grant_points
from commands.freeleech_tokens import GrantTokens, grant_tokens, spend_tokens
from commands.moderation import (
    AppealDecision,
    CommentOnCase,
    DecideCase,
    FileReport,
    SubjectType,
    appeal_decision,
    claim_case,
    close_case,
    comment_on_case,
    decide_case,
    file_report,
)
from commands.policies import POLICIES
from commands.requests import (
    AddBounty,
    FillRequest,
    OpenRequest,
    RejectFill,
    accept_fill,
    add_bounty,
    cancel_request,
    fill_request,
    open_request,
    reject_fill,
)
from commands.site_promotions import start_site_promotion
from commands.torrents import (
    DeleteTorrent,
    GrantFreeleech,
    Promote,
    RejectTorrent,
    UploadTorrent,
    approve_torrent,
    delete_torrent,
    end_promotion,
    grant_freeleech,
    promote_torrent,
    reject_torrent,
    upload_torrent,
)
from commands.users import ChangeGroup, GrantPersonalFreeleech, change_group, grant_personal_freeleech
from domain.bans import BanKind
from domain.base import SYSTEM
from domain.groups import Group, group_id
from domain.moderation import Outcome
from domain.permissions import Permission
from domain.torrents import TorrentState
from runtime.demo.books import EVERYBODY, Books
from runtime.demo.bulk import COMMANDS_AT_ONCE, BulkHistory
from runtime.demo.newcomers import ORIGIN, Decided
from runtime.demo.past import PastStore, SeededIds, microseconds, moment
from runtime.demo.people import Member, Rank
from runtime.demo.swarm import Torrent
from runtime.facts import FactLog
from runtime.follow import POLICY
from runtime.http.deps import Caller, NotPermitted
from runtime.recorder import Metadata
from runtime.store import unbound_metadata


class Site:
    """The commands in the order of `at_us`, which whoever turns the clock sets; `wake` is told what was committed."""

    def __init__(self, history: BulkHistory, ids: SeededIds, books: Books, wake: Callable[[list[str]], None]) -> None:
        self.books = books
        self.commands_s = 0.0
        self._history = history
        self._ids = ids
        self._wake = wake
        self._topics: set[str] = set()
        self._ranks: dict[str, Rank] = {}

    @property
    def now(self) -> datetime:
        return moment(self._ids.at_us)

    def store(self, actor_id: UUID, origin: str = ORIGIN, *, at_us: int | None = None) -> PastStore:
        """The store of one command of now, or of `at_us`."""
        at = self.now if at_us is None else moment(at_us)
        return self._store(unbound_metadata(actor_id, origin, self._ids()), at)

    def commit(self) -> None:
        """Everybody sees what was done up to here."""
        self._history.bulk.commit()
        self._wake(sorted(self._topics))
        self._topics.clear()

    def turn_to(self, at_us: int) -> None:
        """It is later now."""
        self._ids.at_us = at_us
        if self._history.bulk.waiting >= COMMANDS_AT_ONCE:
            with self.working():
                self.commit()

    @contextmanager
    def working(self) -> Iterator[None]:
        """The time in which commands are carried out."""
        began = time.perf_counter()
        yield
        self.commands_s += time.perf_counter() - began

    def rank(self, slug: str) -> Rank:
        if slug not in self._ranks:
            group = self._history.aggregate(Group, group_id(slug))
            self._ranks[slug] = Rank(slug, group.level, group.permissions)
        return self._ranks[slug]

    def register(self, newcomer: Decided) -> None:
        self._store(newcomer.metadata, moment(newcomer.plan.at_us)).save(*newcomer.aggregates, **newcomer.rest)

    def upload(
        self, member: Member, file: bytes, name: str, description: str, category: str, tags: list[str], *, size: int
    ) -> Torrent:
        command = UploadTorrent(
            file=UploadFile(BytesIO(file), filename=f"{name}.torrent"),
            name=name,
            description=description,
            category=category,
            tags=tags,
        )
        uploaded = upload_torrent(command, _caller(member, Permission.UPLOAD), self.store(member.id))
        return Torrent(uploaded.id, member, size, self._ids.at_us, listed=uploaded.status is TorrentState.APPROVED)

    def approve(self, staff: Member, torrent: Torrent) -> None:
        approve_torrent(torrent.id, _caller(staff, Permission.TORRENTS_MODERATE), self.store(staff.id))
        torrent.listed = True

    def reject(self, staff: Member, torrent: Torrent, reason: str) -> None:
        caller = _caller(staff, Permission.TORRENTS_MODERATE)
        reject_torrent(torrent.id, RejectTorrent(reason=reason), caller, self.store(staff.id))

    def delete(self, by: Member, torrent: Torrent, reason: str) -> None:
        """The caller has shipped what was announced up to now."""
        delete_torrent(torrent.id, DeleteTorrent(reason=reason), by.caller, self.store(by.id), self.now)
        torrent.listed, torrent.deleted = False, True

    def free(self, staff: Member, torrent: Torrent, until: datetime) -> None:
        caller = _caller(staff, Permission.TORRENTS_FREELEECH)
        grant_freeleech(torrent.id, GrantFreeleech(until=until), caller, self.store(staff.id), self.now)
        self._promise_on(torrent, until, 100, 0)

    def is_free(self, torrent: Torrent) -> bool:
        """Whether its downloads cost nothing anyway."""
        return self.books.percents(torrent.id.bytes, self._ids.at_us)[1] == 0

    def promote(self, staff: Member, torrent: Torrent, up: int, down: int, until: datetime | None) -> None:
        caller = _caller(staff, Permission.TORRENTS_FREELEECH)
        command = Promote(upload_percent=up, download_percent=down, until=until)
        promote_torrent(torrent.id, command, caller, self.store(staff.id), self.now)
        self._promise_on(torrent, until, up, down)

    def end_promotion(self, staff: Member, torrent: Torrent) -> None:
        caller = _caller(staff, Permission.TORRENTS_FREELEECH)
        end_promotion(torrent.id, caller, self.store(staff.id), self.now)
        self.books.withdraw(torrent.id.bytes, torrent.id, self._ids.at_us)

    def promote_site(self, staff: Member, up: int, down: int, until: datetime) -> None:
        command = Promote(upload_percent=up, download_percent=down, until=until)
        caller = _caller(staff, Permission.TRACKER_MANAGE)
        started = start_site_promotion(command, caller, self.store(staff.id), self.now)
        self._promise(EVERYBODY, started.id, until, up, down)

    def free_member(self, staff: Member, member: Member, until: datetime) -> None:
        caller = _caller(staff, Permission.BONUS_GRANT)
        grant_personal_freeleech(member.id, GrantPersonalFreeleech(until=until), caller, self.store(staff.id), self.now)
        self.books.withdraw(member.id.bytes, member.id, self._ids.at_us)
        self._promise(member.id.bytes, member.id, until, 100, 0)

    def give_tokens(self, staff: Member, member: Member, tokens: int, reason: str) -> None:
        caller = _caller(staff, Permission.BONUS_GRANT)
        command = GrantTokens(tokens=tokens, reason=reason)
        member.tokens = grant_tokens(member.id, command, caller, self.store(staff.id)).balance

    def spend_tokens(self, member: Member, torrent: Torrent) -> None:
        caller = _caller(member, Permission.LEECH)
        spent = spend_tokens(torrent.id, caller, self.store(member.id), self.now)
        member.tokens = spent.balance
        self._promise(torrent.id.bytes + member.id.bytes, member.id, spent.until, 100, 0)

    def grant(self, staff: Member, member: Member, points: int, reason: str) -> None:
        caller = _caller(staff, Permission.BONUS_GRANT)
        command = GrantPoints(points=points, reason=reason)
        grant_points(member.id, command, caller, self.store(staff.id))
        self.books.points[member.id] += points * 1000

    def change_group(self, staff: Member, member: Member, slug: str, reason: str) -> None:
        caller = _caller(staff, Permission.USERS_PROMOTE)
        command = ChangeGroup(group=slug, reason=reason)
        change_group(member.id, command, caller, self.store(staff.id), self.now)
        member.rank = self.rank(slug)
        perk = group_id("perk")  # of whichever group: it follows the member
        self.books.withdraw(member.id.bytes, perk, self._ids.at_us)
        up = 200 if Permission.DOUBLE_UPLOAD in member.rank.permissions else 100
        down = 0 if Permission.FREELEECH in member.rank.permissions else 100
        if (up, down) != (100, 100):
            self._promise(member.id.bytes, perk, None, up, down)

    def open_request(self, member: Member, title: str, text: str, category: str, points: int) -> UUID:
        command = OpenRequest(title=title, description=text, category=category, bounty=points)
        opened = open_request(command, _caller(member, Permission.REQUESTS), self.store(member.id))
        self.books.points[member.id] -= points * 1000
        return opened.id

    def add_bounty(self, member: Member, request_id: UUID, points: int) -> None:
        caller = _caller(member, Permission.REQUESTS)
        add_bounty(request_id, AddBounty(points=points), caller, self.store(member.id))
        self.books.points[member.id] -= points * 1000

    def fill(self, member: Member, request_id: UUID, torrent: Torrent) -> None:
        caller = _caller(member, Permission.REQUESTS)
        fill_request(request_id, FillRequest(torrent_id=torrent.id), caller, self.store(member.id))

    def accept(self, member: Member, request_id: UUID, filler: Member, points: int) -> None:
        accept_fill(request_id, member.caller, self.store(member.id))
        self.books.points[filler.id] += points * 1000

    def reject_fill(self, member: Member, request_id: UUID, reason: str) -> None:
        reject_fill(request_id, RejectFill(reason=reason), member.caller, self.store(member.id))

    def cancel(self, member: Member, request_id: UUID, bounties: dict[UUID, int]) -> None:
        cancel_request(request_id, member.caller, self.store(member.id))
        for contributor_id, points in bounties.items():
            self.books.points[contributor_id] += points * 1000

    def report(self, member: Member, kind: SubjectType, subject_id: UUID, reason: str, text: str) -> UUID:
        """The case that the report opens or joins."""
        command = FileReport(subject_type=kind, subject_id=subject_id, reason=reason, text=text)
        return file_report(command, _caller(member, Permission.REPORT), self.store(member.id)).case_id

    def claim_case(self, staff: Member, case_id: UUID) -> None:
        claim_case(case_id, _caller(staff, Permission.MODERATION), self.store(staff.id))

    def comment(self, staff: Member, case_id: UUID, text: str) -> None:
        caller = _caller(staff, Permission.MODERATION)
        comment_on_case(case_id, CommentOnCase(text=text), caller, self.store(staff.id))

    def decide(self, staff: Member, case_id: UUID, outcome: Outcome, reason: str) -> None:
        """And what policies make of it, at once: the site's own worker then finds nothing left to do."""
        caller = _caller(staff, Permission.MODERATION)
        decide_case(case_id, DecideCase(outcome=outcome, reason=reason), caller, self.store(staff.id))
        self._answer(case_id)

    def appeal(self, member: Member, case_id: UUID, text: str) -> None:
        appeal_decision(case_id, AppealDecision(text=text), member.caller, self.store(member.id))

    def close_case(self, staff: Member, case_id: UUID) -> None:
        close_case(case_id, _caller(staff, Permission.MODERATION), self.store(staff.id))

    def ban(self, staff: Member, member: Member, kind: BanKind, reason: str, until: datetime | None) -> UUID:
        caller = _caller(staff, Permission.USERS_DISABLE)
        command = ImposeBan(kind=kind, reason=reason, until=until)
        imposed = impose_ban(member.id, command, caller, self.store(staff.id), self.now)
        member.bans.add(kind)
        return imposed.id

    def lift_ban(self, staff: Member, member: Member, kind: BanKind, ban_id: UUID, reason: str) -> None:
        caller = _caller(staff, Permission.USERS_DISABLE)
        lift_ban(ban_id, LiftBan(reason=reason), caller, self.store(staff.id), self.now)
        member.bans.discard(kind)

    def _store(self, metadata: Metadata, at: datetime) -> PastStore:
        return PastStore(self._history, metadata, self._topics.update, at=at)

    def _promise_on(self, torrent: Torrent, until: datetime | None, up: int, down: int) -> None:
        """Of a torrent's promotions the newest alone holds."""
        self.books.withdraw(torrent.id.bytes, torrent.id, self._ids.at_us)
        self._promise(torrent.id.bytes, torrent.id, until, up, down)

    def _promise(self, subject: bytes, source: UUID, until: datetime | None, up: int, down: int) -> None:
        self.books.promise(subject, source, self._ids.at_us, microseconds(until) if until else None, up, down)

    def _answer(self, stream_id: UUID) -> None:
        """Let policies answer the newest fact of a stream under the id that a worker's answer would have."""
        *_, fact = FactLog(self._history).stream(stream_id)
        for policy in POLICIES:
            if type(fact.event) in policy.handlers:
                command_id = uuid5(POLICY, f"{policy.name}:{fact.position}")
                metadata = Metadata(command_id, SYSTEM, "policy", fact.correlation_id, fact.event_id)
                policy.apply(fact, self._store(metadata, fact.at))


def _caller(member: Member, permission: str) -> Caller:
    """The member as a route's caller, who is asked for the permission before the route is called."""
    if not member.may(permission):
        raise NotPermitted("your group may not do this")
    return member.caller
