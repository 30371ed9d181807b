"""How much mail an address gets that others can name: a share for each hour and day, exact, and gone with its time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from runtime.mail import post
from runtime.mail_bounds import Occasion, forget_mailboxes, mailbox
from runtime.platform import Platform
from runtime.settings import Settings
from tests.given import rows_of
from tests.mailbox import mails

TO = "alice@example.org"
NAMED, LINK, NOTICE, OWNER = Occasion.NAMED, Occasion.LINK, Occasion.NOTICE, Occasion.OWNER


def send(platform: Platform, occasion: Occasion = NAMED, to: str = TO) -> bool:
    with platform.pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
        return post(cursor, platform.settings, to=to, subject="s", text="t", occasion=occasion) is not None


def pass_time(platform: Platform, time: timedelta) -> None:
    with platform.pool.connection() as connection:
        connection.execute(
            "UPDATE credentials.mail_bound SET sent_at = ARRAY(SELECT at - %s FROM unnest(sent_at) at)", (time,)
        )


@pytest.mark.parametrize(
    ("address", "arrives_at"),
    [
        ("Alice@Example.org", TO),
        ("a.lice@example.org", TO),
        ("alice+1@example.org", TO),
        ("al.i.ce+news+2@EXAMPLE.ORG", TO),
        ("alice@sub.example.org", "alice@sub.example.org"),
        ("bob@example.org", "bob@example.org"),
    ],
)
def test_what_arrives_in_one_mailbox_is_counted_together(address: str, arrives_at: str) -> None:
    assert mailbox(address) == arrives_at


@pytest.mark.engine
def test_an_address_gets_its_share_of_an_hour_and_of_a_day(platform: Platform) -> None:
    sent = []
    for _ in range(6):
        sent.append([send(platform) for _ in range(6)])
        pass_time(platform, timedelta(minutes=61))
    assert [sum(hour) for hour in sent] == [5, 5, 5, 5, 0, 0], "five an hour, twenty a day"
    assert all(hour[:5] == [True] * 5 for hour in sent[:4])
    pass_time(platform, timedelta(hours=18))
    assert [send(platform) for _ in range(6)] == [True] * 5 + [False], "the first five were a day ago"
    assert send(platform, to="bob@example.org"), "somebody else's share is another one"


@pytest.mark.engine
def test_of_20_mails_at_once_to_one_mailbox_five_leave(platform: Platform) -> None:
    names = ["alice", "Alice", "a.lice", "alice+x"]
    with ThreadPoolExecutor(10) as threads:
        sent = list(threads.map(lambda n: send(platform, to=f"{names[n % 4]}@example.org"), range(20)))
    assert (sum(sent), len(mails(platform))) == (5, 5)


@pytest.mark.engine
def test_one_occasion_uses_up_nothing_of_another_and_owners_are_always_told(platform: Platform) -> None:
    for _ in range(30):
        send(platform)
    assert [sum(send(platform, occasion) for _ in range(30)) for occasion in (LINK, NOTICE, OWNER)] == [5, 5, 30]


@pytest.mark.engine
def test_a_mail_whose_command_fails_uses_nothing_up(platform: Platform) -> None:
    for _ in range(10):
        with platform.pool.connection() as connection, connection.transaction(force_rollback=True):
            post(connection.cursor(), platform.settings, to=TO, subject="s", text="t", occasion=NAMED)
    assert sum(send(platform) for _ in range(10)) == 5


@pytest.mark.engine
def test_the_settings_say_how_many(platform: Platform) -> None:
    values = {**platform.settings.model_dump(), "mail": {"per_address_hour": 2, "per_address_day": 3}}
    platform.settings = Settings.model_validate(values)
    assert sum(send(platform) for _ in range(9)) == 2
    pass_time(platform, timedelta(hours=2))
    assert sum(send(platform) for _ in range(9)) == 1


@pytest.mark.engine
def test_what_counts_no_more_is_forgotten_and_no_address_is_kept(platform: Platform) -> None:
    send(platform)
    pass_time(platform, timedelta(hours=23))
    send(platform, to="bob@example.org")
    rows = rows_of(platform, "SELECT m::text, mailbox FROM credentials.mail_bound m")
    assert len(rows) == 2
    assert not any(word in text for word in ("alice", "bob", "example") for text, _ in rows)
    with platform.pool.connection() as connection:
        forget_mailboxes(connection, datetime.now(UTC) + timedelta(hours=2))
    assert len(rows_of(platform, "SELECT FROM credentials.mail_bound")) == 1
