"""Windows of promotions: facts in, rows out, and what the announces within them count."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from importlib.resources import files
from typing import Any
from uuid import UUID

import pytest

import domain
from domain.factors import FREE, FULL, NEUTRAL, Factors
from domain.freeleech_tokens import FreeleechTokens, tokens_id
from domain.groups import Group, group_id
from domain.permissions import Permission
from domain.rights import Rights, rights_id
from domain.site_promotions import SitePromotion
from domain.torrents import Torrent
from domain.users import User
from projections.peers import peers
from projections.peers.windows import promotions
from runtime.db import writing
from runtime.migrate import migrate, rollback
from runtime.platform import Platform
from runtime.rebuild import rebuild, verify
from tests.conftest import MakePlatform
from tests.given import NOON, Given, event, projected, rows_of
from tests.peers.edges import ADA, ALBUM, FILM, GRACE, ShippingEdge, announce

pytestmark = pytest.mark.engine

DOUBLE, BOTH = Factors(200, 100), Factors(200, 0)


@pytest.fixture
def site(make_platform: MakePlatform) -> Platform:
    return make_platform(domain.EVENTS, (peers,))


class Excerpts(Given):
    """Histories whose beginnings do not matter here: a stream begins with whatever comes first of it."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform)
        self._left_out: dict[UUID, int] = {}

    def facts(self, *events: Any) -> int:
        return super().facts(*map(self._renumbered, events))

    def _renumbered(self, one: Any) -> Any:
        version = one.originator_version
        left_out = self._left_out.setdefault(one.originator_id, version - 1)
        return dataclasses.replace(one, originator_version=version - left_out)


@pytest.fixture
def facts(site: Platform) -> Given:
    return Excerpts(site)


def at(seconds: float) -> Any:
    return NOON + timedelta(seconds=seconds)


def counted(site: Platform, *, until: int, step: int = 10) -> dict[tuple[UUID, UUID], list[Factors]]:
    """What everybody's announces on both torrents count, one each `step` seconds from the first step on."""
    everybody = [(user, torrent) for user in (ADA, GRACE) for torrent in (FILM, ALBUM)]
    ShippingEdge(site).ship(
        [
            announce(s, user=user, torrent=torrent, up=100 * s, down=100 * s, left=1)
            for s in range(0, until + 1, step)
            for user, torrent in everybody
        ]
    )
    projected(site, peers)
    found = rows_of(
        site,
        "SELECT user_id, torrent_id, array_agg(upload_percent ORDER BY at), array_agg(download_percent ORDER BY at),"
        " bool_and(uploaded = raw_uploaded * upload_percent / 100"
        "  AND downloaded = raw_downloaded * download_percent / 100)"
        " FROM read.transfer GROUP BY 1, 2",
    )
    assert all(explained for *_, explained in found)
    return {(user, torrent): list(map(Factors, ups, downs)) for user, torrent, ups, downs, _ in found}


def test_a_torrents_newest_promotion_holds_until_it_ends(facts: Given) -> None:
    facts.facts(
        event(Torrent.Promoted, FILM, 2, at(10), upload_percent=200, download_percent=50, until=None),
        event(Torrent.FreeleechGranted, FILM, 3, at(20), until=at(30)),
        event(Torrent.Promoted, FILM, 4, at(40), upload_percent=0, download_percent=0, until=at(1000)),
        event(Torrent.PromotionEnded, FILM, 5, at(50)),
        event(Torrent.FreeleechGranted, ALBUM, 2, at(10), until=at(1000)),
        event(Torrent.Promoted, ALBUM, 3, at(20), upload_percent=100, download_percent=30, until=at(40)),
    )
    found = counted(facts.platform, until=50)
    for user in (ADA, GRACE):
        assert found[user, FILM] == [Factors(200, 50), FREE, FULL, NEUTRAL, FULL]
        assert found[user, ALBUM] == [FREE, Factors(100, 30), Factors(100, 30), FULL, FULL]


def test_a_site_promotion_is_everybodys_and_several_give_the_better_of_each(facts: Given) -> None:
    first, second = UUID(int=1), UUID(int=2)
    facts.facts(
        event(SitePromotion.Started, first, 1, at(20), upload_percent=200, download_percent=100, until=at(50)),
        event(SitePromotion.Started, second, 1, at(30), upload_percent=100, download_percent=0, until=None),
        event(SitePromotion.Ended, second, 2, at(40)),
        event(Torrent.Promoted, FILM, 2, at(0), upload_percent=200, download_percent=100, until=None),
    )
    found = counted(facts.platform, until=50)
    for user in (ADA, GRACE):
        assert found[user, FILM] == [DOUBLE, DOUBLE, BOTH, DOUBLE, DOUBLE]
        assert found[user, ALBUM] == [FULL, DOUBLE, BOTH, DOUBLE, FULL]


def test_personal_freeleech_is_one_users_and_a_token_one_users_on_one_torrent(facts: Given) -> None:
    grace = tokens_id(GRACE)
    facts.facts(
        event(User.PersonalFreeleechGranted, ADA, 2, at(10), until=at(1000)),
        event(User.PersonalFreeleechGranted, ADA, 3, at(15), until=at(30)),
        event(FreeleechTokens.Opened, grace, 1, at(0), user_id=GRACE),
        event(FreeleechTokens.Granted, grace, 2, at(0), user_id=GRACE, tokens=9, reason="r"),
        event(FreeleechTokens.Spent, grace, 3, at(20), user_id=GRACE, torrent_id=ALBUM, tokens=1, until=at(40)),
        event(User.PersonalFreeleechGranted, GRACE, 2, at(30), until=at(1000)),
        event(User.PersonalFreeleechEnded, GRACE, 3, at(40)),
    )
    found = counted(facts.platform, until=40)
    assert found[ADA, FILM] == found[ADA, ALBUM] == [FREE, FREE, FULL, FULL]
    assert found[GRACE, FILM] == [FULL, FULL, FREE, FULL]
    assert found[GRACE, ALBUM] == [FULL, FREE, FREE, FULL]


def test_perks_follow_groups_and_permissions_and_leave_other_windows_alone(facts: Given) -> None:
    member, vip = group_id("member"), group_id("vip")
    free, double = str(Permission.FREELEECH), str(Permission.DOUBLE_UPLOAD)
    facts.facts(
        event(Group.Founded, member, slug="member", name="Member", level=1, permissions=[]),
        event(Group.Founded, vip, slug="vip", name="VIP", level=2, permissions=[free, double]),
        event(User.Registered, ADA, 1, at(0), username="ada", email="ada@example.org", group="vip"),
        event(User.Registered, GRACE, 1, at(0), username="grace", email="grace@example.org", group="member"),
        event(User.PersonalFreeleechGranted, ADA, 2, at(20), until=at(60)),
        event(Group.PermissionsChanged, vip, 2, at(20), permissions=[double]),
        event(User.GroupChanged, ADA, 3, at(30), group="member", reason=""),
        event(Group.PermissionsChanged, member, 2, at(40), permissions=[double]),
        event(Group.PermissionsChanged, member, 3, at(50), permissions=[double, str(Permission.POST)]),
        event(User.GroupChanged, GRACE, 2, at(50), group="vip", reason=""),
        event(Group.PermissionsChanged, vip, 3, at(60), permissions=[]),
    )
    found = counted(facts.platform, until=60)
    assert found[ADA, FILM] == [BOTH, BOTH, FREE, BOTH, BOTH, DOUBLE]
    assert found[GRACE, FILM] == [FULL, FULL, FULL, DOUBLE, DOUBLE, FULL]
    perks = rows_of(facts.platform, "SELECT count(*) FROM read.promotion_window WHERE source_id = %s", [UUID(int=0)])
    assert perks == [(4,)], "of both two: a change that leaves the perk as it is opens none"


def test_perks_of_groups_beside_the_own_add_and_own_rights_win(facts: Given) -> None:
    member, donor, ada, grace = group_id("member"), group_id("donor"), rights_id(ADA), rights_id(GRACE)
    free, double = str(Permission.FREELEECH), str(Permission.DOUBLE_UPLOAD)
    said: dict[str, Any] = {"reason": "r", "until": None}
    facts.facts(
        event(Group.Founded, member, slug="member", name="Member", level=1, permissions=[double]),
        event(Group.Founded, donor, slug="donor", name="Donor", level=2, permissions=[]),
        event(User.Registered, ADA, 1, at(0), username="ada", email="ada@example.org", group="member"),
        event(User.Registered, GRACE, 1, at(0), username="grace", email="grace@example.org", group="member"),
        event(Rights.SecondaryGroupGiven, ada, 2, at(0), user_id=ADA, group="donor", **said),
        event(Rights.PermissionGranted, grace, 2, at(20), user_id=GRACE, permission=free, **said),
        event(Group.PermissionsChanged, donor, 2, at(20), permissions=[free]),
        event(Rights.PermissionDenied, ada, 3, at(30), user_id=ADA, permission=double, **said),
        event(Rights.ExceptionExpired, grace, 3, at(30), user_id=GRACE, permission=free),
        event(Rights.SecondaryGroupTaken, ada, 4, at(40), user_id=ADA, group="donor", reason="r"),
        event(Rights.PermissionDenied, grace, 4, at(40), user_id=GRACE, permission=str(Permission.POST), **said),
        event(Rights.ExceptionWithdrawn, ada, 5, at(50), user_id=ADA, permission=double, reason="r"),
    )
    found = counted(facts.platform, until=60)
    assert found[ADA, FILM] == [DOUBLE, BOTH, FREE, FULL, DOUBLE, DOUBLE]
    assert found[GRACE, FILM] == [DOUBLE, BOTH, DOUBLE, DOUBLE, DOUBLE, DOUBLE]
    assert all(check.differences == 0 for check in verify(facts.platform, peers))


def test_windows_that_are_over_are_not_loaded_and_open_ones_are(facts: Given) -> None:
    facts.facts(
        event(Torrent.FreeleechGranted, FILM, 2, at(0), until=at(10)),
        event(Torrent.Promoted, ALBUM, 2, at(0), upload_percent=200, download_percent=100, until=None),
        event(SitePromotion.Started, UUID(int=1), 1, at(0), upload_percent=100, download_percent=0, until=at(10)),
        event(User.PersonalFreeleechGranted, GRACE, 2, at(0), until=at(100)),
    )
    projected(facts.platform, peers)
    everybody = [(ADA, FILM), (GRACE, ALBUM)]
    keys = facts.platform.keyring.read_keys
    with facts.platform.projector_pool.connection() as connection, writing(connection, "read", keys) as db:
        records = [announce(s, user=user, torrent=torrent) for s in (10, 20) for user, torrent in everybody]
        assert set(promotions(db, records).windows) == {ALBUM.bytes, GRACE.bytes}
        records.append(announce(9.9))
        assert set(promotions(db, records).windows) == {b"", FILM.bytes, ALBUM.bytes, GRACE.bytes}


def test_rebuilt_windows_equal_the_live_ones(facts: Given) -> None:
    test_perks_follow_groups_and_permissions_and_leave_other_windows_alone(facts)
    facts.facts(
        event(Torrent.Promoted, FILM, 2, at(100), upload_percent=200, download_percent=50, until=None),
        event(SitePromotion.Started, UUID(int=1), 1, at(120), upload_percent=200, download_percent=100, until=None),
    )
    projected(facts.platform, peers)
    before = {check.table: check for check in verify(facts.platform, peers)}
    assert before["promotion_window"].rows == 7
    rebuild(facts.platform, peers)
    after = {check.table: check for check in verify(facts.platform, peers)}
    assert {table: (check.rows, check.differences) for table, check in after.items()} == {
        table: (check.rows, 0) for table, check in before.items()
    }


def test_windows_from_before_the_migration_are_kept_and_so_they_are_when_it_is_undone(
    facts: Given, database: str
) -> None:
    member, vip = group_id("member"), group_id("vip")
    facts.facts(
        event(Torrent.FreeleechGranted, FILM, 2, at(10), until=at(20)),
        event(Torrent.FreeleechGranted, ALBUM, 2, at(10), until=at(1000)),
        event(Torrent.FreeleechEnded, ALBUM, 3, at(30)),
        event(Group.Founded, member, slug="member", name="Member", level=1, permissions=[]),
        event(Group.Founded, vip, slug="vip", name="VIP", level=2, permissions=[str(Permission.FREELEECH)]),
        event(User.Registered, ADA, 1, at(0), username="ada", email="ada@example.org", group="vip"),
        event(User.Registered, GRACE, 1, at(0), username="grace", email="grace@example.org", group="vip"),
        event(User.GroupChanged, GRACE, 2, at(30), group="member", reason=""),
    )
    projected(facts.platform, peers)
    later = [path.name for path in files("migrations").iterdir() if path.name >= "0018" and "rollback" in path.name]
    assert rollback(database, len(later)) == len(later)
    windows = rows_of(facts.platform, "SELECT subject_id, ends_at FROM read.free_window ORDER BY position, subject_id")
    assert windows == [(FILM, at(20)), (ALBUM, at(30)), (ADA, None), (GRACE, at(30))]
    assert rows_of(facts.platform, "SELECT free FROM read.credit_group ORDER BY free") == [(False,), (True,)]
    assert migrate(database) == len(later)
    found = {check.table: (check.rows, check.differences) for check in verify(facts.platform, peers)}
    assert (found["promotion_window"], found["credit_group"]) == ((4, 0), (2, 0))
