"""Accounts that nobody uses, as a worker finds them: by what is known of sign-ins, sessions, keys and announces."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.base import SYSTEM
from domain.parking import Parking
from domain.users import User
from projections.inactivity import inactivity
from runtime.platform import Platform
from runtime.rebuild import verify
from runtime.worker.rounds import give_up_unused
from tests.given import rows_of
from tests.mailbox import mails
from tests.members import Member, Members

pytestmark = pytest.mark.engine

DAY = timedelta(days=1)
START = datetime.now(UTC)


@pytest.fixture(autouse=True)
def with_terms(platform: Platform) -> None:
    terms = platform.settings.inactivity.model_copy(update={"after_days": 120})
    platform.settings = platform.settings.model_copy(update={"inactivity": terms})


def look(members: Members, days: float) -> None:
    members.catch_up()
    give_up_unused(members.platform, START + days * DAY)
    members.catch_up()


def enabled(members: Members, *who: Member) -> list[bool]:
    store = members.platform.store(SYSTEM)
    return [store.get(User, member.id).enabled for member in who]


def used(platform: Platform, statement: str, user_id: UUID, days: float) -> None:
    with platform.projector_pool.connection() as connection:
        connection.execute(statement, {"user": user_id, "at": START + days * DAY})


def subjects(platform: Platform, member: Member) -> list[str]:
    return [mail["Subject"] for mail in mails(platform, f"{member.username}@example.org")]


def test_the_owner_is_warned_once_and_disabled_a_week_later(members: Members, platform: Platform) -> None:
    alice, bob = members.join("alice"), members.join("bob")
    for days in (112, 113.1, 113.2, 119):
        look(members, days)
    assert subjects(platform, alice) == subjects(platform, bob) == ["Your account is about to be disabled"]
    assert enabled(members, alice, bob) == [True, True]
    with platform.pool.connection() as connection:  # Bob reads his mail, and signs in
        connection.execute(
            "UPDATE credentials.session SET last_used_at = %s WHERE user_id = %s", (START + 119 * DAY, bob.id)
        )
    look(members, 121)
    assert enabled(members, alice, bob) == [False, True]
    assert rows_of(platform, "SELECT user_id FROM credentials.session WHERE revoked_at IS NULL") == [(bob.id,)]
    assert rows_of(platform, "SELECT user_id, enabled FROM read.announce_user ORDER BY enabled") == [
        (alice.id, False),
        (bob.id, True),
    ]
    look(members, 119 + 113.1)
    assert len(subjects(platform, bob)) == 2


def test_whoever_is_let_in_again_has_the_whole_time_once_more(members: Members, platform: Platform) -> None:
    alice = members.join("alice")
    for days in (114, 122):
        look(members, days)
    assert enabled(members, alice) == [False]
    used(platform, "UPDATE read.last_sign_in SET at = %(at)s WHERE user_id = %(user)s", alice.id, -1000)
    user = platform.store(SYSTEM).get(User, alice.id)
    user.enable("re-enable request approved")
    platform.store(SYSTEM).save(user)
    members.catch_up()
    assert rows_of(platform, "SELECT at >= %s FROM read.last_sign_in", [START]) == [(True,)]
    used(platform, "UPDATE read.last_sign_in SET at = %(at)s WHERE user_id = %(user)s", alice.id, 123)
    for days in (124, 200):
        look(members, days)
    assert enabled(members, alice) == [True]


def test_announcing_is_using(members: Members, platform: Platform) -> None:
    alice, bob = members.join("alice"), members.join("bob")
    used(
        platform,
        "INSERT INTO read.peer (torrent_id, user_id, peer_id, uploaded, downloaded, high_uploaded, high_downloaded,"
        " remaining, active, first_announced_at, last_announced_at, moved_at, credited_uploaded, credited_downloaded,"
        " seed_time_s) VALUES (gen_random_uuid(), %(user)s, '', 0, 0, 0, 0, 0, false, %(at)s, %(at)s, %(at)s, 0, 0, 0)",
        alice.id,
        100,
    )
    for days in (114, 122):
        look(members, days)
    assert enabled(members, alice, bob) == [True, False]
    look(members, 214)
    assert len(subjects(platform, alice)) == 1


def test_staff_and_the_parked_are_left_in_peace(members: Members, platform: Platform) -> None:
    moderator, alice = members.join("moda", "moderator"), members.join("alice")
    parking = Parking.open(alice.id)
    parking.park()
    platform.store(alice.id).save(parking)
    for days in (130, 392):
        look(members, days)
    assert subjects(platform, alice) == subjects(platform, moderator) == []
    for days in (394, 402):
        look(members, days)
    assert enabled(members, alice, moderator) == [False, True]


def test_nobody_is_given_up_by_default(members: Members, platform: Platform) -> None:
    terms = platform.settings.inactivity.model_copy(update={"after_days": 0})
    platform.settings = platform.settings.model_copy(update={"inactivity": terms})
    alice = members.join("alice")
    for days in (1_000, 2_000):
        look(members, days)
    assert enabled(members, alice) == [True]
    assert subjects(platform, alice) == []


def test_the_table_is_built_again_as_it_is(members: Members, platform: Platform) -> None:
    for name in ("alice", "bob"):
        members.sign_in(members.join(name).id, name)
    members.catch_up()
    assert [(t.rows, t.differences) for t in verify(platform, inactivity)] == [(2, 0)]
