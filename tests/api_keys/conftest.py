"""A site with its default data."""

from __future__ import annotations

import pytest
from fastapi import FastAPI

from runtime.platform import Platform
from tests.bans.callers import Site, open_site
from tests.in_process import TestClient


@pytest.fixture
def site(platform: Platform, app: FastAPI, api: TestClient) -> Site:
    return open_site(platform, app, api)
