"""Markup in what members write: as HTML nothing of it is left but words and links, and elsewhere it is no HTML."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest

from domain.profiles import BIO_MAX, TITLE_MAX
from runtime.markdown import safe_html
from tests.members import Agent, Client
from tests.runtime.hostile_markup import harms, payloads


def chunks(limit: int) -> Iterator[str]:
    """All payloads in as few texts as hold them."""
    text = ""
    for payload in payloads():
        if len(text) + len(payload) + 2 > limit:
            yield text.strip()
            text = ""
        text += f"{payload}\n\n"
    yield text.strip()


def test_no_script_no_handler_and_nothing_from_elsewhere_is_left() -> None:
    assert [(payload, found) for payload in payloads() if (found := harms(safe_html(payload)))] == []


def test_the_payloads_are_what_they_are_for() -> None:
    assert len(set(payloads())) == 200
    assert sum(bool(harms(payload)) for payload in payloads()) >= 160, (
        "but for those that are attacks as Markdown alone"
    )


@pytest.mark.engine
def test_what_members_write_is_shown_harmless(shared_client: Client) -> None:
    ada, bob = shared_client.agent("ada", "uploader"), shared_client.agent("bob")
    texts = list(chunks(BIO_MAX))
    for text in texts:
        ada.send("PUT", "/users/me/profile", json={"title": "", "bio": text})
        shown = bob.get(f"/users/{ada.id}")["profile"]
        assert shown["bio"] == text, "as it was written, for whoever edits it"
        assert (harms(shown["bio_html"]), len(shown["bio_html"]) > len(text) // 2) == ([], True)
    assert len(texts) < 10


@pytest.mark.engine
def test_where_there_is_no_html_markup_is_data(shared_client: Client) -> None:
    """Browsers must not guess: the type is said, and nothing would run if they did."""
    eve, bob = shared_client.agent("eve", "uploader"), shared_client.agent("bobby")
    short = [payload for payload in payloads() if len(payload) <= TITLE_MAX and "\n" not in payload]
    names = short[:8]
    for n, name in enumerate(names):
        eve.uploaded(f"markup-{n}", name=name, description=payloads()[n])
    titled = eve.send("PUT", "/users/me/profile", json={"title": short[0], "bio": ""})
    answers = [titled, bob.send("GET", f"/users/{eve.id}"), bob.send("GET", "/torrents")]
    answers += [bob.send("GET", "/search/torrents", params={"q": name}) for name in names]
    answers += [bob.send("GET", f"/torrents/{name}") for name in names]
    for answer in answers:
        assert answer.headers["content-type"] in ("application/json", "application/problem+json")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    feed = urlsplit(bob.get("/users/me/rss-key")["feed_urls"][0])
    document = _feed(shared_client, bob, f"{feed.path}?{feed.query}")
    assert {part.tag for part in document.iter()} == {
        "rss", "channel", "title", "link", "description", "ttl", "item", "pubDate", "category", "guid", "enclosure",
    }  # fmt: skip
    assert {item.text for item in document.iterfind("channel/item/title")} >= set(names)


def _feed(client: Client, who: Agent, path: str) -> ElementTree.Element:
    client.members.catch_up()
    answer = client.api.get(path)
    assert (answer.headers["content-type"], answer.headers["x-content-type-options"]) == (
        "application/rss+xml",
        "nosniff",
    )
    return ElementTree.fromstring(answer.content)
