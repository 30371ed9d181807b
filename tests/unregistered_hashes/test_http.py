"""The list of announces for torrents that are none: newest first, in pages, for staff."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.bans.callers import Site, refusal
from tests.members import Member
from tracker_edge.unregistered import Noted, write

pytestmark = pytest.mark.engine

PATH = "/tracker/unregistered-hashes"
NOW = datetime.now(UTC).replace(microsecond=123456)


@pytest.fixture
def admin(site: Site) -> Member:
    return site.members.join("admin1", "administrator")


def noted(who: Member, n: int, ago: timedelta = timedelta(0), announces: int = 1) -> Noted:
    us = int((NOW - ago).timestamp() * 1_000_000)
    return Noted(who.id.bytes, bytes([n]) * 20, announces, us - 1_000_000, us)


def written(site: Site, *rows: Noted, now: datetime = NOW) -> None:
    with site.platform.pool.connection() as connection:
        write(connection, rows, now)


def test_staff_see_who_announced_what_newest_first(site: Site, admin: Member) -> None:
    alice, bob = site.members.join("alice"), site.members.join("bob")
    written(site, noted(alice, 1, timedelta(hours=1), 7), noted(bob, 2))
    page = site.get(admin, PATH).json()
    assert page["next_cursor"] is None
    newer, older = page["items"]
    assert newer["user"] == {"id": str(bob.id), "username": "bob"}
    assert (older["user"]["username"], older["info_hash"], older["announces"]) == ("alice", "01" * 20, 7)
    first, last = (datetime.fromisoformat(older[name]) for name in ("first_at", "last_at"))
    assert last - first == timedelta(seconds=1)
    assert abs(last - (NOW - timedelta(hours=1))) < timedelta(milliseconds=1)


def test_pages_hold_everything_once_even_at_one_moment(site: Site, admin: Member) -> None:
    alice, bob = site.members.join("alice"), site.members.join("bob")
    written(site, *(noted(who, n) for who in (alice, bob) for n in range(3)), noted(bob, 9, timedelta(days=1)))
    seen: list[tuple[str, str]] = []
    params: dict[str, Any] = {"limit": 2}
    while True:
        page = site.get(admin, PATH, **params).json()
        seen += [(item["user"]["username"], item["info_hash"]) for item in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert len(seen) == len(set(seen)) == 7
    assert seen[-1] == ("bob", "09" * 20)


def test_one_users_hashes_are_told_apart(site: Site, admin: Member) -> None:
    alice, bob = site.members.join("alice"), site.members.join("bob")
    written(site, noted(alice, 1), noted(bob, 1), noted(bob, 2))
    found = site.get(admin, PATH, user=str(alice.id)).json()["items"]
    assert [(item["user"]["username"], item["info_hash"]) for item in found] == [("alice", "01" * 20)]


def test_what_no_edge_has_forgotten_yet_is_not_shown_after_30_days(site: Site, admin: Member) -> None:
    alice = site.members.join("alice")
    old, young = noted(alice, 1, timedelta(days=30, hours=1)), noted(alice, 2, timedelta(days=29, hours=23))
    written(site, old, young, now=NOW - timedelta(days=1))
    assert [item["info_hash"] for item in site.get(admin, PATH).json()["items"]] == ["02" * 20]


def test_others_do_not_see_it(site: Site) -> None:
    for group in ("member", "moderator"):
        assert refusal(site.get(site.members.join(f"of_{group}"[:20], group), PATH)) == (403, "not_permitted")
