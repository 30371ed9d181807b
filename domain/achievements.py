"""Who has achieved what: deeds that count, what they earn, and what is lost when a deed is undone."""

from __future__ import annotations

from uuid import UUID

from domain.achievement_rules import AchievementCatalogue, Measure
from domain.base import Aggregate, Created, event, natural_id
from domain.errors import Conflict
from domain.torrents import check_reason


class AlreadyAchieved(Conflict):
    """The user has this achievement."""


class NotAchieved(Conflict):
    """The user does not have this achievement."""


class Achievements(Aggregate):
    """One user's deeds and achievements. What was done anonymously never gets here."""

    TOPIC = "achievement"

    class Opened(Created):
        """The user did something that counts, or was given something."""

        TOPIC = "achievement.opened"
        user_id: UUID

    class Counted(Aggregate.Event):
        """A deed counts: the subject is the torrent or the request."""

        TOPIC = "achievement.counted"
        user_id: UUID
        measure: str
        subject_id: UUID

    class Uncounted(Aggregate.Event):
        """The deed was undone."""

        TOPIC = "achievement.uncounted"
        user_id: UUID
        measure: str
        subject_id: UUID

    class Awarded(Aggregate.Event):
        """The user has the achievement: by its criteria (`automatic`), or from staff for that reason."""

        TOPIC = "achievement.awarded"
        user_id: UUID
        rule_id: UUID
        automatic: bool
        reason: str

    class Revoked(Aggregate.Event):
        """The user has it no more: its criteria do not hold any longer (`automatic`), or staff took it.

        What staff took is not awarded by its criteria again.
        """

        TOPIC = "achievement.revoked"
        user_id: UUID
        rule_id: UUID
        automatic: bool
        reason: str

    @classmethod
    def open(cls, user_id: UUID) -> Achievements:
        return cls._create(cls.Opened, id=achievements_id(user_id), user_id=user_id)

    def __init__(self, user_id: UUID) -> None:
        self.user_id = user_id
        self.deeds: dict[str, set[UUID]] = {}  # by measure
        self.held: dict[UUID, bool] = {}  # whether each was awarded automatically
        self.taken: list[UUID] = []  # by staff

    def count(self, measure: Measure, subject_id: UUID, reason: str, catalogue: AchievementCatalogue) -> None:
        """A deed counts once, whatever it takes to be told of it."""
        if subject_id not in self.deeds.get(measure, ()):
            self._counted(self.user_id, str(measure), subject_id)
            self.settle(reason, catalogue)

    def uncount(self, measure: Measure, subject_id: UUID, reason: str, catalogue: AchievementCatalogue) -> None:
        """It is undone, and with it what was awarded for it."""
        if subject_id in self.deeds.get(measure, ()):
            self._uncounted(self.user_id, str(measure), subject_id)
            self.settle(reason, catalogue)

    def settle(self, reason: str, catalogue: AchievementCatalogue) -> None:
        """Award what the criteria award, and revoke what they do not any more; what staff decided stands."""
        counts = {Measure(measure): len(subjects) for measure, subjects in self.deeds.items()}
        for rule_id, terms in catalogue.rules.items():
            if not terms.criteria.conditions:
                continue
            met = terms.criteria.met(counts)
            if met and rule_id not in self.held and rule_id not in self.taken:
                self._awarded(self.user_id, rule_id, True, reason)
            elif not met and self.held.get(rule_id):
                self._revoked(self.user_id, rule_id, True, reason)

    def award(self, rule_id: UUID, reason: str, catalogue: AchievementCatalogue) -> None:
        """Staff award it; raises `NoSuchAchievement`, `ReasonMissing`, `AlreadyAchieved`."""
        catalogue.rule(rule_id)
        check_reason(reason)
        if rule_id in self.held:
            raise AlreadyAchieved("the user has this achievement")
        self._awarded(self.user_id, rule_id, False, reason)

    def revoke(self, rule_id: UUID, reason: str) -> None:
        """Staff take it, however it was earned; raises `ReasonMissing`, `NotAchieved`."""
        check_reason(reason)
        if rule_id not in self.held:
            raise NotAchieved("the user does not have this achievement")
        self._revoked(self.user_id, rule_id, False, reason)

    @event(Counted)
    def _counted(self, user_id: UUID, measure: str, subject_id: UUID) -> None:
        self.deeds.setdefault(measure, set()).add(subject_id)

    @event(Uncounted)
    def _uncounted(self, user_id: UUID, measure: str, subject_id: UUID) -> None:
        self.deeds[measure].remove(subject_id)

    @event(Awarded)
    def _awarded(self, user_id: UUID, rule_id: UUID, automatic: bool, reason: str) -> None:
        self.held[rule_id] = automatic
        self.taken = [one for one in self.taken if one != rule_id]

    @event(Revoked)
    def _revoked(self, user_id: UUID, rule_id: UUID, automatic: bool, reason: str) -> None:
        del self.held[rule_id]
        self.taken = self.taken if automatic else [*self.taken, rule_id]


class TorrentFills(Aggregate):
    """Which requests a torrent fills, and for whom that counts: what is undone when the torrent is deleted."""

    TOPIC = "torrent_fills"

    class Opened(Created):
        TOPIC = "torrent_fills.opened"
        torrent_id: UUID

    class Noted(Aggregate.Event):
        """An accepted fill counts for the filler."""

        TOPIC = "torrent_fills.noted"
        request_id: UUID
        filler_id: UUID

    @classmethod
    def open(cls, torrent_id: UUID) -> TorrentFills:
        return cls._create(cls.Opened, id=torrent_fills_id(torrent_id), torrent_id=torrent_id)

    def __init__(self, torrent_id: UUID) -> None:
        self.fillers: dict[UUID, UUID] = {}  # by request

    def note(self, request_id: UUID, filler_id: UUID) -> None:
        if request_id not in self.fillers:
            self._noted(request_id, filler_id)

    @event(Noted)
    def _noted(self, request_id: UUID, filler_id: UUID) -> None:
        self.fillers[request_id] = filler_id


def achievements_id(user_id: UUID) -> UUID:
    return natural_id("achievements", user_id.hex)


def torrent_fills_id(torrent_id: UUID) -> UUID:
    return natural_id("torrent_fills", torrent_id.hex)
