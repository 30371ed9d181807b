"""The routes of the running application, and the application itself, which decides everything and records nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from types import SimpleNamespace
from typing import Any, NamedTuple, cast
from uuid import UUID

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from httpx import Response

from commands import ROUTERS as COMMANDS
from queries import ROUTERS as QUERIES
from queries.rss import feed_reader, link_follower
from runtime.api import create_app
from runtime.http import deps
from runtime.http.body import QuestionRoute
from runtime.http.deps import Headers, Member, Permitted, PlatformDep
from runtime.platform import Platform
from runtime.settings import Settings
from runtime.store import Store
from tests.authorization.cast import Cast, Person, Things
from tests.authorization.rows import ANYBODY, OWNER, SIGNED_IN, Gate, Row
from tests.bad_input.site import documented
from tests.in_process import TestClient
from tests.torrents.uploads import file_of

#: Public, and not served in production.
DOCUMENTATION = ("/openapi.json", "/docs", "/docs/oauth2-redirect")
DOCUMENT = documented()
#: Path parameters whose thing belongs to somebody.
OWNED = frozenset(
    {"user_id", "torrent_id", "request_id", "case_id", "session_id", "key_id", "ban_id", "invite_id", "slug"}
)
NOWHERE = UUID("0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b77")
_OPERATIONS = {operation.name: operation for operation in DOCUMENT.operations}


class Route(NamedTuple):
    """One method of one path."""

    name: str
    method: str
    path: str
    needs: frozenset[str]  # permissions in the signature
    gate: Gate  # what else is in it
    asks: bool = False  # though it is no GET

    @property
    def reads(self) -> bool:
        return self.asks or self.method in ("GET", "HEAD")

    @property
    def owned(self) -> bool:
        """Whether the path names somebody's thing."""
        return any(f"{{{name}}}" in self.path for name in OWNED)


def routes() -> list[Route]:
    """Every route, of the routers and of the application itself."""
    app = create_app(cast("Platform", SimpleNamespace(settings=Settings.model_validate({}))))
    routers: list[Any] = [route for router in (*COMMANDS, *QUERIES) for route in router.routes]
    return [_route(route, method) for route in (*_own(app), *routers) for method in sorted(route.methods)]


def _own(app: FastAPI) -> list[APIRoute]:
    """The routes that the application has of its own: of its other parts, only these are no routes of the API."""
    mounted = [route for route in app.routes if not isinstance(route, APIRoute)]
    assert len([one for one in mounted if not hasattr(one, "path")]) == len(COMMANDS) + len(QUERIES)
    assert {getattr(one, "path", None) for one in mounted} <= {None, *DOCUMENTATION, "/metrics"}
    return [route for route in app.routes if isinstance(route, APIRoute)]


def _route(route: Any, method: str) -> Route:
    calls = list(_dependencies(route.dependant))
    needs = frozenset(str(call.permission) for call in calls if isinstance(call, Permitted))
    signed_in = not {deps.caller, feed_reader, link_follower}.isdisjoint(calls)
    gate = OWNER if deps.account_owner in calls else SIGNED_IN if signed_in else ANYBODY
    return Route(route.name, method, route.path, needs, gate, isinstance(route, QuestionRoute))


def _dependencies(dependant: Any) -> Iterator[Any]:
    for one in dependant.dependencies:
        yield one.call
        yield from _dependencies(one)


class Rehearsal(Store):
    """A store whose commands decide as ever, and of which nothing is kept: a thousand callers find the same site."""

    def _put(self, events: list[Any], reply: dict[str, Any], beside: Any) -> int:
        return 1


def _rehearsed(store: Store) -> Store:
    return Rehearsal(**{field.name: getattr(store, field.name) for field in fields(Store)})


def _store(request: Request, platform: PlatformDep, caller: Member, headers: Headers) -> Store:
    return _rehearsed(deps.store(request, platform, caller, headers))


def _anonymous_store(request: Request, platform: PlatformDep, headers: Headers) -> Store:
    return _rehearsed(deps.anonymous_store(request, platform, headers))


def rehearsing(platform: Platform) -> FastAPI:
    app = create_app(platform)
    app.dependency_overrides |= {deps.store: _store, deps.anonymous_store: _anonymous_store}
    return app


class Site:
    """The API as the cast calls it."""

    def __init__(self, cast: Cast, client: TestClient) -> None:
        self.cast = cast
        self._client = client
        self._common: Things = {**cast.things, "category": "books", "subject_id": cast.bob.id}

    def call(self, route: Route, row: Row, caller: Person, whose: str) -> str:
        """What this caller gets, with a thing of its own, a member's, or a sysop's."""
        answer = self._client.request(
            route.method,
            route.path.format_map(self.things(row, caller, whose)),
            headers=caller.headers,
            params=row.query,
            **self._body(route, row),
        )
        return _told(answer)

    def things(self, row: Row, caller: Person, whose: str) -> Mapping[str, object]:
        """What paths name, by the names of their parameters."""
        things = self._common | {"own": caller, "others": self.cast.bob, "above": self.cast.root}[whose].things
        return _Named(
            things | ({name: things.get(row.of, NOWHERE) for name in OWNED} if row.of else {}) | (row.path or {})
        )

    def ask(self, document: str, caller: Person) -> Response:
        answer: Response = self._client.post("/graphql", json={"query": document}, headers=caller.headers)
        return answer

    def recorded(self) -> int:
        return self.cast.count_events()

    def _body(self, route: Route, row: Row) -> dict[str, Any]:
        operation = _OPERATIONS.get(route.name)
        if operation is None or operation.media_type is None or route.method in ("GET", "HEAD"):
            return {}
        if operation.media_type != "application/json":
            fields = {"category": "books", "description": "d"} if row.body is None else row.body
            return {"files": {"file": ("x.torrent", file_of("new"))}, "data": fields}
        of_bob = {**self._common, "torrent_id": self.cast.bob.things["torrent_id"], "group": "power_user"}
        made: dict[str, Any] = DOCUMENT.good(DOCUMENT.body(operation), "", of_bob)
        return {"json": made | (row.body or {})}


class _Named(dict[str, object]):
    """Things by the names of a path; what nobody has is nowhere."""

    def __missing__(self, name: str) -> object:
        return NOWHERE


def _told(answer: Response) -> str:
    told = str(answer.status_code)
    return f"{told} {answer.json()['code']}" if answer.is_error and answer.content else told
