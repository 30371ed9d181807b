"""Who befriends, blocks and follows whom."""

from __future__ import annotations

from uuid import UUID

from domain.erasures import Erasure
from domain.relations import Relations
from runtime.db import Writer
from runtime.facts import AnyFact, Fact
from runtime.projection import Projection

relations = Projection("relations", "relation")


@relations.on(Relations.FriendAdded)
def friend_added(fact: Fact[Relations.FriendAdded], db: Writer) -> None:
    _begin(fact, "friend", fact.event.friend_id, fact.event.note, db)


@relations.on(Relations.FriendNoted)
def friend_noted(fact: Fact[Relations.FriendNoted], db: Writer) -> None:
    db.update(
        "UPDATE relation SET note = %s WHERE user_id = %s AND kind = 'friend' AND other_id = %s",
        (fact.event.note, fact.event.user_id, fact.event.friend_id),
    )


@relations.on(Relations.FriendRemoved)
def friend_removed(fact: Fact[Relations.FriendRemoved], db: Writer) -> None:
    _end(fact, "friend", fact.event.friend_id, db)


@relations.on(Relations.Blocked)
def blocked(fact: Fact[Relations.Blocked], db: Writer) -> None:
    _begin(fact, "block", fact.event.other_id, None, db)


@relations.on(Relations.Unblocked)
def unblocked(fact: Fact[Relations.Unblocked], db: Writer) -> None:
    _end(fact, "block", fact.event.other_id, db)


@relations.on(Relations.Followed)
def followed(fact: Fact[Relations.Followed], db: Writer) -> None:
    _begin(fact, "follow", fact.event.other_id, None, db)


@relations.on(Relations.Unfollowed)
def unfollowed(fact: Fact[Relations.Unfollowed], db: Writer) -> None:
    _end(fact, "follow", fact.event.other_id, db)


@relations.on(Erasure.Completed)
def erasure_completed(fact: Fact[Erasure.Completed], db: Writer) -> None:
    """Nobody is left to follow or to be followed."""
    db.execute("DELETE FROM relation WHERE user_id = %s OR other_id = %s", (fact.event.user_id, fact.event.user_id))


def _begin(fact: AnyFact, kind: str, other_id: UUID, note: str | None, db: Writer) -> None:
    db.execute(
        "INSERT INTO relation (user_id, kind, other_id, note, since, position) VALUES (%s, %s, %s, %s, %s, %s)",
        (fact.event.user_id, kind, other_id, note, fact.at, fact.position),
    )


def _end(fact: AnyFact, kind: str, other_id: UUID, db: Writer) -> None:
    """The row is gone already if the other one was erased."""
    db.execute(
        "DELETE FROM relation WHERE user_id = %s AND kind = %s AND other_id = %s",
        (fact.event.user_id, kind, other_id),
    )
