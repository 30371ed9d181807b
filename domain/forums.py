"""Forums: the rooms of written discussion and who may read and write in them."""

from __future__ import annotations

from uuid import UUID

from domain.base import Aggregate, Created, natural_id


class Forum(Aggregate):
    """One board; levels are those of groups (who is below may not)."""

    TOPIC = "forum"

    class Opened(Created):
        TOPIC = "forum.opened"
        slug: str
        name: str
        description: str
        rank: int
        read_level: int
        write_level: int

    @classmethod
    def open(cls, slug: str, name: str, description: str, rank: int, read_level: int, write_level: int) -> Forum:
        return cls._create(
            cls.Opened,
            id=natural_id("forum", slug),
            slug=slug,
            name=name,
            description=description,
            rank=rank,
            read_level=read_level,
            write_level=write_level,
        )

    def __init__(self, slug: str, name: str, description: str, rank: int, read_level: int, write_level: int) -> None:
        self.slug = slug
        self.read_level = read_level
        self.write_level = write_level


def forum_id(slug: str) -> UUID:
    return natural_id("forum", slug)
