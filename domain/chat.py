"""Chat: rooms of live conversation and who may enter them."""

from __future__ import annotations

from uuid import UUID

from domain.base import Aggregate, Created, natural_id


class ChatRoom(Aggregate):
    """One room; `level` is the lowest group level that may enter."""

    TOPIC = "chat_room"

    class Opened(Created):
        TOPIC = "chat_room.opened"
        slug: str
        name: str
        rank: int
        level: int

    @classmethod
    def open(cls, slug: str, name: str, rank: int, level: int) -> ChatRoom:
        return cls._create(cls.Opened, id=room_id(slug), slug=slug, name=name, rank=rank, level=level)

    def __init__(self, slug: str, name: str, rank: int, level: int) -> None:
        self.slug = slug
        self.level = level


def room_id(slug: str) -> UUID:
    return natural_id("chat_room", slug)
