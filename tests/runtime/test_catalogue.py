"""docs/events.md is what the code says today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import domain
from domain.base import Aggregate, Created, Personal
from runtime import catalogue
from runtime.codec import EventShape


class Lamp(Aggregate):
    """A light.

    It goes on
    and off.
    """

    TOPIC = "lamp"

    class Hung(Created):
        """It hangs."""

        TOPIC = "lamp.hung"
        class_version = 2
        watts: int | None  # null while | nobody knows
        owner: Personal

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            """It had no owner."""
            state["owner"] = None

    class Lit(Aggregate.Event):
        TOPIC = "lamp.lit"


CHANGES = """# Changelog

## 0.3.0 - 2031-03-01
### Added
- `lamp.hung` may have an owner
### Events
- `lamp.hung`

## 0.2.0
### Events
- `lamp.dimmed`, `lamp.lit`

## 0.1.0
### Events
- `lamp.hung`
### Fixed
- `lamp.lit` was dark
"""


def test_the_page_is_true() -> None:
    page = catalogue.catalogue(domain.AGGREGATES, catalogue.CHANGELOG.read_text())
    is_true = catalogue.DOCUMENT.read_text() == page
    assert is_true, f"docs/events.md is out of date; write it anew: {catalogue.COMMAND}"


def test_the_page_has_every_event_and_every_field() -> None:
    page = catalogue.DOCUMENT.read_text()
    for kind in domain.EVENTS:
        entry = page.partition(f"### `{kind.TOPIC}`\n")[2].partition("\n#")[0]
        shape = EventShape(kind)
        assert f"- Version {shape.version}: " in entry, kind.TOPIC
        for name in {*shape.names} - {"timestamp"}:
            assert f"| `{name}` |" in entry, kind.TOPIC


def test_an_entry_has_types_comments_and_versions() -> None:
    page = catalogue.catalogue([Lamp], CHANGES)
    assert (
        page.partition("## lamp\n")[2]
        == """
A light.

It goes on and off.

### `lamp.hung`

It hangs.

| field | type | meaning |
|---|---|---|
| `watts` | `int \\| None` | null while \\| nobody knows |
| `owner` | `Personal` |  |

- Version 1: 0.1.0
- Version 2: 0.3.0 - 2031-03-01: It had no owner.

### `lamp.lit`

No fields.

- Version 1: 0.2.0
"""
    )


def test_what_no_release_names_is_unreleased() -> None:
    page = catalogue.catalogue([Lamp], "")
    assert page.count("- Version 1: Unreleased\n") == 2
    assert "- Version 2: Unreleased: It had no owner." in page


def test_the_command_finds_what_the_site_lists(tmp_path: Path) -> None:
    """It has no list of its own: a process that knows the domain alone knows every aggregate."""
    written = tmp_path / "events.md"
    program = f"import pathlib, runtime.catalogue as c; c.DOCUMENT = pathlib.Path({str(written)!r}); c.main()"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=catalogue.ROOT)
    assert written.read_text() == catalogue.catalogue(domain.AGGREGATES, catalogue.CHANGELOG.read_text())
