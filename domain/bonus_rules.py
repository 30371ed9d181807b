"""Bonus rules: what seeding earns per hour, as data that staff can read and change."""

from __future__ import annotations

from uuid import UUID

from domain.base import Aggregate, Created, natural_id


class BonusRule(Aggregate):
    """One rule of the hourly earnings per user and torrent.

    `operation` adds to (append) or scales (multiply) what the rules of lower rank gave. Each of `terms` reads
    "AMOUNT" or "AMOUNT if CONDITION [and CONDITION]", the first whose conditions hold applies; amounts are points per
    hour, conditions compare size_gib, seeders, times_completed, seed_hours and freeleech. An amount may be a formula
    over the same variables with ln and powers.
    """

    TOPIC = "bonus_rule"

    class Defined(Created):
        """Rules are applied in the order of `rank`."""

        TOPIC = "bonus_rule.defined"
        slug: str
        description: str
        rank: int
        operation: str  # append, multiply
        terms: list[str]

    @classmethod
    def define(cls, slug: str, description: str, rank: int, operation: str, terms: list[str]) -> BonusRule:
        return cls._create(
            cls.Defined,
            id=rule_id(slug),
            slug=slug,
            description=description,
            rank=rank,
            operation=operation,
            terms=terms,
        )

    def __init__(self, slug: str, rank: int, operation: str, terms: list[str]) -> None:
        self.slug = slug
        self.rank = rank
        self.operation = operation
        self.terms = tuple(terms)


def rule_id(slug: str) -> UUID:
    return natural_id("bonus_rule", slug)
