"""The ladder at work: whom the worker promotes and demotes, once each, and what a member sees of its way up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import runtime.worker.rounds
from domain.announces import Event
from domain.base import SYSTEM
from domain.groups import Group, group_id
from domain.ladder import Criteria, Standing
from domain.rights import Rights, rights_id
from domain.users import User
from domain.warnings import WARNED_FOR, Warnings
from queries.ladder import climbers
from runtime.store import new_id
from runtime.worker.rounds import move_on_ladder
from tests.bans.callers import Site, refusal
from tests.given import rows_of
from tests.members import Client, Member
from tests.peers.edges import ShippingEdge, announce

pytestmark = pytest.mark.engine

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=30, hours=1)  # whom a test makes is a little younger than this module


class Ladder:
    """To power_user: 1,000 bytes, a ratio of 1.00, ten days and one upload, kept down to 0.50; to elite 2,000 bytes.
    Ada has uploaded 1,200 bytes, grace 400; both downloaded 400 and shared a torrent."""

    def __init__(self, client: Client) -> None:
        self.client, self.members, self.platform = client, client.members, client.platform
        self.ada, self.grace = self.members.join("ada"), self.members.join("grace")
        self.edge = ShippingEdge(self.platform)
        self.moved = 0
        self.ask("power_user", "member", Criteria(1000, 100, age_days=10, uploads=1, keep_ratio_percent=50))
        self.ask("elite", "power_user", Criteria(2000))
        for who, up in ((self.ada, 1200), (self.grace, 400)):
            self.moves(who, up, 400)
            who.uploads()

    def ask(self, slug: str, follows: str, criteria: Criteria) -> None:
        store = self.platform.store(SYSTEM)
        group = store.get(Group, group_id(slug))
        group.set_criteria(store.get(Group, group_id(follows)), criteria)
        store.save(group)

    def moves(self, who: Member, up: int, down: int) -> None:
        self.moved += 1
        at, n = self.moved * 86_400, self.moved
        first = announce(at, Event.STARTED, user=who.id, client=n, left=1)
        self.edge.ship([first, announce(at + 3600, user=who.id, client=n, up=up, down=down, left=1)])

    def look(self, now: datetime = LATER) -> dict[str, str]:
        """The groups of both after the worker has looked."""
        self.members.catch_up()
        move_on_ladder(self.platform, now)
        self.members.catch_up()
        rows = rows_of(
            self.platform, "SELECT username, group_slug FROM read.account WHERE username IN ('ada', 'grace')"
        )
        return dict(rows)

    def moves_on_record(self) -> list[tuple[Any, ...]]:
        return rows_of(
            self.platform,
            "SELECT a.username, e.action, e.reason, e.actor_id, e.origin FROM read.audit_entry e"
            " JOIN read.account a ON a.user_id = e.stream_id WHERE e.action = 'user.group_changed' ORDER BY position",
        )

    def warn(self, who: Member) -> None:
        warnings = Warnings.open(who.id)
        warnings.give(new_id(), "r", NOW + WARNED_FOR, now=NOW)
        self.platform.store(SYSTEM).save(warnings)


@pytest.fixture
def ladder(client: Client) -> Ladder:
    return Ladder(client)


def test_who_meets_all_criteria_goes_up_and_the_event_says_why(ladder: Ladder) -> None:
    assert ladder.look(NOW + timedelta(days=9)) == {"ada": "member", "grace": "member"}
    assert ladder.look() == {"ada": "power_user", "grace": "member"}
    why = "uploaded 1200 of 1000, ratio_percent 300 of 100, age_days 30 of 10, uploads 1 of 1"
    why = f"meets what power_user asks: {why}"
    assert ladder.moves_on_record() == [("ada", "user.group_changed", why, SYSTEM, "policy")]
    assert ladder.look() == {"ada": "power_user", "grace": "member"}
    assert len(ladder.moves_on_record()) == 1


def test_it_is_one_class_at_a_time(ladder: Ladder) -> None:
    ladder.moves(ladder.ada, 5000, 0)
    assert ladder.look()["ada"] == "power_user"
    assert ladder.look()["ada"] == "elite"
    assert ladder.look()["ada"] == "elite"
    assert len(ladder.moves_on_record()) == 2


def test_who_has_less_than_its_class_keeps_goes_down(ladder: Ladder) -> None:
    ladder.look()
    ladder.moves(ladder.ada, 0, 2000)  # 1200 of 2400: a ratio of 0.50 is kept
    assert ladder.look()["ada"] == "power_user"
    ladder.moves(ladder.ada, 0, 24)  # 0.495
    assert ladder.look() == {"ada": "member", "grace": "member"}
    assert ladder.moves_on_record()[-1][2] == "has less than power_user keeps: ratio_percent 49 of 50"


def test_whose_class_is_locked_stays(ladder: Ladder) -> None:
    rights = Rights.open(ladder.ada.id)
    rights.lock_class("r")
    ladder.platform.store(SYSTEM).save(rights)
    assert ladder.look()["ada"] == "member"
    store = ladder.platform.store(SYSTEM)
    rights = store.get(Rights, rights_id(ladder.ada.id))
    rights.unlock_class("r")
    store.save(rights)
    assert ladder.look()["ada"] == "power_user"


def test_the_lock_counts_though_the_tables_do_not_know_of_it(ladder: Ladder) -> None:
    ladder.members.catch_up()
    rights = Rights.open(ladder.ada.id)
    rights.lock_class("r")
    ladder.platform.store(SYSTEM).save(rights)
    move_on_ladder(ladder.platform, LATER)
    assert ladder.platform.store(SYSTEM).get(User, ladder.ada.id).group == "member"


def test_who_was_warned_is_not_promoted_for_a_month(ladder: Ladder) -> None:
    ladder.warn(ladder.ada)
    assert ladder.look(NOW + timedelta(days=29))["ada"] == "member"
    assert ladder.look(NOW + timedelta(days=31))["ada"] == "power_user"


def test_a_warning_counts_though_the_tables_do_not_know_of_it(ladder: Ladder) -> None:
    ladder.members.catch_up()
    ladder.warn(ladder.ada)
    move_on_ladder(ladder.platform, NOW + timedelta(days=29))
    assert ladder.platform.store(SYSTEM).get(User, ladder.ada.id).group == "member"
    move_on_ladder(ladder.platform, NOW + timedelta(days=31))
    assert ladder.platform.store(SYSTEM).get(User, ladder.ada.id).group == "power_user"


def test_a_warning_keeps_nobody_up(ladder: Ladder) -> None:
    ladder.look()
    ladder.warn(ladder.ada)
    ladder.moves(ladder.ada, 0, 9000)
    assert ladder.look(NOW + timedelta(days=11))["ada"] == "member"


def test_staff_and_the_disabled_are_on_no_rung(ladder: Ladder) -> None:
    store = ladder.platform.store(SYSTEM)
    user = store.get(User, ladder.ada.id)
    user.disable("r")
    moderator = store.get(User, ladder.grace.id)
    moderator.change_group("moderator", "r")
    store.save(user, moderator)
    ladder.moves(ladder.grace, 9000, 0)
    assert ladder.look() == {"ada": "member", "grace": "moderator"}


def test_several_workers_at_once_record_it_once(ladder: Ladder) -> None:
    ladder.moves(ladder.grace, 9000, 0)
    ladder.members.catch_up()
    with ThreadPoolExecutor(3) as threads:  # and read tables that none of them has moved yet
        list(threads.map(lambda _: move_on_ladder(ladder.platform, LATER), range(6)))
    ladder.members.catch_up()
    assert sorted(name for name, *_ in ladder.moves_on_record()) == ["ada", "grace"]


def test_more_members_than_one_question_takes_are_all_seen(ladder: Ladder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime.worker.rounds, "WATCHED_AT_ONCE", 1)
    ladder.moves(ladder.grace, 9000, 0)
    assert ladder.look() == {"ada": "power_user", "grace": "power_user"}


def test_removed_criteria_move_nobody(ladder: Ladder) -> None:
    store = ladder.platform.store(SYSTEM)
    group = store.get(Group, group_id("power_user"))
    group.remove_criteria()
    store.save(group)
    assert ladder.look() == {"ada": "member", "grace": "member"}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.builds(
        Criteria,
        st.integers(1, 3),
        ratio := st.integers(0, 200),
        st.integers(0, 3),
        st.integers(0, 2),
        st.integers(0, 3),
        st.integers(0, 3),
        ratio,
    ),
    done=st.builds(
        Standing, *[st.integers(0, 4)] * 2, st.integers(0, 4), st.integers(0, 2), st.integers(0, 4), st.integers(0, 4)
    ),
)
def test_the_question_is_as_exact_as_the_rule(ladder: Ladder, asked: Criteria, done: Standing) -> None:
    """Read tables with any numbers near the limits: the members found are those whom the rule moves."""
    ladder.members.catch_up()
    with ladder.platform.projector_pool.connection() as db, db.transaction(force_rollback=True):
        db.execute("SET LOCAL search_path = read")
        db.execute("DELETE FROM promotion_criteria WHERE slug <> 'elite'")
        names = ", ".join(f"{name} = %s" for name in Criteria._fields)
        db.execute(f"UPDATE promotion_criteria SET follows = 'power_user', {names}".encode(), list(asked))
        db.execute("DELETE FROM torrent WHERE uploader_id NOT IN (%s, %s)", (ladder.ada.id, ladder.grace.id))
        db.execute("UPDATE torrent SET state = 'pending'")
        db.execute("UPDATE account SET registered_at = %s", (NOW - timedelta(days=done.age_days, seconds=1),))
        db.execute(
            "UPDATE user_stats SET uploaded = %s, downloaded = %s, seed_size = %s, seed_time_s = %s, torrents = 1",
            (done.uploaded, done.downloaded, done.seed_size, done.average_seed_time_s),
        )
        db.execute("UPDATE account SET group_slug = 'power_user' WHERE username = 'ada'")
        db.execute("UPDATE account SET group_slug = 'elite' WHERE username = 'grace'")
        for who in (ladder.ada, ladder.grace)[: 2 if done.uploads else 0]:
            db.execute("UPDATE torrent SET state = 'approved' WHERE uploader_id = %s", (who.id,))
        standing = done._replace(uploads=min(done.uploads, 1))
        found = {one.user_id: (one.to, one.standing) for one in climbers(db, NOW, 10)}
    assert found.get(ladder.ada.id) == (("elite", standing) if asked.met(standing) else None)
    assert found.get(ladder.grace.id) == (None if asked.kept(standing) else ("power_user", standing))


def test_a_member_sees_how_far_it_is(site: Site) -> None:
    ladder = Ladder(site)
    site.set_clock(datetime.now(UTC))
    seen = site.get(ladder.grace, f"/users/{ladder.grace.id}/promotion").json()
    assert (seen["group"], seen["next"], seen["met"], seen["of"], seen["keeps"], seen["hindered_by"]) == (
        "member", "power_user", 2, 4, [], [],
    )  # fmt: skip
    assert [(one["name"], one["value"], one["needed"], one["met"]) for one in seen["criteria"]] == [
        ("uploaded", 400, 1000, False),
        ("ratio_percent", 100, 100, True),
        ("age_days", 0, 10, False),
        ("uploads", 1, 1, True),
    ]
    assert refusal(site.get(ladder.ada, f"/users/{ladder.grace.id}/promotion")) == (403, "not_permitted")
    moderator = site.members.join("moda", "moderator")
    assert site.get(moderator, f"/users/{ladder.grace.id}/promotion").json() == seen
    own = site.get(moderator, f"/users/{moderator.id}/promotion").json()
    assert (own["next"], own["met"], own["of"]) == (None, 0, 0)


def test_what_hinders_and_what_is_kept_is_shown(site: Site) -> None:
    ladder = Ladder(site)
    ladder.look()
    ladder.warn(ladder.ada)
    rights = Rights.open(ladder.ada.id)
    rights.lock_class("r")
    ladder.platform.store(SYSTEM).save(rights)
    seen = site.get(ladder.ada, f"/users/{ladder.ada.id}/promotion").json()
    assert (seen["group"], seen["next"], seen["hindered_by"]) == ("power_user", "elite", ["class_locked", "warned"])
    assert [(one["name"], one["needed"], one["met"]) for one in seen["keeps"]] == [
        ("uploaded", 1000, True), ("ratio_percent", 50, True), ("uploads", 1, True),
    ]  # fmt: skip


def test_managers_set_what_lower_classes_ask(site: Site) -> None:
    admin = site.members.join("admin1", "administrator")
    body = {"follows": "elite", "uploaded": 7, "ratio_percent": 105, "keep_ratio_percent": 95}
    assert site.send("PUT", "/groups/torrent_master/promotion", admin, body).status_code == 200
    groups = {one["slug"]: one for one in site.get(admin, "/groups").json()["items"]}
    zeros = dict.fromkeys(("age_days", "uploads", "seed_size", "average_seed_time_s"), 0)
    assert groups["torrent_master"]["promotion"] == body | zeros
    assert groups["vip"]["promotion"] is None
    assert site.send("DELETE", "/groups/torrent_master/promotion", admin).status_code == 200
    groups = {one["slug"]: one for one in site.get(admin, "/groups").json()["items"]}
    assert groups["torrent_master"]["promotion"] is None
    assert groups["elite"]["promotion"]["follows"] == "power_user"


def test_other_criteria_are_refused(site: Site) -> None:
    admin = site.members.join("admin1", "administrator")
    wrong: tuple[tuple[str, dict[str, Any], tuple[int, str]], ...] = (
        ("sysop", {}, (403, "above_own_level")),
        ("nope", {}, (404, "not_found")),
        ("elite", {"follows": "nope"}, (422, "unknown_group")),
        ("elite", {"follows": "vip"}, (422, "bad_criteria")),
        ("elite", {"uploaded": 0}, (422, "bad_criteria")),
        ("elite", {"keep_ratio_percent": 1}, (422, "bad_criteria")),
        ("elite", {"uploads": -1}, (422, "invalid")),
        ("designer", {}, (403, "permission_not_held")),
    )
    for slug, changes, refused in wrong:
        body = {"follows": "member", "uploaded": 7, **changes}
        assert refusal(site.send("PUT", f"/groups/{slug}/promotion", admin, body)) == refused, (slug, changes)
