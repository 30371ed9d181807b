"""Every route, as everybody: what the rows say is what the API does, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from domain.permissions import Permission
from runtime.platform import Platform
from tests.authorization.cast import ANONYMOUS, BANNED, CALLERS, DISABLED, READING_KEY, WRITING_KEY, Cast
from tests.authorization.matrix import HOLDERS
from tests.authorization.rows import ANYBODY, OWNER, ROWS, WHOSE, Only, Row
from tests.authorization.site import Route, Site, rehearsing, routes
from tests.in_process import TestClient

pytestmark = pytest.mark.engine

ROUTES = routes()
KEYS = (READING_KEY, WRITING_KEY)
#: Whom nothing but what is for anybody answers.
SHUT_OUT = {
    ANONYMOUS: "401 unauthenticated",
    BANNED: "403 account_banned",
    DISABLED: "403 account_disabled",
    "banned": "403 not_permitted",
}


@pytest.fixture(scope="module")
def site(shared_platform: Platform) -> Iterator[Site]:
    with TestClient(rehearsing(shared_platform), raise_server_exceptions=False) as client:
        yield Site(Cast(shared_platform), client)


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert {route.name for route in ROUTES} == ROWS.keys()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_the_signature_asks_for_what_the_row_says(route: Route) -> None:
    gate = ROWS[route.name].gate
    assert route.needs == ({gate} if isinstance(gate, Permission) else set())
    assert isinstance(gate, Permission) or route.gate == gate


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_everybody_gets_what_the_row_says(site: Site, route: Route) -> None:
    row = ROWS[route.name]
    differ: list[str] = []
    for whose in WHOSE if route.owned else WHOSE[:1]:
        for caller, person in site.cast.callers.items():
            wanted, got = expected(route, row, caller, whose), site.call(route, row, person, whose)
            if got != (wanted[:3] if route.method == "HEAD" else wanted):
                differ.append(f"{caller}, {whose}: {got} instead of {wanted}")
    assert not differ, "\n".join(differ)


def expected(route: Route, row: Row, caller: str, whose: str) -> str:
    answer = row.expected(whose)
    if row.gate == ANYBODY:
        assert isinstance(answer, str)
        return answer
    if caller in SHUT_OUT:
        return SHUT_OUT[caller]
    if caller == READING_KEY and not route.reads:
        return "403 insufficient_scope"
    if caller in KEYS and row.gate == OWNER:
        return "403 sign_in_required"
    group = "sysop" if caller in KEYS else caller
    if isinstance(row.gate, Permission) and group not in HOLDERS[row.gate]:
        return "403 not_permitted"
    if isinstance(answer, Only):
        return answer.granted if any(group in HOLDERS[one] for one in answer.permissions) else answer.refused
    return answer


def test_everybody_is_there(site: Site) -> None:
    assert site.cast.callers.keys() == set(CALLERS)


def test_nothing_of_all_this_was_recorded(site: Site) -> None:
    """A command that were carried out would be found by the callers after it in another state."""
    assert site.recorded() == site.cast.recorded


def test_those_rehearsals_decide_as_the_real_store(site: Site) -> None:
    """A rehearsed command answers what the real one would, from the aggregates as they are."""
    approve = next(route for route in ROUTES if route.name == "approve_torrent")
    row = Row(Permission.TORRENTS_MODERATE, of="pending")
    moderator = site.cast.callers["moderator"]
    assert site.call(approve, row, moderator, "others") == site.call(approve, row, moderator, "others") == "200"
    assert site.call(approve, row._replace(of="nothing"), moderator, "others") == "404 not_found"
