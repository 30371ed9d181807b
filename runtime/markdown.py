"""Markdown that members wrote, as HTML that no browser can be hurt by.

CommonMark without HTML; links lead to http(s) only and say that a member set them; pictures become links, so that no
reader's browser asks another server for anything. What comes out passes an allow-list again.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping, Sequence
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

#: Quotes in lists in quotes: what lies deeper is left out.
DEPTH_MAX = 20
#: Longer texts are refused by whoever takes them in; no text above this is rendered.
TEXT_MAX = 20_000

_TAGS = set("a blockquote br code em h1 h2 h3 h4 h5 h6 hr li ol p pre s strong ul".split())
#: With a host, and without the user data that can pass for one (RFC 3986 section 7.6).
_WEB = re.compile(r"https?://[^/?#@\s]+(?:[/?#]|$)", re.IGNORECASE)
#: They turn the order of letters around, so that an address reads as another one (UAX 9, section 2).
_DIRECTIONS = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def safe_html(text: str) -> str:
    """The HTML of a text of at most `TEXT_MAX` characters."""
    assert len(text) <= TEXT_MAX, "whoever takes a text in checks its length"
    return nh3.clean(
        _MARKDOWN.render(text.translate(_DIRECTIONS)),
        tags=_TAGS,
        attributes={"a": {"href"}},
        url_schemes={"http", "https"},
        link_rel="nofollow noopener noreferrer ugc",
    )


def _is_web(url: str) -> bool:
    return _WEB.match(url) is not None


def _picture_as_link(
    self: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: MutableMapping[str, Any]
) -> str:
    """`![alt](address)`: the words, or the address where there are none, linking there."""
    source, words = tokens[at].attrs["src"], self.renderInlineAsText(tokens[at].children or [], options, env)
    link, text = Token("link_open", "a", 1, attrs={"href": source}), Token("text", "", 0, content=words or str(source))
    return self.render([Token("inline", "", 0, children=[link, text, Token("link_close", "a", -1)])], options, env)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": DEPTH_MAX}).enable("strikethrough")
    parser.disable("reference")  # one definition, used a thousand times, makes megabytes of a short text
    parser.validateLink = _is_web  # type: ignore[method-assign]
    parser.add_render_rule("image", _picture_as_link)
    return parser


_MARKDOWN = _parser()
