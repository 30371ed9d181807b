"""`tracker users erase`, on the machine of the site: for anybody, once the operator has said yes."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from typer.testing import CliRunner, Result

from domain.base import ERASED, SYSTEM
from domain.erasures import Erasure, erasure_id
from domain.users import AccountErased, User
from runtime.cli.main import EXPECTED, app
from runtime.platform import Platform
from runtime.store import NoSuchThing
from tests.bans.callers import Site, refusal
from tests.erasures.test_traces import completes
from tests.given import rows_of
from tests.members import PASSWORD

pytestmark = pytest.mark.engine


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, platform: Platform) -> None:
    """The command line is this site's."""
    monkeypatch.setattr("runtime.cli.main._platform", lambda: nullcontext(platform))


def erase(who: object, answer: str = "y") -> Result:
    return CliRunner().invoke(app, ["users", "erase", str(who)], input=f"{answer}\n")


def test_who_manages_the_site_is_erased_where_it_runs(site: Site, here: None, owner: psycopg.Connection[Any]) -> None:
    sysop, other = (site.members.join(name, "sysop", password=PASSWORD) for name in ("root", "admin"))
    refused = site.send("POST", "/users/me/erasure", sysop, {"password": PASSWORD})
    assert refusal(refused) == (409, "manages_site")
    done = erase(sysop.id)
    assert (done.exit_code, f"{sysop.id} is shut out" in done.output) == (0, True)
    assert site.get(sysop, "/users/me").status_code == 401, "at once"
    assert site.get(other, "/users/me").status_code == 200
    completes(site.platform, owner, site.members)
    assert rows_of(site.platform, "SELECT username FROM read.account ORDER BY user_id") == [(ERASED,), ("admin",)]
    facts = rows_of(
        site.platform, "SELECT DISTINCT actor_id, origin FROM read.audit_entry WHERE action = 'erasure.begun'"
    )
    assert facts == [(SYSTEM, "cli")]


def test_nothing_happens_without_a_yes_nor_to_who_is_not_there_or_is_erased(site: Site, here: None) -> None:
    member = site.members.join("member")
    no = erase(member.id, "n")
    assert (no.exit_code, "Aborted" in no.output) == (1, True)
    store = site.platform.store(SYSTEM)
    assert store.find(Erasure, erasure_id(member.id)) is None
    assert store.get(User, member.id).enabled
    for who, error in ((uuid4(), NoSuchThing), (member.id, None), (member.id, AccountErased)):
        done = erase(who)
        assert type(done.exception) is (error or type(None)), done.exception
        assert error is None or issubclass(error, EXPECTED), "one line for the operator"
    assert erase("nobody").exit_code == 2
