"""What a new site starts with, written once; and what an older site lacks since."""

from __future__ import annotations

from domain.base import Aggregate
from domain.default_data import SECONDARY_GROUPS, default_data
from domain.groups import Group, group_id
from domain.permissions import PERKS, Permission
from runtime.store import Store, VersionConflict

#: Another process that starts at the same moment writes the same; the loser looks again.
ATTEMPTS = 5
#: Its members may do everything, what later versions add too; what others may do is the staff's business.
SYSOP = "sysop"


def seed(store: Store) -> int:
    """Write every group, category, forum, room and rule that does not exist yet, and what groups lack that were founded
    by an older version, all in one; returns how many things that were."""
    for attempt in range(ATTEMPTS):
        missing = [*_missing(store), *_lacking(store), *_undesignated(store)]
        if not missing:
            return 0
        try:
            store.save(*missing)
        except VersionConflict:
            if attempt == ATTEMPTS - 1:
                raise
        else:
            return len(missing)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _missing(store: Store) -> list[Aggregate]:
    return [aggregate for aggregate in default_data() if store.find(type(aggregate), aggregate.id) is None]


def _lacking(store: Store) -> list[Group]:
    """The sysops' group, if it was founded before a permission existed."""
    sysops = store.find(Group, group_id(SYSOP))
    rights = frozenset(Permission) - PERKS
    if sysops is None or sysops.permissions >= rights:
        return []
    sysops.change_permissions(rights | frozenset(map(Permission, sysops.permissions)))
    return [sysops]


def _undesignated(store: Store) -> list[Group]:
    """The groups that are given beside others, if they were founded before there were such groups; what staff have said
    since stays."""
    found = [store.find(Group, group_id(slug)) for slug in sorted(SECONDARY_GROUPS)]
    older = [group for group in found if group is not None and not group.designated]
    for group in older:
        group.redesignate(True)
    return older
