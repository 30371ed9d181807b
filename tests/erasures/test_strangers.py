"""Who was never let in is forgotten some time after the application or the invite came to nothing, and not before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from domain.applications import Application
from domain.base import ERASED, SYSTEM
from domain.erasures import Erasure, StillKept, erasure_id
from domain.invites import Invite
from domain.users import User
from projections.applications import applications
from projections.audit import audit
from projections.erasures import erasures
from projections.invites import invites
from projections.users import users
from queries.erasures import due_erasures, due_strangers
from runtime.cli.main import erase_again
from runtime.embedded import Valkey
from runtime.mail import post
from runtime.mail_bounds import Occasion
from runtime.rebuild import verify
from runtime.worker.due import forget_strangers
from tests.erasures import dump
from tests.erasures.test_traces import completes
from tests.given import projected, rows_of
from tests.mailbox import mails
from tests.members import PASSWORD, Client, Members

NOW = datetime(2031, 1, 1, 12, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)
KEPT = 90
AGO = NOW - timedelta(days=KEPT)


@pytest.mark.parametrize(
    ("ended", "forgotten"),
    [
        ([AGO], True),
        ([AGO + TICK], False),
        ([None], False),
        ([AGO, AGO - TICK], True),
        ([AGO, AGO + TICK], False),
        ([None, AGO], False),
        ([], True),
    ],
)
def test_it_takes_the_days_since_the_last_of_all_that_came_to_nothing(
    ended: list[datetime | None], forgotten: bool
) -> None:
    person = UUID(int=7)
    if not forgotten:
        with pytest.raises(StillKept):
            Erasure.of_stranger(person, ended, KEPT, now=NOW)
        return
    erasure = Erasure.of_stranger(person, ended, KEPT, now=NOW)
    assert (erasure.id, erasure.user_id, erasure.completed) == (erasure_id(person), person, False)
    (event,) = erasure.collect_events()
    assert isinstance(event, Erasure.RetentionEnded)
    assert (event.user_id, event.kept_days) == (person, KEPT)


class Site:
    """What strangers wrote, by the real aggregates; mail that waits for each."""

    def __init__(self, members: Members) -> None:
        self.members, self.platform = members, members.platform
        self.staff = members.join("staff", "moderator")

    def applied(self, name: str, answer: str = "") -> UUID:
        """The id that the account would have."""
        person = uuid4()
        filed = Application.file(uuid4(), person, f"{name}@zq9.example.org", f"{name} writes. " * 9, [])
        if answer:
            filed.reject(answer)
        self.platform.store(SYSTEM).save(filed)
        return person

    def invited(self, name: str, *, over: bool, person: UUID | None = None) -> UUID:
        person, now = person or uuid4(), datetime.now(UTC)
        sent = Invite.send(uuid4(), person, f"{name}@zq9.example.org", now + TICK, note=f"{name} is a friend")
        if over:
            sent.expire(now=now + TICK)
        self.platform.store(SYSTEM).save(sent)
        return person

    def after(self, days: int) -> list[UUID]:
        """Whom the worker begins to forget so many days from now."""
        self.members.catch_up()
        forget_strangers(self.platform, datetime.now(UTC) + timedelta(days=days))
        self.members.catch_up()
        with self.platform.pool.connection() as connection:
            return due_erasures(connection, 99)


@pytest.fixture
def strange(members: Members) -> Site:
    return Site(members)


@pytest.mark.engine
def test_only_who_did_not_come_in_and_only_in_time(strange: Site) -> None:
    rejected, expired = strange.applied("rejected", "no"), strange.invited("expired", over=True)
    strange.applied("open")
    strange.invited("open", over=False)
    waits = strange.invited("again", over=True)
    strange.invited("again", over=False, person=waits)
    came = strange.invited("came", over=True)
    strange.platform.store(came).save(User.register(came, "came", "came@zq9.example.org", "member"))
    assert strange.after(KEPT - 1) == []
    assert set(strange.after(KEPT + 1)) == {rejected, expired}
    facts = rows_of(
        strange.platform,
        "SELECT subject_id, action FROM read.audit_entry WHERE action LIKE 'erasure%%' ORDER BY position",
    )
    assert sorted(facts) == sorted([(one, "erasure.retention_ended") for one in (rejected, expired)])
    assert len(strange.after(KEPT + 1)) == 2, "once"


@pytest.mark.engine
def test_the_setting_says_how_long(strange: Site) -> None:
    shorter = strange.platform.settings.security.model_copy(update={"keep_strangers_days": 2})
    strange.platform.settings = strange.platform.settings.model_copy(update={"security": shorter})
    person = strange.applied("rejected", "no")
    assert strange.after(1) == []
    assert strange.after(3) == [person]


@pytest.mark.engine
def test_nothing_is_left_of_a_stranger_and_everything_of_another(
    strange: Site, owner: psycopg.Connection[Any], database: str, valkey: Valkey, tmp_path: Path
) -> None:
    platform = strange.platform
    gone, invited = strange.applied("gone", "no"), strange.invited("lost", over=True)
    strange.applied("stays")
    assert set(strange.after(KEPT + 1)) == {gone, invited}
    completes(platform, owner, strange.members)
    found = dump.everything(database, valkey.url(), tmp_path)
    assert (
        dump.places(found, "gone@zq9.example.org", "gone writes", "lost@zq9.example.org", "lost is a friend") == set()
    )
    shown = rows_of(platform, "SELECT email, text = %s FROM read.application ORDER BY filed_at", [ERASED])
    assert shown == [(ERASED, True), ("stays@zq9.example.org", False)]
    assert rows_of(platform, "SELECT email, note FROM read.invite") == [(ERASED, ERASED)]
    destroyed = rows_of(platform, "SELECT subject_id FROM keys.subject WHERE wrapped_key IS NULL")
    assert {person for (person,) in destroyed} == {gone, invited}
    completed = rows_of(platform, "SELECT user_id FROM read.erasure WHERE completed_at IS NOT NULL")
    assert {person for (person,) in completed} == {gone, invited}
    for projection in (applications, invites, erasures, audit):
        assert sum(table.differences for table in verify(platform, projection)) == 0


@pytest.mark.engine
def test_mail_to_an_address_that_is_a_members_by_now_stays(
    client: Client, strange: Site, owner: psycopg.Connection[Any]
) -> None:
    """A stranger was rejected, came back and was let in: the mails of the account are not those of the stranger."""
    platform = strange.platform
    for name in ("zoe", "nobody"):
        strange.applied(name, "no")
    body = {"username": "zoe", "email": "zoe@zq9.example.org", "password": PASSWORD}
    assert client.api.post("/api/v1/auth/register", json=body).status_code == 201
    with platform.pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
        for name in ("zoe", "nobody"):
            to = f"{name}@zq9.example.org"
            post(cursor, platform.settings, to=to, subject="news", text=f"for {name}", occasion=Occasion.NAMED)
    assert len(strange.after(KEPT + 1)) == 2
    completes(platform, owner, strange.members)
    assert [len(mails(platform, f"{name}@zq9.example.org")) for name in ("zoe", "nobody")] == [1, 0]


@pytest.mark.engine
def test_a_database_from_before_that_moment_forgets_the_stranger_again(
    strange: Site, owner: psycopg.Connection[Any]
) -> None:
    """As `tracker backup recover` asks for everybody whom a list beside the backups names."""
    platform = strange.platform
    person = strange.applied("listed", "no")
    assert erase_again(platform, person)
    assert not erase_again(platform, person), "it has begun"
    assert not erase_again(platform, uuid4()), "of whom nothing is there"
    strange.members.catch_up()
    completes(platform, owner, strange.members)
    assert rows_of(platform, "SELECT email FROM read.application") == [(ERASED,)]
    assert platform.keyring.read_keys([person.bytes]) == [None]


@pytest.mark.engine
def test_two_strangers_are_found_with_all_that_there_is_of_each(strange: Site) -> None:
    one, other = strange.applied("one", "no"), strange.invited("other", over=True)
    strange.invited("one", over=True, person=one)
    projected(strange.platform, applications, invites, erasures, users)
    with strange.platform.pool.connection() as connection:
        found = due_strangers(connection, datetime.now(UTC), 99)
        assert [len(due_strangers(connection, datetime.now(UTC), limit)) for limit in (0, 1, 2)] == [0, 1, 2]
    assert {(each.user_id, len(each.applications), len(each.invites)) for each in found} == {
        (one, 1, 1), (other, 0, 1)
    }  # fmt: skip
