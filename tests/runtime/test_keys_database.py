"""The keys of persons in a database of their own: moved there once, used there only, and not brought back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

import domain
from commands.policies import POLICIES
from domain.base import ERASED, SYSTEM
from domain.users import User
from projections import ALL
from runtime import keys_database
from runtime.backup import restore
from runtime.backup.create import create
from runtime.backup.restore import choose
from runtime.embedded import Postgres
from runtime.keys_database import KeysElsewhere, has_keys, move_keys
from runtime.platform import Platform
from runtime.settings import Settings
from runtime.store import new_id
from tests.conftest import SECRETS, as_user
from tests.engines import drop_database, fresh_database

pytestmark = pytest.mark.engine

NAMES = [one.name for one in ALL]
Opened = Callable[..., Platform]


@pytest.fixture
def keys(postgres: Postgres) -> Iterator[str]:
    """The URL of a database that is not there yet, as its owner."""
    url = postgres.url(f"keys_{new_id().hex}")
    yield url
    if has_keys(url):
        drop_database(postgres, url)


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[str]:
    url = fresh_database(postgres, "template0")
    yield url
    drop_database(postgres, url)


@pytest.fixture
def opened(settings: Settings) -> Iterator[Opened]:
    """Opens the platform over these databases; without one of keys the site's has them."""
    with ExitStack() as stack:

        def open_(url: str, keys_url: str = "") -> Platform:
            database = settings.database.model_copy(update={"url": as_user(url, "tracker_app"), "owner_url": url})
            own = {"database_url": as_user(keys_url, "tracker_app"), "owner_url": keys_url}
            of = {"database": database, "keys": settings.keys.model_copy(update=own)}
            made = Platform(settings.model_copy(update=of), domain.EVENTS, (*ALL, *POLICIES), secrets=SECRETS)
            return stack.enter_context(made)

        yield open_


def joined(platform: Platform, name: str) -> UUID:
    user = User.register(new_id(), name, f"{name}@example.org", "member")
    platform.store(user.id).save(user)
    return user.id


def name_of(platform: Platform, user_id: UUID) -> str:
    return platform.store(SYSTEM).get(User, user_id).username


def subjects(url: str) -> dict[UUID, bool]:
    """Whether each person has a key."""
    with psycopg.connect(url) as connection:
        return dict(connection.execute("SELECT subject_id, wrapped_key IS NOT NULL FROM keys.subject").fetchall())


def test_keys_move_with_their_persons_and_are_used_there(database: str, keys: str, opened: Opened) -> None:
    before = opened(database)
    ada, grace = joined(before, "ada"), joined(before, "grace")
    before.keyring.destroy(grace)
    assert move_keys(database, keys) == 2
    assert subjects(keys) == {ada: True, grace: False}
    assert subjects(database) == {}
    after = opened(database, keys)
    assert (name_of(after, ada), name_of(after, grace)) == ("ada", ERASED)
    joan = joined(after, "joan")
    assert subjects(keys).keys() == {ada, grace, joan}
    assert subjects(database) == {}
    after.keyring.destroy(ada)
    assert subjects(keys)[ada] is False


def test_moving_again_changes_nothing(database: str, keys: str, opened: Opened) -> None:
    ada = joined(opened(database), "ada")
    assert [move_keys(database, keys) for _ in range(2)] == [1, 0]
    assert name_of(opened(database, keys), ada) == "ada"


def test_no_file_of_the_site_has_a_key_that_has_moved(
    database: str, keys: str, opened: Opened, owner: psycopg.Connection[Any]
) -> None:
    ada = joined(opened(database), "ada")
    wrapped = owner.execute("SELECT wrapped_key FROM keys.subject WHERE subject_id = %s", (ada,)).fetchone()
    assert wrapped is not None
    move_keys(database, keys)
    owner.execute("CHECKPOINT")
    where = owner.execute("SELECT pg_relation_filepath('keys.subject'), pg_relation_size('keys.subject')").fetchone()
    assert where is not None
    assert where[1] == 0


def test_a_crash_between_the_two_commits_brings_nobody_back(
    database: str, keys: str, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copies are there, the site's own keys are too, and one of them is destroyed before the move is repeated."""
    platform = opened(database)
    ada, grace = joined(platform, "ada"), joined(platform, "grace")

    class Crash(Exception):
        pass

    def copied(source: Any, target: Any) -> int:
        keys_database_merge(source, target)
        target.commit()
        raise Crash

    keys_database_merge = keys_database.merge
    with monkeypatch.context() as crashing:
        crashing.setattr(keys_database, "merge", copied)
        with pytest.raises(Crash):
            move_keys(database, keys)
    assert subjects(keys) == subjects(database) == {ada: True, grace: True}
    platform.keyring.destroy(ada)
    assert move_keys(database, keys) == 2
    assert subjects(keys) == {ada: False, grace: True}


def test_a_process_that_looks_for_keys_in_the_wrong_place_does_not_start(
    database: str, keys: str, opened: Opened
) -> None:
    platform = opened(database)
    joined(platform, "ada")
    keys_database._ensure_database(keys)
    with pytest.raises(KeysElsewhere, match="tracker migrate"):
        opened(database, keys)
    move_keys(database, keys)
    with pytest.raises(KeysElsewhere, match="APP__KEYS__DATABASE_URL"):
        opened(database)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        joined(platform, "grace")  # one that was running meanwhile makes no second key for anybody


def test_a_backup_has_the_keys_and_a_restore_puts_them_where_they_belong(
    database: str, keys: str, empty: str, opened: Opened, postgres: Postgres, tmp_path: Path
) -> None:
    move_keys(database, keys)
    platform = opened(database, keys)
    ada, grace = joined(platform, "ada"), joined(platform, "grace")
    platform.keyring.destroy(grace)
    create(database, tmp_path / "backups", tmp_path, SECRETS.key_encryption, keys_url=keys)
    elsewhere = postgres.url(f"keys_{new_id().hex}")
    restore.restore(empty, choose(tmp_path / "backups"), tmp_path, NAMES)
    move_keys(empty, elsewhere)
    assert subjects(elsewhere) == {ada: True, grace: False}
    assert name_of(opened(empty, elsewhere), ada) == "ada"
    drop_database(postgres, elsewhere)


def test_what_outlives_the_site_knows_more_than_its_backup(
    database: str, keys: str, empty: str, opened: Opened, tmp_path: Path
) -> None:
    """The database of keys is spared: who was erased since stays erased, who joined since keeps the key."""
    move_keys(database, keys)
    platform = opened(database, keys)
    ada, grace = joined(platform, "ada"), joined(platform, "grace")
    create(database, tmp_path / "backups", tmp_path, SECRETS.key_encryption, keys_url=keys)
    platform.keyring.destroy(ada)
    joan = joined(platform, "joan")
    chosen = choose(tmp_path / "backups", also_erased=[ada])
    done = restore.restore(empty, chosen, tmp_path, NAMES, keys_url=keys)
    assert done.rebuild, "the backup's read tables show whom they must not"
    move_keys(empty, keys)
    assert subjects(keys) == {ada: False, grace: True, joan: True}
    restored = opened(empty, keys)
    assert (name_of(restored, ada), name_of(restored, grace)) == (ERASED, "grace")
