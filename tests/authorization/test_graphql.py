"""Every root field, as everybody: what the rows of the routes say holds for the fields that are made of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from domain.permissions import Permission
from queries import SCHEMA
from runtime.graphql.limits import MAX_ROOT_FIELDS
from runtime.platform import Platform
from tests.authorization.cast import Cast, Person
from tests.authorization.rows import ROWS, WHOSE, Row
from tests.authorization.site import Route, Site, rehearsing, routes
from tests.authorization.test_routes import SHUT_OUT, expected
from tests.graphql.documents import ROOTS, call, required
from tests.in_process import TestClient

#: The route that each field is made of.
ROUTES = {one.name: one for one in routes()}
FIELDS: dict[str, Route] = {name: ROUTES[asked.route] for name, asked in SCHEMA.roots.items()}


@pytest.fixture(scope="module")
def site(shared_platform: Platform) -> Iterator[Site]:
    with TestClient(rehearsing(shared_platform), raise_server_exceptions=False) as client:
        yield Site(Cast(shared_platform), client)


def test_every_field_has_the_row_of_its_route() -> None:
    assert {route.name for route in FIELDS.values()} <= ROWS.keys()
    assert ROOTS.keys() == FIELDS.keys()


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_names_the_permission_of_its_row(field: str) -> None:
    gate, description = ROWS[FIELDS[field].name].gate, ROOTS[field].description or ""
    assert ("Needs `" in description) == isinstance(gate, Permission)
    assert not isinstance(gate, Permission) or f"Needs `{gate}`" in description


@pytest.mark.engine
@pytest.mark.parametrize("whose", WHOSE)
def test_everybody_gets_what_the_rows_say(site: Site, whose: str) -> None:
    differ: list[str] = []
    for caller, person in site.cast.callers.items():
        for fields in _some(list(FIELDS)):
            wanted = {field: expected(FIELDS[field], ROWS[FIELDS[field].name], caller, whose) for field in fields}
            got = _asked(site, person, whose, fields)
            differ += [
                f"{caller}, {whose}: {field} {got[field]} instead of {wanted[field]}"
                for field in fields
                if got[field] != (SHUT_OUT.get(caller) or wanted[field]).partition(" ")[2]
            ]
    assert not differ, "\n".join(differ)


def _some(fields: list[str]) -> Iterator[list[str]]:
    """As many at once as one document may have."""
    for at in range(0, len(fields), MAX_ROOT_FIELDS):
        yield fields[at : at + MAX_ROOT_FIELDS]


def _asked(site: Site, person: Person, whose: str, fields: list[str]) -> dict[str, str]:
    """What becomes of each field: nothing for an answer, else the code; what is hidden is null without one."""
    calls = [_called(site, field, ROWS[FIELDS[field].name], person, whose) for field in fields]
    answer = site.ask("{ " + " ".join(f"{one} {{ __typename }}" for one in calls) + " }", person)
    if answer.is_error:
        return dict.fromkeys(fields, str(answer.json()["code"]))
    shown = answer.json()
    told = {error["path"][0]: str(error["extensions"]["code"]) for error in shown.get("errors", [])}
    return {field: told.get(field, "" if shown["data"][field] else "not_found") for field in fields}


def _called(site: Site, field: str, row: Row, person: Person, whose: str) -> str:
    things = site.things(row, person, whose)
    query = row.query or {}
    return call(field, {name: query.get(name) or things[name] for name in {*required(field), *query}})
