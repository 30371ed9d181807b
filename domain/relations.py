"""What one user makes of others: friends with a private note, people not to be heard of, people to be told about.

All of it is one-sided and nobody's business but the user's: whom it concerns is never asked and, but for being
followed, never told.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from domain.base import Aggregate, Created, Personal, event, natural_id
from domain.errors import Conflict, Malformed

NOTE_MAX = 500
FRIENDS_MAX = 500
BLOCKS_MAX = 1000
FOLLOWED_MAX = 500


class SelfRelation(Malformed):
    """Nobody is a friend of, blocks or follows themselves."""


class NoteTooLong(Malformed):
    """A note about a friend has at most 500 characters."""


class TooManyRelations(Conflict):
    """There are as many friends, blocked or followed users as one may have."""


class UserBlocked(Conflict):
    """Whom one blocks one neither befriends nor follows: unblock first."""


class Relations(Aggregate):
    """One user's relations. Before the first there are none, and nothing is written for that."""

    TOPIC = "relations"

    class Opened(Created):
        TOPIC = "relations.opened"
        user_id: UUID

    class FriendAdded(Aggregate.Event):
        TOPIC = "relations.friend_added"
        SUBJECT: ClassVar[str] = "user_id"
        user_id: UUID
        friend_id: UUID
        note: Personal

    class FriendNoted(Aggregate.Event):
        """The note about a friend is another one."""

        TOPIC = "relations.friend_noted"
        SUBJECT: ClassVar[str] = "user_id"
        user_id: UUID
        friend_id: UUID
        note: Personal

    class FriendRemoved(Aggregate.Event):
        TOPIC = "relations.friend_removed"
        user_id: UUID
        friend_id: UUID

    class Blocked(Aggregate.Event):
        """What the other one does is not shown to the user."""

        TOPIC = "relations.blocked"
        user_id: UUID
        other_id: UUID

    class Unblocked(Aggregate.Event):
        TOPIC = "relations.unblocked"
        user_id: UUID
        other_id: UUID

    class Followed(Aggregate.Event):
        """The user wants to see what the other one uploads."""

        TOPIC = "relations.followed"
        user_id: UUID
        other_id: UUID

    class Unfollowed(Aggregate.Event):
        TOPIC = "relations.unfollowed"
        user_id: UUID
        other_id: UUID

    @classmethod
    def open(cls, user_id: UUID) -> Relations:
        return cls._create(cls.Opened, id=relations_id(user_id), user_id=user_id)

    def __init__(self, user_id: UUID) -> None:
        self.user_id = user_id
        self.friends: dict[UUID, str] = {}  # notes
        self.blocked: set[UUID] = set()
        self.followed: set[UUID] = set()

    def befriend(self, other_id: UUID, note: str) -> None:
        """Add a friend, or change the note about one.

        Raises `SelfRelation`, `NoteTooLong`, `UserBlocked`, `TooManyRelations`.
        """
        if len(note) > NOTE_MAX:
            raise NoteTooLong(f"a note has at most {NOTE_MAX} characters")
        if other_id not in self.friends:
            self._check_new(other_id, len(self.friends), FRIENDS_MAX)
            self._friend_added(self.user_id, other_id, note)
        elif note != self.friends[other_id]:
            self._friend_noted(self.user_id, other_id, note)

    def unfriend(self, other_id: UUID) -> None:
        if other_id in self.friends:
            self._friend_removed(self.user_id, other_id)

    def block(self, other_id: UUID) -> None:
        """Hear of somebody no more: it is followed and a friend no more either.

        Raises `SelfRelation`, `TooManyRelations`.
        """
        if other_id in self.blocked:
            return
        self._check_other(other_id, len(self.blocked), BLOCKS_MAX)
        self.unfollow(other_id)
        self.unfriend(other_id)
        self._blocked(self.user_id, other_id)

    def unblock(self, other_id: UUID) -> None:
        if other_id in self.blocked:
            self._unblocked(self.user_id, other_id)

    def follow(self, other_id: UUID) -> None:
        """Raises `SelfRelation`, `UserBlocked`, `TooManyRelations`."""
        if other_id not in self.followed:
            self._check_new(other_id, len(self.followed), FOLLOWED_MAX)
            self._followed(self.user_id, other_id)

    def unfollow(self, other_id: UUID) -> None:
        if other_id in self.followed:
            self._unfollowed(self.user_id, other_id)

    def _check_new(self, other_id: UUID, held: int, at_most: int) -> None:
        if other_id in self.blocked:
            raise UserBlocked("you block this user: unblock it first")
        self._check_other(other_id, held, at_most)

    def _check_other(self, other_id: UUID, held: int, at_most: int) -> None:
        if other_id == self.user_id:
            raise SelfRelation("this is you")
        if held >= at_most:
            raise TooManyRelations(f"there are {at_most} of them: remove one first")

    @event(FriendAdded)
    def _friend_added(self, user_id: UUID, friend_id: UUID, note: str) -> None:
        self.friends[friend_id] = note

    @event(FriendNoted)
    def _friend_noted(self, user_id: UUID, friend_id: UUID, note: str) -> None:
        self.friends[friend_id] = note

    @event(FriendRemoved)
    def _friend_removed(self, user_id: UUID, friend_id: UUID) -> None:
        self.friends.pop(friend_id, None)

    @event(Blocked)
    def _blocked(self, user_id: UUID, other_id: UUID) -> None:
        self.blocked.add(other_id)

    @event(Unblocked)
    def _unblocked(self, user_id: UUID, other_id: UUID) -> None:
        self.blocked.discard(other_id)

    @event(Followed)
    def _followed(self, user_id: UUID, other_id: UUID) -> None:
        self.followed.add(other_id)

    @event(Unfollowed)
    def _unfollowed(self, user_id: UUID, other_id: UUID) -> None:
        self.followed.discard(other_id)


def relations_id(user_id: UUID) -> UUID:
    return natural_id("relations", user_id.hex)
