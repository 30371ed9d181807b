"""The site's worker carries orders out: its own command line does what somebody asked the API for."""

from __future__ import annotations

import time

import pytest

from runtime.platform import Platform
from runtime.rebuild.orders import Order, place
from runtime.worker import process
from tests.given import rows_of

pytestmark = pytest.mark.engine

PATIENCE_S = 60.0


def test_an_order_is_carried_out_by_the_command_line_of_the_site(platform: Platform) -> None:
    with platform.pool.connection() as connection, connection.cursor() as cursor:
        place(cursor, ["categories"], Order("rebuild"))
    deadline = time.monotonic() + PATIENCE_S
    with process._carrying_out(platform):
        while (found := rows_of(platform, "SELECT state, error FROM es.rebuild")) != [("done", None)]:
            assert time.monotonic() < deadline, found
            assert found[0][0] in ("queued", "running"), found
