"""Which PostgreSQL servers a site in production works with."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.db import ForgetfulServer, open_pool, refuse_forgetful
from tests.engines import start_postgres

pytestmark = pytest.mark.engine


def test_a_server_that_forgets_is_refused_by_name(database: str) -> None:
    """The engines of tests run without fsync, which is just what production must not accept."""
    with open_pool(database, "postgres", 1) as pool, pytest.raises(ForgetfulServer, match="fsync = off"):
        refuse_forgetful(pool)


def test_a_connection_that_does_not_wait_for_the_disk_is_refused(tmp_path: Path) -> None:
    engine = start_postgres(tmp_path, durable=True)
    try:
        with open_pool(engine.url(), "postgres", 1) as pool:
            refuse_forgetful(pool)
        careless = engine.url() + "&options=-csynchronous_commit%3Doff"
        with open_pool(careless, "postgres", 1) as pool, pytest.raises(ForgetfulServer, match="synchronous_commit"):
            refuse_forgetful(pool)
    finally:
        engine.stop()
