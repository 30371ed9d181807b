"""Categories, forums and chat rooms: default data in, the rows that are shown out."""

from __future__ import annotations

import pytest

from domain.default_data import default_data
from projections.categories import categories
from projections.chat import chat
from projections.forums import forums
from runtime.platform import Platform
from runtime.rebuild import rebuild, verify
from tests.given import Given, projected, rows_of

pytestmark = pytest.mark.engine


@pytest.fixture
def site(given: Given) -> Platform:
    given.aggregates(*default_data())
    projected(given.platform, categories, forums, chat)
    return given.platform


def test_every_category_stands_under_its_parent(site: Platform) -> None:
    rows = rows_of(
        site, "SELECT slug, parent, rank FROM read.category WHERE 'tv' IN (slug, parent) ORDER BY parent, rank"
    )
    assert rows == [
        ("tv-hd", "tv", 0),
        ("tv-sd", "tv", 1),
        ("tv-uhd", "tv", 2),
        ("tv-web-dl", "tv", 3),
        ("tv", None, 1),
    ]
    assert rows_of(site, "SELECT count(*), count(parent) FROM read.category") == [(28, 20)]


def test_forums_and_rooms_keep_their_levels(site: Platform) -> None:
    levels = (
        "SELECT slug, read_level, write_level FROM read.forum WHERE slug IN ('announcements', 'staff') ORDER BY slug"
    )
    assert rows_of(site, levels) == [("announcements", 100, 980), ("staff", 820, 820)]
    assert rows_of(site, "SELECT count(*) FROM read.forum") == [(7,)]
    rooms = rows_of(site, "SELECT slug, level FROM read.chat_room ORDER BY rank")
    assert rooms == [("general", 100), ("support", 10), ("trading", 100), ("vip", 600), ("staff", 820)]


def test_rebuilt_tables_equal_the_live_ones(site: Platform) -> None:
    for projection in (categories, forums, chat):
        for _ in range(2):
            assert [check.differences for check in verify(site, projection)] == [0]
            rebuild(site, projection)
