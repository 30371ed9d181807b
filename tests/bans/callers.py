"""Requests by members, with the bans projected before each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI
from httpx import Response

from projections.announce_access import announce_access
from projections.api_keys import api_keys
from projections.bans import bans
from projections.categories import categories
from projections.torrents import torrents
from projections.users import users
from runtime.http.deps import utc_now
from runtime.platform import Platform
from tests.given import projected
from tests.in_process import TestClient
from tests.members import Members, SignedIn


@dataclass(frozen=True)
class Site:
    """The API with its members; `send` answers from projections that are caught up."""

    app: FastAPI
    api: TestClient
    platform: Platform
    members: Members

    def send(self, method: str, path: str, user: SignedIn | str, body: Any = None, **headers: str) -> Response:
        """A request of a user, or with an API key."""
        self.catch_up()
        return self.at_once(method, path, user, body, **headers)

    def at_once(self, method: str, path: str, user: SignedIn | str, body: Any = None, **headers: str) -> Response:
        """The same, before any projection ran."""
        identity = {"Authorization": f"Bearer {user}"} if isinstance(user, str) else user.headers
        sent = {} if body is None else {"json": body}
        answer: Response = self.api.request(method, f"/api/v1{path}", headers={**identity, **headers}, **sent)
        return answer

    def catch_up(self) -> None:
        projected(self.platform, users, bans, api_keys, torrents, announce_access)

    def ban(self, staff: SignedIn, user: SignedIn, kind: str = "account", **fields: Any) -> Response:
        return self.send("POST", f"/users/{user.id}/bans", staff, {"kind": kind, "reason": "r"} | fields)

    def set_clock(self, now: datetime) -> None:
        """From now on requests come at this moment."""
        self.app.dependency_overrides[utc_now] = lambda: now


def refusal(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


def soon(seconds: int) -> datetime:
    """A moment at which the tokens of this test are still good, to the second."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)


def open_site(platform: Platform, app: FastAPI, api: TestClient) -> Site:
    """A site with its default data."""
    members = Members(platform)
    projected(platform, categories)
    return Site(app, api, platform, members)
