"""Bans over HTTP, at whatever moment a test says it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI
from httpx import Response

from runtime.http.deps import utc_now
from tests.in_process import TestClient
from tests.members import Client, Member, Members


class Site(Client):
    """The API, whose clock can be set."""

    def __init__(self, members: Members, app: FastAPI, api: TestClient) -> None:
        super().__init__(members, api)
        self._app = app

    def ban(self, staff: Member, user: Member, kind: str = "account", **fields: Any) -> Response:
        return self.send("POST", f"/users/{user.id}/bans", staff, {"kind": kind, "reason": "r"} | fields)

    def set_clock(self, now: datetime) -> None:
        """From now on requests come at this moment."""
        self._app.dependency_overrides[utc_now] = lambda: now


def refusal(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


def soon(seconds: int) -> datetime:
    """A moment at which the tokens of this test are still good, to the second."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
