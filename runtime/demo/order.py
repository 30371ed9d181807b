"""Order on the site: reports, cases, decisions, appeals, and bans."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from commands.moderation import SubjectType
from domain.bans import BanKind
from domain.moderation import Outcome
from domain.permissions import Permission
from runtime.demo import words
from runtime.demo.people import Member
from runtime.demo.stage import Stage
from runtime.demo.swarm import Torrent


class Order(Stage):
    """What staff do about members and their uploads."""

    def _report_torrent(self, now_us: int) -> None:
        torrent = self._listed_one()
        reporter = self._somebody(Permission.REPORT, but=torrent.uploader if torrent else None)
        if torrent is None or reporter is None or torrent.reported:
            return
        torrent.reported = True
        case_id = self._site.report(
            reporter, SubjectType.TORRENT, torrent.id, self._rng.choice(words.COMPLAINTS), "Please have a look."
        )
        second = self._somebody(Permission.REPORT, but=reporter)
        if second is not None and second is not torrent.uploader and self._rng.random() < 0.3:
            self._site.report(second, SubjectType.TORRENT, torrent.id, self._rng.choice(words.COMPLAINTS), "")
        self._soon(now_us, 0.5, lambda at_us: self._judge(case_id, torrent.uploader, torrent, at_us))

    def _report_member(self, now_us: int) -> None:
        """Cheaters are caught more often than others are accused."""
        cheaters = [member for member in self.people.members if member.cheats and member.is_there]
        accused = self._rng.choice(cheaters) if cheaters and self._rng.random() < 0.6 else self._somebody()
        reporter = self._somebody(Permission.REPORT, but=accused)
        if accused is None or reporter is None or accused.reported:
            return
        accused.reported = True
        case_id = self._site.report(
            reporter, SubjectType.USER, accused.id, self._rng.choice(words.MISCONDUCT), "See the statistics."
        )
        self._soon(now_us, 0.5, lambda at_us: self._judge(case_id, accused, None, at_us))

    def _judge(self, case_id: UUID, concerned: Member, torrent: Torrent | None, now_us: int) -> None:
        staff = self._moderator()
        self._site.claim_case(staff, case_id)
        if self._rng.random() < 0.5:
            self._site.comment(staff, case_id, "I have asked the user.")
        outcome = self._outcome(concerned, torrent)
        self._decide(staff, case_id, outcome, concerned, torrent)
        if outcome is not Outcome.DISMISSED and concerned.is_there and self._rng.random() < 0.4:
            self._soon(now_us, 1, lambda at_us: self._appeal(case_id, concerned, at_us))
        else:
            self._soon(now_us, 7, lambda at_us: self._site.close_case(staff, case_id))

    def _outcome(self, concerned: Member, torrent: Torrent | None) -> Outcome:
        if torrent is not None:
            kinds, weights = [Outcome.DISMISSED, Outcome.UPHELD, Outcome.TORRENT_DELETED], [5, 2, 3]
        elif concerned.cheats:
            kinds, weights = [Outcome.USER_DISABLED, Outcome.WARNED], [8, 2]
        else:
            kinds, weights = [Outcome.DISMISSED, Outcome.WARNED, Outcome.USER_DISABLED], [5, 4, 1]
        return self._rng.choices(kinds, weights)[0]

    def _decide(
        self, staff: Member, case_id: UUID, outcome: Outcome, concerned: Member, torrent: Torrent | None
    ) -> None:
        if outcome is Outcome.TORRENT_DELETED:
            self._segments.ship()
        self._site.decide(staff, case_id, outcome, f"{outcome} after a look at it".replace("_", " "))
        if outcome is Outcome.TORRENT_DELETED and torrent is not None:
            torrent.listed, torrent.deleted = False, True
        if outcome is Outcome.USER_DISABLED:
            concerned.enabled = False

    def _appeal(self, case_id: UUID, concerned: Member, now_us: int) -> None:
        staff = self._moderator()
        if concerned.is_there:
            self._site.appeal(concerned, case_id, "I do not agree.")
            outcome = Outcome.UPHELD if self._rng.random() < 0.6 else Outcome.DISMISSED
            self._soon(now_us, 1, lambda at_us: self._site.decide(staff, case_id, outcome, "looked at once more"))

    def _ban(self, now_us: int) -> None:
        """Lifted after a while, or longer than this history: the site's worker ends what is over by its own clock."""
        member = self._somebody()
        if member is None or member.bans:
            return
        kind = self._rng.choice((BanKind.DOWNLOAD, BanKind.UPLOAD, BanKind.REQUEST, BanKind.REPORT, BanKind.ACCOUNT))
        lifted = self._rng.random() < 0.6
        until = None if lifted else self._scope.end + timedelta(days=self._rng.randint(30, 400))
        ban_id = self._site.ban(self._moderator(), member, kind, self._rng.choice(words.BAN_REASONS), until)
        if lifted:
            self._soon(now_us, 12, lambda at_us: self._lift(member, kind, ban_id, at_us))

    def _lift(self, member: Member, kind: BanKind, ban_id: UUID, now_us: int) -> None:
        self._site.lift_ban(self._moderator(), member, kind, ban_id, "promised to do better")
