"""A user's rights beside its group: further groups, single permissions granted or denied, and a lock on the class.

What a user may do is worked out here and nowhere else in the domain:
(permissions of its group and of its secondary groups, and those granted) without those denied, without what bans take.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from domain.base import Aggregate, Created, event, natural_id
from domain.errors import Conflict, Malformed
from domain.permissions import Permission
from domain.torrents import check_reason


class RightEndsInPast(Malformed):
    """A grant, a denial or a membership ends later than it begins."""


class NotExceptional(Malformed):
    """Who may come in is decided by groups, bans and disabling alone."""


class NoSuchException(Conflict):
    """The permission is neither granted to this user nor denied."""


class NotASecondaryGroup(Malformed):
    """Only groups that are made for it are given beside another."""


class NotInSecondaryGroup(Conflict):
    """The user does not have this group beside its own."""


class Exceptional(NamedTuple):
    """One permission that a user has or lacks whatever its groups say; `until` is null for good."""

    granted: bool
    until: datetime | None


class Rights(Aggregate):
    """The rights of one user that are its own.

    Every event says again whose they are, so that followers need not remember.
    """

    TOPIC = "rights"

    class Opened(Created):
        """The user has rights of its own from here on; which ones, the events after it say."""

        TOPIC = "rights.opened"
        user_id: UUID

    class PermissionGranted(Aggregate.Event):
        """Replaces a grant or denial of the same permission."""

        TOPIC = "rights.permission_granted"
        user_id: UUID
        permission: str
        reason: str
        until: datetime | None  # null for good

    class PermissionDenied(Aggregate.Event):
        """Replaces a grant or denial of the same permission."""

        TOPIC = "rights.permission_denied"
        user_id: UUID
        permission: str
        reason: str
        until: datetime | None  # null for good

    class ExceptionWithdrawn(Aggregate.Event):
        """The groups alone decide about this permission again."""

        TOPIC = "rights.exception_withdrawn"
        user_id: UUID
        permission: str
        reason: str

    class ExceptionExpired(Aggregate.Event):
        """Its time came; nobody withdrew it."""

        TOPIC = "rights.exception_expired"
        user_id: UUID
        permission: str

    class SecondaryGroupGiven(Aggregate.Event):
        """The user has this group's permissions too; replaces an earlier membership in it."""

        TOPIC = "rights.secondary_group_given"
        user_id: UUID
        group: str
        reason: str
        until: datetime | None  # null for good

    class SecondaryGroupTaken(Aggregate.Event):
        TOPIC = "rights.secondary_group_taken"
        user_id: UUID
        group: str
        reason: str

    class SecondaryGroupExpired(Aggregate.Event):
        """Its time came; nobody took it."""

        TOPIC = "rights.secondary_group_expired"
        user_id: UUID
        group: str

    class ClassLocked(Aggregate.Event):
        """Criteria neither promote the user nor demote it; staff may."""

        TOPIC = "rights.class_locked"
        user_id: UUID
        reason: str

    class ClassUnlocked(Aggregate.Event):
        TOPIC = "rights.class_unlocked"
        user_id: UUID
        reason: str

    @classmethod
    def open(cls, user_id: UUID) -> Rights:
        return cls._create(cls.Opened, id=rights_id(user_id), user_id=user_id)

    def __init__(self, user_id: UUID) -> None:
        self.user_id = user_id
        self.exceptions: dict[str, Exceptional] = {}
        self.secondary: dict[str, datetime | None] = {}
        self.class_locked = False

    def grant(self, permission: Permission, reason: str, until: datetime | None, *, now: datetime) -> None:
        """Raises `ReasonMissing`, `NotExceptional` or `RightEndsInPast`."""
        _check(permission, reason, until, now)
        if self.exceptions.get(permission) != Exceptional(True, until):
            self._permission_granted(self.user_id, str(permission), reason, until)

    def deny(self, permission: Permission, reason: str, until: datetime | None, *, now: datetime) -> None:
        """Raises `ReasonMissing`, `NotExceptional` or `RightEndsInPast`."""
        _check(permission, reason, until, now)
        if self.exceptions.get(permission) != Exceptional(False, until):
            self._permission_denied(self.user_id, str(permission), reason, until)

    def withdraw(self, permission: str, reason: str, *, now: datetime) -> None:
        """Raises `ReasonMissing` or `NoSuchException`."""
        check_reason(reason)
        found = self.exceptions.get(permission)
        if found is None or not holds(found.until, now):
            raise NoSuchException("this permission is neither granted nor denied to this user")
        self._exception_withdrawn(self.user_id, str(permission), reason)

    def give_group(self, group: str, reason: str, until: datetime | None, *, now: datetime) -> None:
        """Raises `ReasonMissing` or `RightEndsInPast`."""
        check_reason(reason)
        _check_end(until, now)
        if group not in self.secondary or self.secondary[group] != until:
            self._secondary_group_given(self.user_id, group, reason, until)

    def take_group(self, group: str, reason: str, *, now: datetime) -> None:
        """Raises `ReasonMissing` or `NotInSecondaryGroup`."""
        check_reason(reason)
        if group not in self.secondary or not holds(self.secondary[group], now):
            raise NotInSecondaryGroup("the user does not have this group beside its own")
        self._secondary_group_taken(self.user_id, group, reason)

    def expire(self, *, now: datetime) -> None:
        """Record whatever's time is over; nothing happens to what still holds."""
        for permission, found in list(self.exceptions.items()):
            if not holds(found.until, now):
                self._exception_expired(self.user_id, permission)
        for group, until in list(self.secondary.items()):
            if not holds(until, now):
                self._secondary_group_expired(self.user_id, group)

    def lock_class(self, reason: str) -> None:
        """Raises `ReasonMissing`."""
        check_reason(reason)
        if not self.class_locked:
            self._class_locked(self.user_id, reason)

    def unlock_class(self, reason: str) -> None:
        """Raises `ReasonMissing`."""
        check_reason(reason)
        if self.class_locked:
            self._class_unlocked(self.user_id, reason)

    def groups(self, now: datetime) -> list[str]:
        """The secondary groups that hold, whether or not anybody recorded the end of the others yet."""
        return sorted(group for group, until in self.secondary.items() if holds(until, now))

    def granted(self, now: datetime) -> frozenset[str]:
        return self._exceptions(True, now)

    def denied(self, now: datetime) -> frozenset[str]:
        return self._exceptions(False, now)

    def _exceptions(self, granted: bool, now: datetime) -> frozenset[str]:
        found = self.exceptions.items()
        return frozenset(name for name, one in found if one.granted is granted and holds(one.until, now))

    @event(PermissionGranted)
    def _permission_granted(self, user_id: UUID, permission: str, reason: str, until: datetime | None) -> None:
        self.exceptions[permission] = Exceptional(True, until)

    @event(PermissionDenied)
    def _permission_denied(self, user_id: UUID, permission: str, reason: str, until: datetime | None) -> None:
        self.exceptions[permission] = Exceptional(False, until)

    @event(ExceptionWithdrawn)
    def _exception_withdrawn(self, user_id: UUID, permission: str, reason: str) -> None:
        del self.exceptions[permission]

    @event(ExceptionExpired)
    def _exception_expired(self, user_id: UUID, permission: str) -> None:
        del self.exceptions[permission]

    @event(SecondaryGroupGiven)
    def _secondary_group_given(self, user_id: UUID, group: str, reason: str, until: datetime | None) -> None:
        self.secondary[group] = until

    @event(SecondaryGroupTaken)
    def _secondary_group_taken(self, user_id: UUID, group: str, reason: str) -> None:
        del self.secondary[group]

    @event(SecondaryGroupExpired)
    def _secondary_group_expired(self, user_id: UUID, group: str) -> None:
        del self.secondary[group]

    @event(ClassLocked)
    def _class_locked(self, user_id: UUID, reason: str) -> None:
        self.class_locked = True

    @event(ClassUnlocked)
    def _class_unlocked(self, user_id: UUID, reason: str) -> None:
        self.class_locked = False


def rights_id(user_id: UUID) -> UUID:
    return natural_id("rights", str(user_id))


def holds(until: datetime | None, now: datetime) -> bool:
    """What has an end holds until just before it."""
    return until is None or now < until


def effective(
    groups: Iterable[Collection[str]], granted: Collection[str], denied: Collection[str], taken: Collection[str]
) -> frozenset[str]:
    """What a user may do: `groups` are the permissions of each of its groups, `taken` what bans take."""
    return frozenset().union(*groups, granted) - frozenset(denied) - frozenset(taken)


def _check(permission: Permission, reason: str, until: datetime | None, now: datetime) -> None:
    check_reason(reason)
    if permission is Permission.LOGIN:
        raise NotExceptional("ban or disable the account instead")
    _check_end(until, now)


def _check_end(until: datetime | None, now: datetime) -> None:
    if not holds(until, now):
        raise RightEndsInPast("this ends in the future, or never")
