"""What a new site's groups may do is what the table says."""

from __future__ import annotations

from domain.default_data import GROUPS as FOUNDED
from domain.permissions import PERKS, Permission
from tests.authorization.matrix import GROUPS, HOLDERS


def test_the_table_has_every_group_and_every_permission() -> None:
    assert tuple(slug for slug, *_ in FOUNDED) == GROUPS
    assert HOLDERS.keys() == set(Permission)


def test_the_groups_of_a_new_site_hold_what_the_table_says() -> None:
    founded = {slug: {str(permission) for permission in permissions} for slug, _, _, permissions in FOUNDED}
    table = {slug: {permission for permission, holders in HOLDERS.items() if slug in holders} for slug in GROUPS}
    assert founded == table


def test_a_sysop_may_do_everything_and_who_is_banned_nothing() -> None:
    assert {one for one, holders in HOLDERS.items() if "sysop" not in holders} == {str(perk) for perk in PERKS}
    assert not any("banned" in holders for holders in HOLDERS.values())
