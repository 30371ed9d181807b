"""Everything that can be asked, of a site that has one of everything: answered as its routes do, to the last digit, and
never a failure of ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as for_all
from hypothesis import strategies as st

from queries import SCHEMA
from runtime.http import deps
from runtime.platform import Platform
from tests.authorization.cast import Cast
from tests.authorization.rows import ROWS
from tests.authorization.site import Route, Site, rehearsing, routes
from tests.graphql.documents import ROOTS, alone, required
from tests.graphql.generated import THING, documents
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


@pytest.mark.engine
# The platform's threads (pools, the broker's client) draw random numbers for their pauses while Hypothesis watches.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning")
def test_no_document_is_a_failure(site: tuple[Site, TestClient]) -> None:
    asked, _ = site
    sysop = asked.cast.callers["sysop"]
    ids = sorted(str(one) for one in sysop.things.values() if isinstance(one, UUID))
    answered: list[bool] = []

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @for_all(documents(), st.sampled_from(ids))
    def ask(document: str, thing: str) -> None:
        answer = asked.ask(document.replace(THING, thing), sysop)
        shown = answer.json()
        codes = {error["extensions"]["code"] for error in shown.get("errors", [])}
        assert answer.status_code in (200, 400, 422), answer.text
        assert "internal" not in codes, answer.text
        answered.append(answer.is_success)
        if answer.is_success:
            assert all(one is None or "__typename" in one for one in shown["data"].values())
        else:
            assert codes == {shown["code"]}

    ask()
    assert sum(answered) > len(answered) / 3, "many documents should get past the limits"
    assert asked.recorded() == asked.cast.recorded
