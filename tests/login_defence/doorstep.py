"""Sign-ins from whatever address, at whatever moment, to one site."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI
from httpx import Response

from runtime.http.deps import utc_now
from tests.in_process import TestClient
from tests.members import PASSWORD

HOME, OFFICE, STRANGER = "203.0.113.7", "203.0.113.99", "198.51.100.1"


class Doorstep:
    """The API as it is reached from everywhere; `wait` moves its clock."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.wait(0)

    def wait(self, seconds: float = 0, **units: float) -> None:
        self.now += timedelta(seconds=seconds, **units)
        now = self.now
        self._app.dependency_overrides[utc_now] = lambda: now

    def post(self, path: str, address: str, body: dict[str, Any], **headers: str) -> Response:
        # without entering the client: a request needs no lifespan
        caller = TestClient(self._app, client=(address, 50_000), headers=headers)
        answer: Response = caller.post(f"/api/v1{path}", json=body)
        return answer

    def sign_in(self, address: str, name: str = "alice", password: str = PASSWORD, **fields: Any) -> Response:
        return self.post("/auth/login", address, {"username": name, "password": password, **fields})

    def fail(self, address: str, name: str = "alice") -> Response:
        return self.sign_in(address, name, "not the password")

    def waits_s(self, address: str, name: str = "alice") -> int:
        """What a failure is told to wait; 0 when it was looked at."""
        answer = self.fail(address, name)
        assert answer.status_code in (401, 429), answer.text
        return int(answer.headers.get("Retry-After", 0))
