"""Accounts that belong to one person, as staff found out: groups of them, with who said so and why."""

from __future__ import annotations

from uuid import UUID

from domain.base import Aggregate, Created, event
from domain.claims import claim_id
from domain.errors import Conflict, Malformed
from domain.torrents import check_reason

#: One person with more accounts than that is another matter.
ACCOUNTS_MAX = 100


class LinkedToItself(Malformed):
    """An account is linked to another one."""


class AlreadyLinked(Conflict):
    """Both accounts are linked already, to one another or to different ones: take one out first."""


class NotLinked(Conflict):
    """The account is not linked to any."""


class TooManyLinked(Conflict):
    """A group has at most a hundred accounts."""


class LinkGroup(Aggregate):
    """Two accounts or more; one alone is no group, so the last two part together.

    By its claim an account is in one group at most.
    """

    TOPIC = "link_group"

    class Formed(Created):
        TOPIC = "link_group.formed"
        user_ids: list[UUID]
        reason: str

    class Joined(Aggregate.Event):
        TOPIC = "link_group.joined"
        user_id: UUID
        reason: str

    class Left(Aggregate.Event):
        TOPIC = "link_group.left"
        user_id: UUID
        reason: str

    class Dissolved(Aggregate.Event):
        """None of the accounts is linked any more."""

        TOPIC = "link_group.dissolved"
        user_ids: list[UUID]
        reason: str

    @classmethod
    def form(cls, group_id: UUID, user_id: UUID, other_id: UUID, reason: str) -> LinkGroup:
        """Raises `ReasonMissing` or `LinkedToItself`."""
        check_reason(reason)
        if user_id == other_id:
            raise LinkedToItself("this is one account")
        return cls._create(cls.Formed, id=group_id, user_ids=[user_id, other_id], reason=reason)

    def __init__(self, user_ids: list[UUID], reason: str) -> None:
        self.user_ids = list(user_ids)

    def join(self, user_id: UUID, reason: str) -> None:
        """Raises `ReasonMissing`, `AlreadyLinked` or `TooManyLinked`."""
        check_reason(reason)
        if user_id in self.user_ids:
            raise AlreadyLinked("these accounts are linked")
        if len(self.user_ids) >= ACCOUNTS_MAX:
            raise TooManyLinked(f"a group has at most {ACCOUNTS_MAX} accounts")
        self._joined(user_id, reason)

    def leave(self, user_id: UUID, reason: str) -> list[UUID]:
        """Take one account out; returns those that are linked to none afterwards.

        Raises `ReasonMissing` or `NotLinked`.
        """
        check_reason(reason)
        if user_id not in self.user_ids:
            raise NotLinked("this account is not linked")
        if len(self.user_ids) <= 2:
            return self.dissolve(reason)
        self._left(user_id, reason)
        return [user_id]

    def dissolve(self, reason: str) -> list[UUID]:
        """Link none of them to another any more; returns those that were. Raises `ReasonMissing` or `NotLinked`."""
        check_reason(reason)
        if not self.user_ids:
            raise NotLinked("this group is dissolved")
        parted = list(self.user_ids)
        self._dissolved(parted, reason)
        return parted

    @event(Joined)
    def _joined(self, user_id: UUID, reason: str) -> None:
        self.user_ids.append(user_id)

    @event(Left)
    def _left(self, user_id: UUID, reason: str) -> None:
        self.user_ids.remove(user_id)

    @event(Dissolved)
    def _dissolved(self, user_ids: list[UUID], reason: str) -> None:
        self.user_ids = []


def link_claim_id(user_id: UUID) -> UUID:
    """The claim by which an account is in one group at most."""
    return claim_id("linked_account", str(user_id))
