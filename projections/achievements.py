"""What there is to achieve, who has it, how far everybody is, and everything that was awarded and lost again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domain.achievement_rules import AchievementCatalogue
from domain.achievements import Achievements
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.projection import Projection

achievements = Projection(
    "achievements", "achievement", "user_achievements", "achievement_event", "achievement_progress"
)


@achievements.on(AchievementCatalogue.RuleDefined)
def rule_defined(fact: Fact[AchievementCatalogue.RuleDefined], db: Writer) -> None:
    event = fact.event
    db.execute(
        "INSERT INTO achievement (achievement_id, slug, name, description, secret, match, measures, comparators,"
        " thresholds, withdrawn, defined_position) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, false, %s)",
        (
            *(event.rule_id, event.slug, event.name, event.description, event.secret, event.match),
            *(*_columns(event.conditions), fact.position),
        ),
    )


@achievements.on(AchievementCatalogue.RuleChanged)
def rule_changed(fact: Fact[AchievementCatalogue.RuleChanged], db: Writer) -> None:
    event = fact.event
    db.update(
        "UPDATE achievement SET name = %s, description = %s, secret = %s, match = %s, measures = %s, comparators = %s,"
        " thresholds = %s WHERE achievement_id = %s",
        (event.name, event.description, event.secret, event.match, *_columns(event.conditions), event.rule_id),
    )


@achievements.on(AchievementCatalogue.RuleWithdrawn)
def rule_withdrawn(fact: Fact[AchievementCatalogue.RuleWithdrawn], db: Writer) -> None:
    db.update("UPDATE achievement SET withdrawn = true WHERE achievement_id = %s", (fact.event.rule_id,))


@achievements.on(Achievements.Counted)
def counted(fact: Fact[Achievements.Counted], db: Writer) -> None:
    _progress(fact, db, 1)


@achievements.on(Achievements.Uncounted)
def uncounted(fact: Fact[Achievements.Uncounted], db: Writer) -> None:
    _progress(fact, db, -1)


@achievements.on(Achievements.Awarded)
def awarded(fact: Fact[Achievements.Awarded], db: Writer) -> None:
    event = fact.event
    db.execute(
        "INSERT INTO user_achievements (user_id, achievement_id, awarded_at, automatic, reason, awarded_by, position)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (event.user_id, event.rule_id, fact.at, event.automatic, event.reason, fact.actor_id, fact.position),
    )
    _remember(fact, db, awarded=True)


@achievements.on(Achievements.Revoked)
def revoked(fact: Fact[Achievements.Revoked], db: Writer) -> None:
    db.execute(
        "DELETE FROM user_achievements WHERE user_id = %s AND achievement_id = %s",
        (fact.event.user_id, fact.event.rule_id),
    )
    _remember(fact, db, awarded=False)


def _progress(fact: AnyFact, db: Writer, deeds: int) -> None:
    db.execute(
        "INSERT INTO achievement_progress AS p (user_id, measure, deeds) VALUES (%s, %s, %s)"
        " ON CONFLICT (user_id, measure) DO UPDATE SET deeds = p.deeds + excluded.deeds",
        (fact.event.user_id, fact.event.measure, deeds),
    )


def _remember(fact: AnyFact, db: Writer, *, awarded: bool) -> None:
    event = fact.event
    db.execute(
        "INSERT INTO achievement_event (user_id, position, achievement_id, awarded, automatic, reason, actor_id, at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (event.user_id, fact.position, event.rule_id, awarded, event.automatic, event.reason, fact.actor_id, fact.at),
    )


def _columns(conditions: Sequence[dict[str, Any]]) -> list[list[Any]]:
    """Measures, comparators and thresholds."""
    return [[condition[name] for condition in conditions] for name in ("measure", "comparator", "threshold")]
