"""Starlette's test client: requests to an ASGI application in this process."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    # It prefers httpx2, which differs in nothing that tests use.
    warnings.simplefilter("ignore", UserWarning)
    from starlette.testclient import TestClient

__all__ = ["TestClient"]
