"""Who stole a refresh token never outlives an access token, and whoever owns it is never signed out by its own tabs."""

from __future__ import annotations

import random

import pytest

from runtime.platform import Platform
from tests.auth.refresh_theft import thefts

pytestmark = pytest.mark.engine


def test_a_hundred_interleavings_of_victim_and_thief(platform: Platform) -> None:
    """1,000 and more are a campaign: `python -m tests.campaigns.refresh_theft`."""
    seen = thefts(platform, random.randrange(10**6), 100)
    for needed in ("thief new", "thief same", "thief reused", "tab same", "tab reused", "tab refused", "logout"):
        assert seen[needed], f"no interleaving had it: {needed}"
