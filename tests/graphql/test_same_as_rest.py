"""Each root field answers what its route answers, to the last digit, about a site that has one of everything."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from queries import SCHEMA
from runtime.http import deps
from runtime.platform import Platform
from tests.authorization.cast import Cast
from tests.authorization.rows import ROWS
from tests.authorization.site import Route, Site, rehearsing, routes
from tests.graphql.documents import ROOTS, alone, required
from tests.in_process import TestClient

ROUTES = {one.name: one for one in routes()}


@pytest.fixture(scope="module")
def site(shared_platform: Platform) -> Iterator[tuple[Site, TestClient]]:
    app, now = rehearsing(shared_platform), datetime.now(UTC)
    app.dependency_overrides[deps.utc_now] = lambda: now
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Site(Cast(shared_platform), client), client


@pytest.mark.engine
def test_a_field_answers_what_its_route_answers(site: tuple[Site, TestClient]) -> None:
    differ, answered = [], 0
    for field in ROOTS:
        by_rest, by_graphql = _both(*site, ROUTES[SCHEMA.roots[field].route], field)
        answered += by_rest is not None
        if by_rest != by_graphql:
            differ.append(f"{field}: {by_graphql} instead of {by_rest}")
    assert not differ, "\n".join(differ)
    assert answered > len(ROOTS) * 2 / 3


def _both(site: Site, client: TestClient, route: Route, field: str) -> tuple[Any, Any]:
    """The two answers for a sysop; null where there is none."""
    sysop, row = site.cast.callers["sysop"], ROWS[route.name]
    things, query = site.things(row, sysop, "own"), dict(row.query or {})
    by_rest = client.get(route.path.format_map(things), headers=sysop.headers, params=query)
    given = {name: query.get(name) or things[name] for name in {*required(field), *query}}
    by_graphql = site.ask(alone(field, given), sysop).json()
    return by_rest.json() if by_rest.is_success else None, by_graphql.get("data", by_graphql)[field]
