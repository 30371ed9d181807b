"""Groups: the ladder of classes, what each may do, and how much at a time."""

from __future__ import annotations

from uuid import UUID

from domain.base import Aggregate, Created, event, natural_id
from domain.errors import Malformed, NotAllowed
from domain.permissions import PERKS, Permission

SLOTS_MAX = 100_000


class UnknownGroup(Malformed):
    """No group has this slug."""


class BadSlots(Malformed):
    """Download slots are a number from 0, or none for no limit."""


class PermissionNotHeld(NotAllowed):
    """Nobody grants what they may not do themselves."""


class Group(Aggregate):
    """A class of users: its level orders the ladder, its permissions are what its members may do."""

    TOPIC = "group"

    class Founded(Created):
        """The group exists; a higher `level` stands above a lower one."""

        TOPIC = "group.founded"
        slug: str
        name: str
        level: int
        permissions: list[str]

    class PermissionsChanged(Aggregate.Event):
        """All that members may do from now on."""

        TOPIC = "group.permissions_changed"
        permissions: list[str]

    class DownloadSlotsChanged(Aggregate.Event):
        """How many torrents a member downloads at a time."""

        TOPIC = "group.download_slots_changed"
        download_slots: int | None  # null without a limit

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
        self.download_slots: int | None = None

    def change_permissions(self, permissions: frozenset[Permission]) -> None:
        if permissions != self.permissions:
            self._permissions_changed(_sorted(permissions))

    def change_download_slots(self, download_slots: int | None) -> None:
        """How many torrents a member downloads at a time; raises `BadSlots`."""
        if download_slots is not None and not 0 <= download_slots <= SLOTS_MAX:
            raise BadSlots(f"download slots are 0 to {SLOTS_MAX}, or null for no limit")
        if download_slots != self.download_slots:
            self._download_slots_changed(download_slots)

    @event(PermissionsChanged)
    def _permissions_changed(self, permissions: list[str]) -> None:
        self.permissions = frozenset(permissions)

    @event(DownloadSlotsChanged)
    def _download_slots_changed(self, download_slots: int | None) -> None:
        self.download_slots = download_slots


def group_id(slug: str) -> UUID:
    return natural_id("group", slug)


def must_hold(held: frozenset[str], granted: frozenset[str]) -> None:
    """`held` are the permissions of whoever grants, who needs none of the `PERKS`; raises `PermissionNotHeld`."""
    if not granted - PERKS <= held:
        raise PermissionNotHeld("you can grant only what you may do yourself")


def _sorted(permissions: frozenset[Permission]) -> list[str]:
    return sorted(str(p) for p in permissions)
