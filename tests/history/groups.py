"""Two groups change in every way."""

from __future__ import annotations

from domain.groups import Group, group_id
from domain.ladder import Criteria
from domain.permissions import Permission
from tests.history.past import Past


def tell(past: Past) -> None:
    for slug in ("elite", "vip"):
        group = past.get(Group, group_id(slug))
        group.change_permissions(frozenset(Permission(p) for p in group.permissions) - {Permission.POST})
        group.change_download_slots(10 if slug == "elite" else None)
        group.change_download_slots(20)
        group.rename(f"{group.name} members")
        group.change_level(group.level + 1)
        group.redesignate(True)
        group.change_monthly_invites(1)
        for asked in (Criteria(uploads=1), Criteria(uploaded=10, ratio_percent=105, keep_ratio_percent=95)):
            group.set_criteria(past.get(Group, group_id("member")), asked)
        group.remove_criteria()
        past.save(group)
