"""Engines once for each test process; a database, a platform and a clean queue for each test."""

from __future__ import annotations

import os
import shutil
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import hypothesis
import psycopg
import pytest
from fastapi import FastAPI
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from redis import Redis
from starlette.datastructures import State

import domain
from domain.base import Aggregate
from runtime.embedded import DATABASE, Postgres, Valkey
from runtime.gathering.writer import GatheringWriter
from runtime.knowledge import Knowledge
from runtime.migrate import migrate
from runtime.platform import Platform
from runtime.projection import Follower
from runtime.secrets import Secrets
from runtime.settings import Settings
from tests.engines import drop_database, fresh_database, start_postgres, start_valkey
from tests.given import Given
from tests.in_process import TestClient

if TYPE_CHECKING:
    from tests.bans.callers import Site
    from tests.members import Client, Members

SECRETS = Secrets(jwt=b"j" * 32, site=b"s" * 32, key_encryption=b"k" * 32)

MakePlatform = Callable[..., Platform]

# A machine that others use too stops for a second now and then, and no example is wrong for that.
hypothesis.settings.register_profile("shared", deadline=None)
hypothesis.settings.load_profile("shared")


@pytest.fixture(scope="session")
def engine_dir() -> Iterator[Path]:
    """Not pytest's own: a second run of pytest closes that one to the engines' user."""
    with TemporaryDirectory(prefix="tracker-engines-", dir=memory(), ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def memory() -> str | None:
    """A file system in memory, where there is one: each copy of a database is about 500 files."""
    shared = "/dev/shm"
    has_room = os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > 2**31
    return shared if has_room else None


@pytest.fixture(scope="session")
def postgres(engine_dir: Path) -> Iterator[Postgres]:
    """PostgreSQL with a migrated database, from which every test gets its copy."""
    engine = start_postgres(engine_dir)
    try:
        migrate(engine.url())
        yield engine
    finally:
        engine.stop()


@pytest.fixture(scope="session")
def valkey(engine_dir: Path) -> Iterator[Valkey]:
    engine = start_valkey(engine_dir)
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def furnished(postgres: Postgres, valkey: Valkey, engine_dir: Path) -> str:
    """The name of a database with default data, which every projection has read."""
    from commands.policies import POLICIES
    from projections import ALL
    from tests.members import Members

    url = own_database(postgres)
    settings = settings_of(url, valkey, engine_dir / "furnished")
    with Platform(settings, domain.EVENTS, (*ALL, *POLICIES), secrets=SECRETS) as platform:
        Members(platform).catch_up()
    return str(conninfo_to_dict(url)["dbname"])


@pytest.fixture
def database(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[str]:
    """The URL of a database of its own, as its owner; where there are members, with default data."""
    has_members = "members" in request.fixturenames
    url = own_database(postgres, request.getfixturevalue("furnished") if has_members else DATABASE)
    yield url
    drop_database(postgres, url)


def own_database(postgres: Postgres, template: str = DATABASE) -> str:
    """The URL of a copy; grants on a database are not in its copies."""
    url = fresh_database(postgres, template)
    with psycopg.connect(url, autocommit=True) as connection:
        grant = sql.SQL("GRANT CREATE ON DATABASE {} TO tracker_projector")
        connection.execute(grant.format(sql.Identifier(connection.info.dbname)))
    return url


@pytest.fixture
def owner(database: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection of the superuser to the test's database, in autocommit mode."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def settings(database: str, valkey: Valkey, tmp_path: Path) -> Settings:
    """Settings whose servers are this test's engines."""
    with Redis.from_url(valkey.url()) as client:
        client.flushall()
    return settings_of(database, valkey, tmp_path)


def settings_of(database: str, valkey: Valkey, data_dir: Path) -> Settings:
    servers = {"database": {"url": as_user(database, "tracker_app"), "owner_url": database}}
    return Settings.model_validate({"data_dir": data_dir, "redis": {"url": valkey.url()}, **servers})


@pytest.fixture
def make_platform(settings: Settings) -> Iterator[MakePlatform]:
    """Makes platforms over this test's database, of any events and followers."""
    with ExitStack() as stack:

        def make(kinds: Iterable[type[Aggregate.Event]], followers: Sequence[Follower] = ()) -> Platform:
            return without_worker(stack.enter_context(Platform(settings, kinds, followers, secrets=SECRETS)))

        yield make


@pytest.fixture
def platform(make_platform: MakePlatform) -> Platform:
    """The site's platform: every event, every follower."""
    from commands.policies import POLICIES
    from projections import ALL

    return make_platform(domain.EVENTS, (*ALL, *POLICIES))


@pytest.fixture
def repeated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why batches of facts could not be handled together: then they are handled fact by fact, and only slower."""
    why = list[str]()
    abandon = GatheringWriter.abandon

    def noted(writer: GatheringWriter) -> None:
        why.append(traceback.format_exc())
        abandon(writer)

    monkeypatch.setattr(GatheringWriter, "abandon", noted)
    return why


@pytest.fixture(scope="module")
def shared_platform(postgres: Postgres, valkey: Valkey) -> Iterator[Platform]:
    """The same for all tests of a module, which leave nothing behind."""
    from commands.policies import POLICIES
    from projections import ALL

    url = own_database(postgres)
    with TemporaryDirectory(dir=memory()) as directory:
        settings = settings_of(url, valkey, Path(directory))
        with Platform(settings, domain.EVENTS, (*ALL, *POLICIES), secrets=SECRETS) as platform:
            yield without_worker(platform)
    drop_database(postgres, url)


def without_worker(platform: Platform) -> Platform:
    """Tests run followers when they like: for an API here, rights that nobody has projected yet are no old ones."""
    platform.rights = Knowledge(lambda _: 0.0)
    return platform


@pytest.fixture(scope="module")
def shared_client(shared_platform: Platform) -> Iterator[Client]:
    """One site for all tests of a module, each of which asks about people of its own."""
    from runtime.api import create_app
    from tests.members import Client, Members

    with TestClient(create_app(shared_platform)) as api:
        yield Client(Members(shared_platform), api)


@pytest.fixture
def given(platform: Platform) -> Given:
    return Given(platform)


@pytest.fixture(scope="session")
def whole_app() -> FastAPI:
    """The whole API over no platform: what its routes depend on is found out at its first request, in a third of a
    second."""
    from runtime.api import create_app

    return create_app(cast(Platform, SimpleNamespace(settings=Settings())))


@pytest.fixture
def app(whole_app: FastAPI, platform: Platform) -> Iterator[FastAPI]:
    """The whole API over the test's platform."""
    whole_app.state = State({"platform": platform})
    yield whole_app
    whole_app.state = State()
    whole_app.dependency_overrides.clear()


@pytest.fixture
def api(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


@pytest.fixture
def members(platform: Platform) -> Members:
    """A site with default data, whom anybody may join."""
    from tests.members import Members

    return Members(platform, furnished=True)


@pytest.fixture
def client(members: Members, api: TestClient) -> Client:
    """The API as those members call it."""
    from tests.members import Client

    return Client(members, api)


@pytest.fixture
def site(members: Members, app: FastAPI, api: TestClient) -> Site:
    """The same, with a clock that can be set."""
    from tests.bans.callers import Site

    return Site(members, app, api)


def as_user(url: str, user: str) -> str:
    """The same database for another role; the engines of tests trust whoever reaches their socket."""
    return url.replace("://postgres@", f"://{user}@", 1)
