"""The page to try GraphQL on: its own, whole, and asking what can be asked."""

from __future__ import annotations

import re

import pytest

from queries import SCHEMA
from runtime.graphql.prepare import prepare
from tests.in_process import TestClient

pytestmark = pytest.mark.engine

PARTS = ("playground", "playground.css", "playground.js")


@pytest.fixture
def texts(api: TestClient) -> dict[str, str]:
    found = {}
    for part in PARTS:
        answer = api.get(f"/graphql/{part}")
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        found[part] = answer.text
    return found


def test_nothing_of_the_page_comes_from_elsewhere_or_is_kept(texts: dict[str, str]) -> None:
    page, script = texts["playground"], texts["playground.js"]
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["/graphql/playground.css", "/graphql/playground.js"]
    assert not re.search(r"<script[^>]*>[^<]|\son\w+=|style=", page), "no script and no style in the page itself"
    assert re.findall(r'fetch\("([^"]+)"', script) == ["/graphql"]
    assert not re.search(r"https?:|innerHTML|insertAdjacent|eval|Storage|cookie", script)


def test_the_script_finds_its_parts_in_the_page(texts: dict[str, str]) -> None:
    wanted = set(re.findall(r'part\("(\w+)"\)', texts["playground.js"]))
    assert wanted == set(re.findall(r'id="(\w+)"', texts["playground"]))


def test_what_it_asks_can_be_asked(texts: dict[str, str]) -> None:
    (example,) = re.findall(r'<textarea id="document"[^>]*>(.*?)</textarea>', texts["playground"], re.DOTALL)
    prepare(SCHEMA, example, {}, introspection=False)
    (named,) = re.findall(r'const NAMED = "(.*?)";', texts["playground.js"])
    (described,) = re.findall(r"const DESCRIBED = `(.*?)`;", texts["playground.js"], re.DOTALL)
    prepare(SCHEMA, described.replace("${NAMED}", named), {}, introspection=True)
