"""Applications: what is one, and that it is answered once."""

from __future__ import annotations

from uuid import uuid4

import pytest

from domain.applications import (
    LINK_MAX,
    LINKS_MAX,
    TEXT_MAX,
    TEXT_MIN,
    Application,
    ApplicationAnswered,
    BadApplication,
)
from domain.torrents import ReasonMissing


def application(text: str = "x" * TEXT_MIN, links: list[str] | None = None) -> Application:
    return Application.file(uuid4(), uuid4(), "stranger@example.org", text, links or [])


@pytest.mark.parametrize("text", ["", " " * TEXT_MIN + "x", "x" * (TEXT_MIN - 1), "x" * (TEXT_MAX + 1)])
def test_a_text_says_something(text: str) -> None:
    with pytest.raises(BadApplication):
        application(text)


@pytest.mark.parametrize(
    "links",
    [["ftp://x.org/"], ["javascript:alert(1)"], ["https://x.org/ y"], ["https://x.org/\nhttps://y.org/"], ["https://"],
     [f"https://{'x' * LINK_MAX}"], ["https://x.org/"] * (LINKS_MAX + 1)],
)  # fmt: skip
def test_links_lead_to_pages(links: list[str]) -> None:
    with pytest.raises(BadApplication):
        application(links=links)


def test_an_application_is_answered_once() -> None:
    approved, rejected = application(), application(links=["https://x.org/", "http://y.org/a?b#c"])
    approved.approve(uuid4())
    with pytest.raises(ReasonMissing):
        rejected.reject(" ")
    rejected.reject("tell us more")
    for answered in (approved, rejected):
        with pytest.raises(ApplicationAnswered):
            answered.approve(uuid4())
        with pytest.raises(ApplicationAnswered):
            answered.reject("again")
    kinds = [[type(event) for event in one.collect_events()] for one in (approved, rejected)]
    assert kinds == [[Application.Filed, Application.Approved], [Application.Filed, Application.Rejected]]
