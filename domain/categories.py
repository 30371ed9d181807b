"""Categories: the two-level tree that torrents and requests are filed under."""

from __future__ import annotations

from uuid import UUID

from domain.base import Aggregate, Created, natural_id
from domain.errors import Malformed


class UnknownCategory(Malformed):
    """No category has this slug."""


class Category(Aggregate):
    """One shelf; `parent` is the slug of the shelf that it stands in, or None."""

    TOPIC = "category"

    class Defined(Created):
        TOPIC = "category.defined"
        slug: str
        name: str
        parent: str | None
        rank: int

    @classmethod
    def define(cls, slug: str, name: str, parent: str | None, rank: int) -> Category:
        return cls._create(cls.Defined, id=category_id(slug), slug=slug, name=name, parent=parent, rank=rank)

    def __init__(self, slug: str, name: str, parent: str | None, rank: int) -> None:
        self.slug = slug
        self.name = name
        self.parent = parent
        self.rank = rank


def category_id(slug: str) -> UUID:
    return natural_id("category", slug)
