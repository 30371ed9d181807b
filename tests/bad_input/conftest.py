"""One site for all tests of a module: what is refused leaves no trace, so nothing has to be undone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runtime.api import create_app
from runtime.platform import Platform
from tests.bad_input.site import Site
from tests.in_process import TestClient


@pytest.fixture(scope="module")
def site(shared_platform: Platform) -> Iterator[Site]:
    """A site with one of everything, and its API."""
    app = create_app(shared_platform)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Site(shared_platform, app, client)
