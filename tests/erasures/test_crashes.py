"""An erasure over two databases: whatever stops it half-way, it is gone on with, and nobody comes back."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg_pool import PoolTimeout

import domain
from commands.policies import POLICIES
from domain.base import ERASED, SYSTEM
from domain.erasures import Erasure, erasure_id
from domain.users import User
from projections import ALL
from projections.erasures import erasures
from projections.users import users
from runtime.embedded import Postgres
from runtime.keys_database import move_keys
from runtime.platform import Platform
from runtime.settings import Settings
from runtime.store import new_id
from runtime.worker.due import erase_persons
from tests.conftest import SECRETS, as_user
from tests.engines import drop_database
from tests.given import projected, rows_of

pytestmark = pytest.mark.engine


@pytest.fixture
def keys(postgres: Postgres) -> Iterator[str]:
    url = postgres.url(f"keys_{new_id().hex}")
    yield url
    drop_database(postgres, url)


@pytest.fixture
def platform(settings: Settings, database: str, keys: str) -> Iterator[Platform]:
    """A site whose keys are in a database of their own."""
    move_keys(database, keys)
    own = settings.keys.model_copy(update={"database_url": as_user(keys, "tracker_app"), "owner_url": keys})
    of = settings.model_copy(update={"keys": own})
    with Platform(of, domain.EVENTS, (*ALL, *POLICIES), secrets=SECRETS) as made:
        yield made


class Crash(BaseException):
    """The process is gone: nothing in it catches this."""


STEPS = ("forget_traces", "note_erased", "destroy", "complete")


def begun(platform: Platform) -> User:
    user = User.register(new_id(), "ada", "ada@example.org", "member")
    platform.store(user.id).save(user)
    user.erase()
    platform.store(user.id).save(Erasure.begin(user.id), user)
    return user


def looks(platform: Platform, keys: str) -> None:
    """What a worker does in three seconds."""
    for _ in range(3):
        projected(platform, users, erasures)
        erase_persons(platform, datetime.now(UTC))
        with psycopg.connect(keys, autocommit=True) as connection:
            connection.execute("UPDATE keys.subject SET destroyed_at = destroyed_at - interval '2 seconds'")
    projected(platform, users, erasures)


def crash_at(step: str, patch: pytest.MonkeyPatch, platform: Platform) -> None:
    """At the first moment after the step was done."""
    owner: Any = {"destroy": platform.keyring, "complete": Erasure}.get(
        step, importlib.import_module("commands.erasures")
    )
    done = getattr(owner, step)

    def then_crash(*arguments: Any) -> None:
        done(*arguments)
        raise Crash

    patch.setattr(owner, step, then_crash)


@pytest.mark.parametrize("step", STEPS)
def test_an_erasure_that_stopped_is_gone_on_with(
    platform: Platform, keys: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    user = begun(platform)
    with monkeypatch.context() as patch:
        crash_at(step, patch, platform)
        with pytest.raises(Crash):
            looks(platform, keys)
    assert not platform.store(SYSTEM).get(Erasure, erasure_id(user.id)).completed
    looks(platform, keys)
    assert platform.store(SYSTEM).get(Erasure, erasure_id(user.id)).completed
    with psycopg.connect(keys) as connection:
        assert connection.execute("SELECT wrapped_key FROM keys.subject").fetchall() == [(None,)]
    assert rows_of(platform, "SELECT username, email FROM read.account") == [(ERASED, ERASED)]
    assert rows_of(platform, "SELECT count(*) FROM es.event e JOIN es.event_type t ON t.id = e.type"
                             " WHERE t.name = 'erasure.completed'") == [(1,)]  # fmt: skip


def test_an_erasure_waits_for_a_database_of_keys_that_is_away(
    platform: Platform, keys: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others go on meanwhile: nothing is completed that did not happen."""
    user = begun(platform)

    class Away:
        def connection(self) -> Any:
            raise PoolTimeout("the keys are away")

    with monkeypatch.context() as patch:
        patch.setattr(platform.keyring, "_pool", Away())
        erase_persons(platform, datetime.now(UTC))
    assert not platform.store(SYSTEM).get(Erasure, erasure_id(user.id)).completed
    looks(platform, keys)
    assert platform.store(SYSTEM).get(Erasure, erasure_id(user.id)).completed
