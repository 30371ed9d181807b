"""docs/reliability.md names tests and campaigns that there are, and `make campaigns` runs every campaign."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROMISES = (ROOT / "docs" / "reliability.md").read_text()
CAMPAIGNS = {
    path.stem
    for path in (ROOT / "tests" / "campaigns").glob("*.py")
    if "argparse" in path.read_text() or "__main__" in path.read_text()
}


def test_every_test_that_is_named_is_there() -> None:
    named = re.findall(r"`(tests/[a-z_/.]+|test_[a-z_]+\.py)`", PROMISES)
    places = [ROOT / name if name.startswith("tests/") else ROOT / "tests" / "runtime" / name for name in named]
    assert len(places) > 20
    assert [str(place) for place in places if not place.exists()] == []


def test_every_campaign_that_is_named_is_there() -> None:
    named = {name for row in PROMISES.splitlines() for name in re.findall(r"\| `([a-z_]+)` \|$", row)}
    assert named
    assert named <= CAMPAIGNS


def test_make_campaigns_runs_all_of_them() -> None:
    made = set(re.findall(r"-m tests\.campaigns\.([a-z_]+)", (ROOT / "Makefile").read_text()))
    assert made == CAMPAIGNS
