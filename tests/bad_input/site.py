"""A site in which there is one of everything, the API over it, and what OpenAPI says about that API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from fastapi import FastAPI
from httpx import Response

from commands import ROUTERS as COMMANDS
from commands.default_data import seed
from domain.base import SYSTEM, natural_id
from domain.sessions import Session
from domain.users import User
from queries import ROUTERS as QUERIES
from runtime.api import create_app
from runtime.http.deps import Permitted
from runtime.platform import Platform
from runtime.settings import Settings
from runtime.store import new_id
from tests.bad_input.schemas import Document
from tests.given import projected, rows_of
from tests.in_process import TestClient
from tests.torrents.uploads import file_of


def documented() -> Document:
    """The document of the API as it is shipped; nothing is asked of any server for it."""
    stub = SimpleNamespace(settings=Settings.model_validate({}))
    return Document(create_app(cast(Platform, stub)).openapi())


@dataclass(frozen=True)
class Account:
    id: UUID
    session_id: UUID
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class Site:
    """`things` are ids by the names that paths and bodies have for them."""

    def __init__(self, platform: Platform, app: FastAPI, client: TestClient) -> None:
        self.platform = platform
        self.client = client
        self.document = Document(app.openapi())
        seed(platform.store(SYSTEM, "seed"))
        self.catch_up()
        self.sysop, self.member, self.outsider = (
            self._account(name, group) for name, group in (("ada", "sysop"), ("bob", "member"), ("eve", "validating"))
        )
        self.catch_up()
        self.things: dict[str, Any] = {
            "position": 1,
            "slug": "member",
            "achievement_id": natural_id("achievement_rule", "uploads-1"),
            "user_id": self.member.id,
            "session_id": self.member.session_id,
            **self._made(),
        }
        self.catch_up()

    def catch_up(self) -> None:
        """Run every follower until nothing is left; fails when one of them halts. They are asked how far they are, so
        those that have nothing to read move as well."""
        for follower in self.platform.followers:
            projected(self.platform, follower)

    def counts(self) -> tuple[int, int]:
        """How many events and commands the store has."""
        rows = rows_of(self.platform, "SELECT (SELECT count(*) FROM es.event), (SELECT count(*) FROM es.command)")
        return cast("tuple[int, int]", rows[0])

    def _account(self, name: str, group: str) -> Account:
        user = User.register(new_id(), name, f"{name}@example.org", group)
        session = Session.start(new_id(), user.id)
        tokens: list[str] = []

        def begin(cursor: Any) -> None:
            pair = self.platform.tokens.start_session(cursor, user.id, datetime.now(UTC), session_id=session.id)
            tokens.append(pair.access_token)

        self.platform.store(user.id).save(user, session, beside=begin)
        return Account(user.id, session.id, tokens[0])

    def _made(self) -> dict[str, UUID]:
        file, form = {"file": ("x.torrent", file_of("first"))}, {"category": "movies-hd"}
        torrent_id = self._post("/torrents", files=file, data=form)["id"]
        self._post(f"/users/{self.sysop.id}/bonus/grants", json={"points": 1000, "reason": "to spend"})
        wish = {"title": "A wish", "description": "", "category": "movies-hd", "bounty": 10}
        request_id = self._post("/requests", json=wish)["id"]
        report = {"subject_type": "torrent", "subject_id": torrent_id, "reason": "odd"}
        case_id = self._post("/reports", json=report)["case_id"]
        made = {"torrent_id": torrent_id, "request_id": request_id, "case_id": case_id, "subject_id": torrent_id}
        look = self._post(f"/users/{self.member.id}/email/looks", json={"reason": "to see"})["id"]
        return {name: UUID(value) for name, value in {**made, "look": look}.items()}

    def _post(self, path: str, **options: Any) -> dict[str, Any]:
        answer: Response = self.client.post(f"/api/v1{path}", headers=self.sysop.headers, **options)
        assert answer.status_code == 201, answer.text
        return cast("dict[str, Any]", answer.json())


def guarded() -> set[str]:
    """The operations that ask for a permission before anything else."""
    found: set[str] = set()
    for router in (*COMMANDS, *QUERIES):
        for route in cast("list[Any]", router.routes):
            calls = [dependency.call for dependency in route.dependant.dependencies]
            if any(isinstance(call, Permitted) for call in calls):
                found.add(route.name)
    return found
