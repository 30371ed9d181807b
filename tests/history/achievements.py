"""A deed is counted and undone, and with it what it achieved; a badge stays. Staff's own rules come and go."""

from __future__ import annotations

from uuid import uuid4

from domain.achievement_rules import CATALOGUE, AchievementCatalogue, Criteria, Measure, Terms
from domain.achievements import Achievements, TorrentFills
from domain.users import User
from tests.history.past import Past


def tell(past: Past) -> None:
    for user in past.users:
        _achievements(past, user)
    catalogue = past.get(AchievementCatalogue, CATALOGUE)
    for slug in ("founder", "helper"):
        rule_id = catalogue.define(slug, Terms("A Badge", "", True, Criteria()))
        catalogue.change(rule_id, Terms("A Badge", "given by hand", True, Criteria()))
        catalogue.withdraw(rule_id)
    past.save(catalogue, AchievementCatalogue.open(uuid4()))


def _achievements(past: Past, user: User) -> None:
    catalogue = past.get(AchievementCatalogue, CATALOGUE)
    achievements, fills, deed = Achievements.open(user.id), TorrentFills.open(uuid4()), uuid4()
    achievements.count(Measure.UPLOADS, deed, "an upload was listed", catalogue)
    achievements.uncount(Measure.UPLOADS, deed, "the torrent was deleted", catalogue)
    achievements.award(next(iter(catalogue.rules)), "well done", catalogue)
    fills.note(uuid4(), user.id)
    past.save(achievements, fills)
