"""Groups: the ladder of classes, what each may do, and how much at a time."""

from __future__ import annotations

import re
import unicodedata
from typing import Any
from uuid import UUID

from domain.base import Aggregate, Created, event, natural_id
from domain.errors import Conflict, Malformed, NotAllowed
from domain.ladder import BadCriteria, Criteria, check_criteria
from domain.permissions import PERKS, Permission

SLOTS_MAX = 100_000
NAME_MAX = 64
#: Between the banned and the sysops, who are where they are.
LEVELS = range(1, 1000)
MONTHLY_INVITES_MAX = 1000

_SLUG = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*", re.ASCII)


class GroupExists(Conflict):
    """Another group has this slug."""


class BadGroup(Malformed):
    """A slug has 2 to 32 small letters and digits with single underscores between them, a name 1 to 64 visible
    characters, and a level is 1 to 999."""


class UnknownGroup(Malformed):
    """No group has this slug."""


class BadSlots(Malformed):
    """Download slots are a number from 0, or none for no limit."""


class BadMonthlyInvites(Malformed):
    """Invites a month are a number from 0."""


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

    class Renamed(Aggregate.Event):
        TOPIC = "group.renamed"
        name: str

    class LevelChanged(Aggregate.Event):
        """Where on the ladder the group stands from now on."""

        TOPIC = "group.level_changed"
        level: int

    class Redesignated(Aggregate.Event):
        """Whether the group is given to members of other groups, beside their own."""

        TOPIC = "group.redesignated"
        secondary: bool

    class MonthlyInvitesChanged(Aggregate.Event):
        """How many invites a member gets each month."""

        TOPIC = "group.monthly_invites_changed"
        monthly_invites: int

    class CriteriaSet(Aggregate.Event):
        """Who is in the group `follows` and meets all of this is promoted to this one; see `domain.ladder.Criteria`."""

        TOPIC = "group.criteria_set"
        follows: str
        uploaded: int
        ratio_percent: int
        age_days: int
        uploads: int
        seed_size: int
        average_seed_time_s: int
        keep_ratio_percent: int

        def apply(self, aggregate: Any) -> None:
            aggregate.follows = self.follows
            aggregate.criteria = Criteria(*(getattr(self, name) for name in Criteria._fields))

    class CriteriaRemoved(Aggregate.Event):
        """Nobody is promoted to the group or loses it by criteria any more."""

        TOPIC = "group.criteria_removed"

    @classmethod
    def found(cls, slug: str, name: str, level: int, permissions: frozenset[Permission]) -> Group:
        return cls._create(
            cls.Founded, id=group_id(slug), slug=slug, name=name, level=level, permissions=_sorted(permissions)
        )

    @classmethod
    def found_by_staff(cls, slug: str, name: str, level: int, permissions: frozenset[Permission]) -> Group:
        """The same within what staff may choose; raises `BadGroup`."""
        if not (2 <= len(slug) <= 32 and _SLUG.fullmatch(slug)):
            raise BadGroup("a slug has 2 to 32 small letters and digits, with single underscores between them")
        _check_name(name)
        _check_level(level)
        return cls.found(slug, name, level, permissions)

    def __init__(self, slug: str, name: str, level: int, permissions: list[str]) -> None:
        self.slug = slug
        self.name = name
        self.level = level
        self.permissions = frozenset(permissions)
        self.download_slots: int | None = None
        self.secondary = self.designated = False  # whether it is one, and whether anybody ever said so or not
        self.monthly_invites = 0
        self.follows: str | None = None
        self.criteria: Criteria | None = None

    def rename(self, name: str) -> None:
        """Raises `BadGroup`."""
        _check_name(name)
        if name != self.name:
            self._renamed(name)

    def change_level(self, level: int) -> None:
        """Raises `BadGroup`."""
        if level != self.level:
            _check_level(level)
            self._level_changed(level)

    def redesignate(self, secondary: bool) -> None:
        """Whether the group is one that is given beside another."""
        if secondary != self.secondary:
            self._redesignated(secondary)

    def change_monthly_invites(self, monthly_invites: int) -> None:
        """Raises `BadMonthlyInvites`."""
        if not 0 <= monthly_invites <= MONTHLY_INVITES_MAX:
            raise BadMonthlyInvites(f"invites a month are 0 to {MONTHLY_INVITES_MAX}")
        if monthly_invites != self.monthly_invites:
            self._monthly_invites_changed(monthly_invites)

    def set_criteria(self, follows: Group, criteria: Criteria) -> None:
        """Promote those members of the group `follows` who meet them; raises `BadCriteria`."""
        check_criteria(criteria)
        if follows.level >= self.level:
            raise BadCriteria("a class follows one that stands lower")
        if (follows.slug, criteria) != (self.follows, self.criteria):
            self.trigger_event(self.CriteriaSet, follows=follows.slug, **criteria._asdict())

    def remove_criteria(self) -> None:
        if self.criteria is not None:
            self._criteria_removed()

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

    @event(CriteriaRemoved)
    def _criteria_removed(self) -> None:
        self.follows = self.criteria = None

    @event(Renamed)
    def _renamed(self, name: str) -> None:
        self.name = name

    @event(LevelChanged)
    def _level_changed(self, level: int) -> None:
        self.level = level

    @event(Redesignated)
    def _redesignated(self, secondary: bool) -> None:
        self.secondary = secondary
        self.designated = True

    @event(MonthlyInvitesChanged)
    def _monthly_invites_changed(self, monthly_invites: int) -> None:
        self.monthly_invites = monthly_invites


def group_id(slug: str) -> UUID:
    return natural_id("group", slug)


def must_hold(held: frozenset[str], granted: frozenset[str]) -> None:
    """`held` are the permissions of whoever grants, who needs none of the `PERKS`; raises `PermissionNotHeld`."""
    if not granted - PERKS <= held:
        raise PermissionNotHeld("you can grant only what you may do yourself")


def _check_name(name: str) -> None:
    hidden = any(unicodedata.category(char) in {"Cc", "Cf", "Cs"} for char in name)
    if not name.strip() or len(name) > NAME_MAX or hidden:
        raise BadGroup(f"a group's name has 1 to {NAME_MAX} visible characters")


def _check_level(level: int) -> None:
    if level not in LEVELS:
        raise BadGroup(f"a level is {LEVELS.start} to {LEVELS.stop - 1}")


def _sorted(permissions: frozenset[Permission]) -> list[str]:
    return sorted(str(p) for p in permissions)
