"""What the platform may do in Valkey: queue, ring and listen. The user of `ops/compose` has no other right."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from runtime.embedded import Valkey
from runtime.platform import Platform
from runtime.queue import BELL, WAKE_KEY
from runtime.settings import Settings
from tests.runtime.test_queue import count, wait_until, working, write

ACL = Path(__file__).parents[2] / "ops" / "compose" / "trial" / "valkey.acl"

pytestmark = pytest.mark.engine


@pytest.fixture
def url(valkey: Valkey) -> Iterator[str]:
    """Of the user of the file, who is forgotten afterwards."""
    _, user = ACL.read_text().splitlines()
    _, name, *rules = user.split()
    password = next(rule[1:] for rule in rules if rule.startswith(">"))
    with Redis.from_url(valkey.url()) as owner:
        owner.execute_command("ACL", "SETUSER", name, "reset", *rules)
        yield valkey.url().replace("unix://", f"unix://{name}:{password}@")
        owner.execute_command("ACL", "DELUSER", name)


@pytest.fixture
def settings(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"redis": settings.redis.model_copy(update={"url": url})})


def test_that_is_enough_to_wake_and_to_be_woken(notes: Platform) -> None:
    with working(notes):
        for number in range(1, 4):
            write(notes)
            wait_until(partial(has, notes, number), 5)


def has(notes: Platform, number: int) -> bool:
    return count(notes) == number


@pytest.mark.parametrize(
    "command",
    [
        "FLUSHALL", "FLUSHDB", "KEYS *", "CONFIG GET *", "CONFIG SET maxmemory 1", "SAVE", "BGSAVE", "SHUTDOWN",
        "MONITOR", "CLIENT LIST", "CLIENT KILL ID 1", "ACL LIST", "ACL SETUSER tracker +@all",
        "REPLICAOF NO ONE", "MODULE LIST", "FUNCTION FLUSH", "SWAPDB 0 1", "MIGRATE h 1 wake:a 0 1", "SLOWLOG GET",
        "GET other", "SET other 1", "DEL other", "RENAME wake:a other", "EVAL return\u00a0redis.call('get','other') 0",
        f"PUBLISH other{BELL} 1", "SUBSCRIBE other", "PSUBSCRIBE *",
    ],
)  # fmt: skip
def test_nothing_else_is_allowed(url: str, command: str) -> None:
    with Redis.from_url(url) as client:
        client.set(WAKE_KEY.format("a"), b"")
        with pytest.raises(ResponseError, match="(?i)permission"):
            client.execute_command(*(word.replace("\u00a0", " ") for word in command.split(" ")))


def test_whoever_names_nobody_may_ask_whether_it_is_there() -> None:
    default = ACL.read_text().splitlines()[0]
    assert default.split() == ["user", "default", "on", "nopass", "resetkeys", "resetchannels", "-@all", "+ping"]
