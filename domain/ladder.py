"""The ladder of classes: what a member has to have done to be promoted to the next one, and what it has to keep.

Gazelle's table is what a new site starts with. Whoever meets all criteria goes up one class at a time; whoever falls
below what a class keeps goes down one. Nobody goes up with a warning. Staff stand on no rung.
"""

from __future__ import annotations

from typing import NamedTuple

from domain.errors import Malformed

RATIO_PERCENT_MAX = 1000
#: Of bytes, torrents and seconds: an exbibyte is more than anybody moves.
COUNT_MAX = 2**60


class BadCriteria(Malformed):
    """Criteria are whole numbers from 0 (which asks nothing), at least one of them above; ratios are 0 to 1000 %, and
    the one that is kept is not above the one that promotes; a class follows one that stands lower."""


class Standing(NamedTuple):
    """What a member has done so far: credited bytes, torrents that are listed, bytes seeded now."""

    uploaded: int
    downloaded: int
    age_days: int
    uploads: int
    seed_size: int
    average_seed_time_s: int

    @property
    def ratio_percent(self) -> int | None:
        """None before the first download; whole percents, rounded down."""
        return self.uploaded * 100 // self.downloaded if self.downloaded else None


class Criterion(NamedTuple):
    """One thing that is asked; `value` is None for the ratio of who has downloaded nothing, which passes."""

    name: str
    value: int | None
    needed: int

    @property
    def met(self) -> bool:
        return self.value is None or self.value >= self.needed

    def __str__(self) -> str:
        return f"{self.name} {self.value} of {self.needed}"


class Criteria(NamedTuple):
    """What a class asks of those who are promoted to it; 0 asks nothing. `keep_ratio_percent` is the ratio below which
    it is lost again, as it is with fewer uploads or uploaded bytes than it asks for."""

    uploaded: int = 0
    ratio_percent: int = 0
    age_days: int = 0
    uploads: int = 0
    seed_size: int = 0
    average_seed_time_s: int = 0
    keep_ratio_percent: int = 0

    def judge(self, standing: Standing) -> list[Criterion]:
        """Everything that promotion asks for, in the order of the fields."""
        return _asked(standing, self._asdict(), ("uploaded", "ratio_percent", *_OTHERS))

    def judge_keeping(self, standing: Standing) -> list[Criterion]:
        """Everything without which the class is lost."""
        kept = {**self._asdict(), "ratio_percent": self.keep_ratio_percent}
        return _asked(standing, kept, ("uploaded", "ratio_percent", "uploads"))

    def met(self, standing: Standing) -> bool:
        return all(one.met for one in self.judge(standing))

    def kept(self, standing: Standing) -> bool:
        return all(one.met for one in self.judge_keeping(standing))


_OTHERS = ("age_days", "uploads", "seed_size", "average_seed_time_s")


def check_criteria(criteria: Criteria) -> None:
    """Raises `BadCriteria`."""
    if not all(0 <= one <= COUNT_MAX for one in criteria) or not any(criteria[:-1]):
        raise BadCriteria("ask for something, in whole numbers from 0")
    if not criteria.keep_ratio_percent <= criteria.ratio_percent <= RATIO_PERCENT_MAX:
        raise BadCriteria(f"a ratio is 0 to {RATIO_PERCENT_MAX} %, and the one that is kept not above it")


def told(criteria: list[Criterion]) -> str:
    """The figures of a decision, for the reason of its event: `uploaded 30 of 25, ratio_percent 130 of 105`."""
    return ", ".join(map(str, criteria))


def _asked(standing: Standing, needed: dict[str, int], names: tuple[str, ...]) -> list[Criterion]:
    return [Criterion(name, getattr(standing, name), needed[name]) for name in names if needed[name]]
