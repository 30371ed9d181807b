"""One site for all tests of a module: what is refused leaves no trace, so nothing has to be undone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from psycopg import sql

import domain
from commands.policies import POLICIES
from projections import ALL
from runtime.api import create_app
from runtime.embedded import Postgres, Valkey
from runtime.platform import Platform
from runtime.settings import Settings
from tests.bad_input.site import Site
from tests.conftest import SECRETS, as_user, memory
from tests.engines import drop_database, fresh_database
from tests.in_process import TestClient


@pytest.fixture(scope="module")
def site(postgres: Postgres, valkey: Valkey) -> Iterator[Site]:
    """A site with one of everything, and its API."""
    url = fresh_database(postgres)
    with psycopg.connect(url, autocommit=True) as connection:
        grant = sql.SQL("GRANT CREATE ON DATABASE {} TO tracker_projector")
        connection.execute(grant.format(sql.Identifier(connection.info.dbname)))
    with TemporaryDirectory(dir=memory()) as directory:
        servers = {"database": {"url": as_user(url, "tracker_app"), "owner_url": url}, "redis": {"url": valkey.url()}}
        settings = Settings.model_validate({"data_dir": Path(directory), **servers})
        with Platform(settings, domain.EVENTS, (*ALL, *POLICIES), secrets=SECRETS) as platform:
            app = create_app(platform)
            with TestClient(app, raise_server_exceptions=False) as client:
                yield Site(platform, app, client)
    drop_database(postgres, url)
