"""Nothing that anybody does over the network takes a sysop away, so the last one stays: that is done on the machine."""

from __future__ import annotations

from typing import Any

import pytest

from domain.base import SYSTEM
from domain.groups import Group, group_id
from domain.moderation import Case
from domain.users import User
from runtime.store import new_id
from runtime.worker.rounds import move_on_ladder
from tests.bans.callers import Site, refusal, soon
from tests.members import PASSWORD, Member

pytestmark = pytest.mark.engine


@pytest.fixture
def root(site: Site) -> Member:
    return site.members.join("root1", "sysop", password=PASSWORD)


def attempts(site: Site, root: Member) -> list[tuple[str, str, Any]]:
    """Every command by which somebody else of the staff loses what it is."""
    user, because = f"/users/{root.id}", {"reason": "r"}
    case = Case.open(new_id(), "user", root.id, root.id)
    site.platform.store(SYSTEM).save(case)
    return [
        ("POST", f"{user}/group", {"group": "member", **because}),
        ("POST", f"{user}/disable", because),
        ("POST", f"{user}/bans", {"kind": "account", **because}),
        ("PUT", f"{user}/permissions/site.manage", {"granted": False, **because}),
        ("PUT", f"{user}/secondary-groups/designer", because),
        ("PUT", f"{user}/class-lock", because),
        ("POST", f"/moderation/cases/{case.id}/decision", {"outcome": "user_disabled", **because}),
        ("POST", f"{user}/erasure-proposals", because),
        ("PUT", "/groups/sysop/permissions", {"permissions": ["site.login"]}),
        ("PUT", "/groups/sysop", {"name": "Sysop", "level": 1, "secondary": False}),
        ("PUT", "/groups/sysop/promotion", {"follows": "member", "uploads": 1}),
        ("DELETE", "/groups/sysop/promotion", None),
    ]


@pytest.mark.parametrize("by", ["root1", "another sysop", "an administrator"])
def test_whoever_tries_a_sysop_stays_what_it_is(site: Site, root: Member, by: str) -> None:
    others = {"another sysop": "sysop", "an administrator": "administrator"}
    caller = site.members.join("other", others[by]) if by in others else root
    for method, path, body in attempts(site, root):
        answer = site.send(method, path, caller, body)
        assert answer.status_code == 403, (method, path, answer.text)
        assert answer.json()["code"] in {"above_own_level", "own_case"}, (method, path)
    site.members.catch_up()
    user, group = (site.platform.store(SYSTEM).get(*of) for of in ((User, root.id), (Group, group_id("sysop"))))
    assert isinstance(user, User)
    assert isinstance(group, Group)
    assert (user.group, user.enabled, user.erased) == ("sysop", True, False)
    assert "site.manage" in group.permissions
    assert site.get(root, "/projections").status_code == 200


def test_a_sysop_is_not_erased_over_the_network_either(site: Site, root: Member) -> None:
    answer = site.post(root, "/users/me/erasure", {"password": PASSWORD})
    assert refusal(answer) == (409, "manages_site")


def test_no_figures_move_a_sysop(site: Site, root: Member) -> None:
    site.members.catch_up()
    move_on_ladder(site.platform, soon(10**8))
    assert site.platform.store(SYSTEM).get(User, root.id).group == "sysop"


def test_no_group_is_founded_or_moved_beside_or_above_the_sysops(site: Site, root: Member) -> None:
    for level in (1000, 1001):
        body: dict[str, Any] = {"slug": "gods", "name": "Gods", "level": level, "permissions": []}
        assert refusal(site.post(root, "/groups", body)) == (422, "invalid")
        body = {"name": "Member", "level": level, "secondary": False}
        assert refusal(site.send("PUT", "/groups/member", root, body)) == (422, "invalid")
