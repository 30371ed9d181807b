"""The page that mails link to: it knows every link that is sent, and calls routes that are there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from commands import ROUTERS
from commands.emails import CONFIRM, TAKE_BACK, VERIFY
from commands.invites import PURPOSE as INVITE
from commands.password_resets import ResetPassword
from commands.registration import Register
from domain.password_resets import RESET
from tests.in_process import TestClient

pytestmark = pytest.mark.engine

PURPOSES = {VERIFY, CONFIRM, TAKE_BACK, RESET, INVITE}


@pytest.fixture
def page(api: TestClient) -> str:
    return str(api.get("/").text)


@pytest.fixture
def script(api: TestClient) -> str:
    return str(api.get("/links.js").text)


def test_the_page_is_a_page_and_nothing_but_its_own_runs_in_it(api: TestClient, page: str) -> None:
    for path, kind in (("/", "text/html; charset=utf-8"), ("/links.js", "text/javascript"), ("/links.css", "text/css")):
        answer = api.get(path)
        assert (answer.status_code, answer.headers["content-type"].partition(" charset")[0].rstrip(";")) == (
            200, kind.partition(";")[0],
        )  # fmt: skip
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["/links.css", "/links.js"]
    assert not re.search(r"<script[^>]*>[^<]|\son\w+=|style=", page), "no script and no style in the page itself"


def test_the_script_knows_every_link_that_is_sent_and_calls_routes_that_are_there(script: str) -> None:
    known = dict(re.findall(r'^  "([a-z-]+)": \{ call: "([a-z-]+)"', script, re.MULTILINE))
    assert known.keys() == PURPOSES
    assert {f"/api/v1/auth/{call}" for call in known.values()} <= set(_posts())


def _posts() -> Iterator[str]:
    for router in ROUTERS:
        for route in router.routes:
            if "POST" in getattr(route, "methods", ()):
                yield str(getattr(route, "path", ""))


def test_the_forms_have_the_fields_that_the_commands_want(page: str) -> None:
    fields = {
        name: purposes.split()
        for purposes, name in re.findall(r'data-for="([^"]+)"[^<]*?<input name="(\w+)"', page, re.S)
    }
    shown = {name for name, purposes in fields.items() if "register" in purposes}
    assert shown | {"invite"} == Register.model_fields.keys()
    asked = {name for name, purposes in fields.items() if "reset-password" in purposes or "code" in purposes}
    assert asked | {"token"} == ResetPassword.model_fields.keys()
