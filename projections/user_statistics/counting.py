"""Facts counted in batches: how much each adds to whose numbers, then one statement per table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from domain.base import MAX_COUNT
from domain.bonus import Account, AccountKind
from domain.invites import Invite
from domain.moderation import Case
from domain.requests import Request
from domain.sessions import Session
from domain.statistics import Count, Streak, of_posting
from domain.torrents import Torrent
from domain.users import User
from projections.user_statistics.known import Known, KnownFill, KnownTorrent
from projections.user_statistics.projection import user_statistics
from runtime.db import Writer
from runtime.facts import AnyCaused, AnyFact
from runtime.rollup import Period, Rollup, come

#: Whose numbers are those of all users together.
SITE = UUID(int=0)
HISTORY = Rollup("statistics_history", held=(), moving=tuple(Count))

#: Facts per transaction.
AT_ONCE = 1000


class Explained(NamedTuple):
    """A row of `statistics_fact`."""

    user_id: UUID
    number: Count
    position: int
    subject_id: UUID
    subject_type: str
    at: datetime
    amount: int
    topic: str


@user_statistics.on_batch(
    *(User.Registered, User.Disabled, User.Enabled, Session.Started),
    *(Torrent.Uploaded, Torrent.Approved, Torrent.Rejected, Torrent.Deleted),
    *(Request.Opened, Request.Accepted, Case.ReportFiled, Invite.Accepted, Account.Opened, Account.Posted),
    at_once=AT_ONCE,
    size=lambda event: 1,
)
def counted(facts: Sequence[AnyCaused], db: Writer) -> None:
    known = Known(db, facts)
    batch = _Batch(known)
    for fact in facts:
        batch.count(fact)
    known.write(db)
    batch.write(db)


class _Batch:
    """What facts add up to."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._totals: defaultdict[UUID, defaultdict[Count, int]] = defaultdict(lambda: defaultdict(int))
        self._changes: list[tuple[datetime, UUID, Count, int]] = []
        self._facts: list[Explained] = []
        self._joined: dict[UUID, datetime] = {}
        self._signed_in: dict[UUID, datetime] = {}
        self._newest: datetime | None = None

    def count(self, fact: AnyCaused) -> None:
        moment = come(fact.at, fact.recorded_at)
        self._newest = moment if self._newest is None else max(self._newest, moment)
        match fact.event:
            case User.Registered():
                self._joined[fact.stream_id] = fact.at
                self._add(fact, fact.stream_id, Count.ACCOUNTS, 1)
            case User.Disabled():
                self._add(fact, fact.stream_id, Count.ACCOUNTS, -1)
            case User.Enabled():
                self._add(fact, fact.stream_id, Count.ACCOUNTS, 1)
            case Session.Started(user_id=user_id):
                self._sign_in(user_id, fact.at)
            case Torrent.Uploaded(uploader_id=uploader_id, anonymous=anonymous):
                self._known.keep_torrent(fact.stream_id, KnownTorrent(uploader_id, anonymous, listed=False))
            case Torrent.Approved():
                self._list(fact, listed=True)
            case Torrent.Rejected():
                self._list(fact, listed=False)
            case Torrent.Deleted():
                self._list(fact, listed=False)
                self._undo_fills(fact)
            case Request.Opened(requester_id=requester_id):
                self._explain(fact, requester_id, Count.REQUESTS_OPENED, 1, "request", fact.stream_id)
            case Request.Accepted(filler_id=filler_id, torrent_id=torrent_id):
                self._accept_fill(fact, filler_id, torrent_id)
            case Case.ReportFiled(reporter_id=reporter_id):
                self._explain(fact, reporter_id, Count.REPORTS, 1, "case", fact.stream_id)
            case Invite.Accepted(inviter_id=UUID() as inviter_id, invitee_id=invitee_id):
                self._explain(fact, inviter_id, Count.INVITED, 1, "user", invitee_id)
            case Account.Opened(kind=AccountKind.BONUS, owner_id=owner_id):
                self._known.keep_account(fact.stream_id, owner_id)
            case Account.Posted(kind=kind, amount=amount):
                self._post(fact, kind, amount)

    def write(self, db: Writer) -> None:
        self._write_totals(db)
        self._write_past(db)
        db.many(
            "INSERT INTO statistics_fact (user_id, count, position, subject_id, subject_type, at, amount, topic)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            self._facts,
        )

    def _add(self, fact: AnyFact, user_id: UUID, count: Count, amount: int) -> None:
        for whose in (user_id, SITE):
            self._totals[whose][count] += amount
            self._changes.append((fact.at, whose, count, amount))

    def _explain(
        self, fact: AnyFact, user_id: UUID, count: Count, amount: int, subject_type: str, subject_id: UUID
    ) -> None:
        self._add(fact, user_id, count, amount)
        self._facts.append(
            Explained(user_id, count, fact.position, subject_id, subject_type, fact.at, amount, fact.topic)
        )

    def _list(self, fact: AnyFact, *, listed: bool) -> None:
        torrent = self._known.torrent(fact.stream_id)
        if torrent.listed is listed:
            return
        torrent.listed = listed
        self._known.keep_torrent(fact.stream_id, torrent)
        count = Count.UPLOADS_ANONYMOUS if torrent.anonymous else Count.UPLOADS
        self._explain(fact, torrent.uploader_id, count, 1 if listed else -1, "torrent", fact.stream_id)

    def _accept_fill(self, fact: AnyFact, filler_id: UUID, torrent_id: UUID) -> None:
        torrent = self._known.torrent(torrent_id)
        fill = KnownFill(torrent_id, filler_id, torrent.anonymous and torrent.uploader_id == filler_id)
        self._known.keep_fill(fact.stream_id, fill)
        self._explain_fill(fact, fact.stream_id, fill, 1)

    def _undo_fills(self, fact: AnyFact) -> None:
        """A request whose torrent is gone is filled no more."""
        for request_id, fill in self._known.fills_with(fact.stream_id):
            self._explain_fill(fact, request_id, fill, -1)

    def _explain_fill(self, fact: AnyFact, request_id: UUID, fill: KnownFill, amount: int) -> None:
        count = Count.REQUESTS_FILLED_ANONYMOUS if fill.anonymous else Count.REQUESTS_FILLED
        self._explain(fact, fill.filler_id, count, amount, "request", request_id)

    def _post(self, fact: AnyFact, kind: str, amount: int) -> None:
        user_id = self._known.user_of_account(fact.stream_id)
        if user_id is not None:
            for count, part in of_posting(kind, amount).items():
                self._add(fact, user_id, count, part)

    def _sign_in(self, user_id: UUID, at: datetime) -> None:
        self._signed_in[user_id] = max(at, self._signed_in.get(user_id, at))
        self._known.streaks[user_id] = self._known.streaks.get(user_id, Streak()).with_day(at.date())

    def _write_totals(self, db: Writer) -> None:
        users = sorted(self._totals.keys() | self._signed_in.keys())
        db.many(_TOTALS, [(user_id, *_amounts(self._totals[user_id])) for user_id in users])
        db.many(
            "UPDATE user_statistics SET joined_at = %s WHERE user_id = %s",
            [(at, user_id) for user_id, at in self._joined.items()],
        )
        db.many(
            "UPDATE user_statistics SET signed_in_at = greatest(signed_in_at, %s), sign_in_day = %s,"
            " sign_in_days = %s, sign_in_days_longest = %s WHERE user_id = %s",
            [(at, *self._known.streaks[user_id], user_id) for user_id, at in self._signed_in.items()],
        )

    def _write_past(self, db: Writer) -> None:
        assert self._newest is not None, "a batch has facts"
        horizon = HISTORY.reach(db, self._newest)
        periods: defaultdict[tuple[UUID, Period], defaultdict[Count, int]] = defaultdict(lambda: defaultdict(int))
        for at, user_id, count, amount in self._changes:
            periods[user_id, horizon.period(at)][count] += amount
        db.many(
            f"{HISTORY.add} VALUES (%s, {', '.join(['%s'] * (2 + len(Count)))}) {HISTORY.merged}",
            [(user_id, *period, *_amounts(amounts)) for (user_id, period), amounts in sorted(periods.items())],
        )


_SATURATED: LiteralString = ", ".join(
    f"{name} = greatest(least(t.{name}::numeric + excluded.{name}, {MAX_COUNT}), -{MAX_COUNT})" for name in Count
)
_TOTALS: LiteralString = (
    f"INSERT INTO user_statistics AS t (user_id, {', '.join(Count)})"
    f" VALUES (%s, {', '.join(['%s'] * len(Count))}) ON CONFLICT (user_id) DO UPDATE SET {_SATURATED}"
)


def _amounts(amounts: dict[Count, int]) -> list[Any]:
    """In the order of the columns, each within what the store can count."""
    return [max(-MAX_COUNT, min(amounts.get(count, 0), MAX_COUNT)) for count in Count]
