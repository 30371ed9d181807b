"""What there is to achieve: the site's catalogue of achievements and the criteria by which they are awarded."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from domain.base import Aggregate, Created, event, natural_id
from domain.errors import Conflict, Malformed, NotFound

NAME_MAX = 100
DESCRIPTION_MAX = 1000
CONDITIONS_MAX = 10
THRESHOLD_MAX = 1_000_000_000
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")

#: The stream of the site's only catalogue.
CATALOGUE = natural_id("achievement_catalogue", "site")


class BadAchievement(Malformed):
    """A slug has lower-case letters, digits and dashes, a name is visible, and there are at most ten conditions."""


class AchievementExists(Conflict):
    """Another achievement has this slug, or had it before it was withdrawn."""


class NoSuchAchievement(NotFound):
    """There is no such achievement, or it was withdrawn."""

    code = "not_found"


class Measure(StrEnum):
    """What is counted of a user. Nothing happens yet that the last three count."""

    UPLOADS = "uploads"  # listed, never anonymous ones
    REQUESTS_FILLED = "requests_filled"
    COMMENTS = "comments"
    POSTS = "posts"
    SUBTITLES = "subtitles"


class Comparator(StrEnum):
    AT_LEAST = ">="
    MORE_THAN = ">"
    AT_MOST = "<="
    LESS_THAN = "<"
    EQUAL = "="


class Match(StrEnum):
    ALL = "all"
    ANY = "any"


_COMPARED: dict[Comparator, Callable[[int, int], bool]] = {
    Comparator.AT_LEAST: operator.ge,
    Comparator.MORE_THAN: operator.gt,
    Comparator.AT_MOST: operator.le,
    Comparator.LESS_THAN: operator.lt,
    Comparator.EQUAL: operator.eq,
}


class Condition(NamedTuple):
    measure: Measure
    comparator: Comparator
    threshold: int

    def met(self, counts: Mapping[Measure, int]) -> bool:
        return _COMPARED[self.comparator](counts.get(self.measure, 0), self.threshold)


@dataclass(frozen=True)
class Criteria:
    """When an achievement is awarded by itself; without conditions only staff award it."""

    match: Match = Match.ALL
    conditions: tuple[Condition, ...] = ()

    def met(self, counts: Mapping[Measure, int]) -> bool:
        met = [condition.met(counts) for condition in self.conditions]
        return bool(met) and (all(met) if self.match is Match.ALL else any(met))

    def as_fields(self) -> list[dict[str, str | int]]:
        """The conditions as events have them."""
        return [{"measure": str(one), "comparator": str(how), "threshold": n} for one, how, n in self.conditions]


def criteria_from(match: str, conditions: Iterable[Mapping[str, str | int]]) -> Criteria:
    """What such fields of an event say."""
    return Criteria(
        Match(match),
        tuple(
            Condition(Measure(str(one["measure"])), Comparator(str(one["comparator"])), int(one["threshold"]))
            for one in conditions
        ),
    )


@dataclass(frozen=True)
class Terms:
    """What an achievement is called and how it is earned; nobody is told of a `secret` one before having it."""

    name: str
    description: str
    secret: bool
    criteria: Criteria


class AchievementCatalogue(Aggregate):
    """Every achievement of the site, in the order in which they are shown."""

    TOPIC = "achievement_catalogue"

    class Opened(Created):
        """There is a catalogue, and nothing in it."""

        TOPIC = "achievement_catalogue.opened"

    class RuleDefined(Aggregate.Event):
        """There is one more achievement, awarded when `all` or `any` of the conditions hold.

        A condition is an object of `measure`, `comparator` (>=, >, <=, <, =) and `threshold`.
        """

        TOPIC = "achievement_catalogue.rule_defined"
        rule_id: UUID
        slug: str
        name: str
        description: str
        secret: bool
        match: str
        conditions: list[dict[str, str | int]]

    class RuleChanged(Aggregate.Event):
        """Everything about the achievement from now on."""

        TOPIC = "achievement_catalogue.rule_changed"
        rule_id: UUID
        name: str
        description: str
        secret: bool
        match: str
        conditions: list[dict[str, str | int]]

    class RuleWithdrawn(Aggregate.Event):
        """Nobody gets it any more; who has it keeps it."""

        TOPIC = "achievement_catalogue.rule_withdrawn"
        rule_id: UUID

    @classmethod
    def open(cls, catalogue_id: UUID = CATALOGUE) -> AchievementCatalogue:
        return cls._create(cls.Opened, id=catalogue_id)

    def __init__(self) -> None:
        self.rules: dict[UUID, Terms] = {}
        self.slugs: dict[UUID, str] = {}  # of withdrawn ones too

    def define(self, slug: str, terms: Terms) -> UUID:
        """A new achievement; raises `BadAchievement` or `AchievementExists`."""
        if not _SLUG.fullmatch(slug):
            raise BadAchievement("a slug has 1 to 64 lower-case letters, digits and dashes")
        _check(terms)
        rule_id = natural_id("achievement_rule", slug)
        if rule_id in self.slugs:
            raise AchievementExists("an achievement has this slug, or had it")
        self._rule_defined(
            rule_id=rule_id,
            slug=slug,
            name=terms.name,
            description=terms.description,
            secret=terms.secret,
            match=str(terms.criteria.match),
            conditions=terms.criteria.as_fields(),
        )
        return rule_id

    def change(self, rule_id: UUID, terms: Terms) -> None:
        """Other terms; raises `NoSuchAchievement` or `BadAchievement`."""
        if self.rule(rule_id) == terms:
            return
        _check(terms)
        self._rule_changed(
            rule_id=rule_id,
            name=terms.name,
            description=terms.description,
            secret=terms.secret,
            match=str(terms.criteria.match),
            conditions=terms.criteria.as_fields(),
        )

    def withdraw(self, rule_id: UUID) -> None:
        """Raises `NoSuchAchievement`."""
        self.rule(rule_id)
        self._rule_withdrawn(rule_id)

    def rule(self, rule_id: UUID) -> Terms:
        """The achievement; raises `NoSuchAchievement`."""
        if rule_id not in self.rules:
            raise NoSuchAchievement("no such achievement")
        return self.rules[rule_id]

    @event(RuleDefined)
    def _rule_defined(
        self,
        rule_id: UUID,
        slug: str,
        name: str,
        description: str,
        secret: bool,
        match: str,
        conditions: list[dict[str, str | int]],
    ) -> None:
        self.rules[rule_id] = Terms(name, description, secret, criteria_from(match, conditions))
        self.slugs[rule_id] = slug

    @event(RuleChanged)
    def _rule_changed(
        self,
        rule_id: UUID,
        name: str,
        description: str,
        secret: bool,
        match: str,
        conditions: list[dict[str, str | int]],
    ) -> None:
        self.rules[rule_id] = Terms(name, description, secret, criteria_from(match, conditions))

    @event(RuleWithdrawn)
    def _rule_withdrawn(self, rule_id: UUID) -> None:
        del self.rules[rule_id]


def _check(terms: Terms) -> None:
    if not terms.name.strip() or len(terms.name) > NAME_MAX or len(terms.description) > DESCRIPTION_MAX:
        raise BadAchievement(f"a name has 1 to {NAME_MAX} characters, a description at most {DESCRIPTION_MAX}")
    if len(terms.criteria.conditions) > CONDITIONS_MAX:
        raise BadAchievement(f"at most {CONDITIONS_MAX} conditions")
    if not all(0 <= condition.threshold <= THRESHOLD_MAX for condition in terms.criteria.conditions):
        raise BadAchievement(f"a threshold is 0 to {THRESHOLD_MAX}")
