"""The chat rooms and who may enter them."""

from __future__ import annotations

from domain.chat import ChatRoom
from runtime.db import Writer
from runtime.facts import Fact
from runtime.projection import Projection

chat = Projection("chat", "chat_room", stream="room_id")


@chat.on(ChatRoom.Opened)
def opened(fact: Fact[ChatRoom.Opened], db: Writer) -> None:
    db.execute(
        "INSERT INTO chat_room (room_id, slug, name, rank, level) VALUES (%s, %s, %s, %s, %s)",
        (fact.stream_id, fact.event.slug, fact.event.name, fact.event.rank, fact.event.level),
    )
