"""Markdown of members: what it looks like, and what it never does."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.markdown import DEPTH_MAX, TEXT_MAX, safe_html


class Page(HTMLParser):
    """What a browser would find."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.depth = self.deepest = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.depth += tag not in ("br", "hr")
        self.deepest = max(self.deepest, self.depth)

    def handle_endtag(self, tag: str) -> None:
        self.depth -= 1


def links(text: str) -> list[str]:
    return [value for _, name, value in Page(safe_html(text)).attributes if name == "href"]


def assert_harmless(text: str) -> None:
    page = Page(safe_html(text))
    assert set(page.tags) <= set("a blockquote br code em h1 h2 h3 h4 h5 h6 hr li ol p pre s strong ul".split())
    assert {(tag, name) for tag, name, _ in page.attributes} <= {
        ("a", "href"),
        ("a", "rel"),
        ("a", "title"),
        ("ol", "start"),
    }
    for _, name, value in page.attributes:
        if name == "href":
            assert re.match(r"https?://[^/?#@\s]+(?:[/?#]|$)", value, re.IGNORECASE), value


def test_what_it_is_for() -> None:
    html = safe_html("# I\n\nkeep *old* **things**, see [here](https://example.org/?a=1&b=2).\n\n- one\n- ~~two~~\n")
    assert html == (
        "<h1>I</h1>\n<p>keep <em>old</em> <strong>things</strong>, see"
        ' <a href="https://example.org/?a=1&amp;b=2" rel="nofollow noopener noreferrer ugc">here</a>.</p>\n'
        "<ul>\n<li>one</li>\n<li><s>two</s></li>\n</ul>\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "[a](javascript:alert(1))",
        "[a](JaVaScRiPt:alert(1))",
        "[a](&#106;avascript:alert(1))",
        "[a](java\tscript:alert(1))",
        "[a](data:text/html;base64,PHNjcmlwdD4=)",
        "[a](vbscript:x)",
        "[a](file:///etc/passwd)",
        "[a](//evil.example)",
        "[a](/relative)",
        "[a](http:evil)",
        "[a](http://site.example@evil.example/)",
        "<javascript:alert(1)>",
        "[a]: javascript:alert(1)\n\n[a]",
        "![a](javascript:alert(1))",
    ],
)
def test_nothing_but_the_web_is_linked(text: str) -> None:
    assert links(text) == []
    assert_harmless(text)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<svg onload=alert(1)>",
        "<img src=x onerror=alert(1)>",
        "<a href='https://x' onmouseover='alert(1)'>x</a>",
        "`</code><script>alert(1)</script>`",
        "```\n</code></pre><script>alert(1)</script>\n```",
        '~~~x"onload=alert(1)\n~~~',
        '[a](https://x "title\\" onmouseover=\\"alert(1)")',
        "<!-- --><script>",
        "<style>*{background:url(https://x)}</style>",
        "<iframe src=https://x></iframe>",
        "<math><mtext></p><img src=x onerror=alert(1)>",
    ],
)
def test_html_is_text(text: str) -> None:
    assert_harmless(text)


@given(st.text(alphabet="[]()!<>*_`~\\\"'&#:/@ \nahtps.jvc0", max_size=300))
def test_any_text_is_harmless(text: str) -> None:
    assert_harmless(text)


def test_a_picture_is_a_link() -> None:
    html = safe_html("![a *cat*](https://pictures.example/cat.png)")
    assert (
        html == '<p><a href="https://pictures.example/cat.png" rel="nofollow noopener noreferrer ugc">a cat</a></p>\n'
    )
    assert ">https://pictures.example/cat.png</a>" in safe_html("![](https://pictures.example/cat.png)")


def test_no_letter_turns_the_others_around() -> None:
    assert "\u202e" not in safe_html("<https://example.org/\u202egnp.exe> \u2066x\u2069")
    assert links("<https://example.org/\u202egnp.exe>") == ["https://example.org/gnp.exe"]


@pytest.mark.parametrize(
    "nested", ["> " * 300 + "x", "".join(" " * 2 * n + "* x\n" for n in range(100)), "*a **b " * 300]
)
def test_depth_is_limited(nested: str) -> None:
    assert Page(safe_html(nested)).deepest <= 2 * DEPTH_MAX


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "![",
        ">",
        "*a_ ",
        "a*",
        "<",
        "<a ",
        "&",
        "&#1",
        "[a](",
        "![a](http://x ",
        "~~a",
        "\\",
        "`a``",
        "- \n",
        "[a]: http://x/y\n",
    ],
)
def test_no_text_grows_beyond_measure(piece: str) -> None:
    """Twelve times what was written is what marking up a paragraph of single letters costs."""
    text = (piece * TEXT_MAX)[:5000]
    assert len(safe_html(text)) <= 12 * len(text)


def test_a_reference_is_not_multiplied() -> None:
    text = "[a]: http://example.org/" + "x" * 3000 + "\n\n" + "[a] " * 400
    assert len(safe_html(text)) < 2 * len(text)


def work(text: str) -> int:
    """How many calls rendering takes: the same on every machine, however busy it is."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        safe_html(text)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize(
    "piece", ["[", "![", "[a", "[a](", "a*", "*a_ ", "~~a", "`a``", "<", "&", "> ", "- a\n", "# a\n"]
)
def test_twice_the_text_is_twice_the_work(piece: str) -> None:
    once, twice = (work((piece * n)[:n]) for n in (1000, 2000))
    assert twice <= 2.2 * once
