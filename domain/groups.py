"""Groups: the ladder of classes and what each may do."""

from __future__ import annotations

from uuid import UUID

from domain.base import Aggregate, Created, event, natural_id
from domain.errors import Malformed, NotAllowed
from domain.permissions import Permission


class UnknownGroup(Malformed):
    """No group has this slug."""


class PermissionNotHeld(NotAllowed):
    """Nobody grants what they may not do themselves."""


class Group(Aggregate):
    """A class of users: its level orders the ladder, its permissions are what its members may do."""

    TOPIC = "group"

    class Founded(Created):
        TOPIC = "group.founded"
        slug: str
        name: str
        level: int
        permissions: list[str]

    class PermissionsChanged(Aggregate.Event):
        TOPIC = "group.permissions_changed"
        permissions: list[str]

    @classmethod
    def found(cls, slug: str, name: str, level: int, permissions: frozenset[Permission]) -> Group:
        return cls._create(
            cls.Founded, id=group_id(slug), slug=slug, name=name, level=level, permissions=_sorted(permissions)
        )

    def __init__(self, slug: str, name: str, level: int, permissions: list[str]) -> None:
        self.slug = slug
        self.name = name
        self.level = level
        self.permissions = frozenset(permissions)

    def change_permissions(self, permissions: frozenset[Permission]) -> None:
        if permissions != self.permissions:
            self._permissions_changed(_sorted(permissions))

    @event(PermissionsChanged)
    def _permissions_changed(self, permissions: list[str]) -> None:
        self.permissions = frozenset(permissions)


def group_id(slug: str) -> UUID:
    return natural_id("group", slug)


def must_hold(held: frozenset[str], granted: frozenset[str]) -> None:
    """`held` are the permissions of whoever grants; raises `PermissionNotHeld`."""
    if not granted <= held:
        raise PermissionNotHeld("you can grant only what you may do yourself")


def _sorted(permissions: frozenset[Permission]) -> list[str]:
    return sorted(str(p) for p in permissions)
