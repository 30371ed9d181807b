"""What most tests of the edge stand on."""

from __future__ import annotations

import pytest

from tests.tracker_edge.bench import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench(allow_private=True)
