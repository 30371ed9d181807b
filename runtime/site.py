"""The platform with what this site has: its events, projections and policies."""

from __future__ import annotations

from domain import EVENTS
from projections import ALL
from runtime.platform import Platform
from runtime.settings import Settings


def open_platform(settings: Settings) -> Platform:
    """With every follower of the site."""
    # Policies decide by commands, and these are routes: importing them takes twice as long as everything else here.
    from commands.policies import POLICIES

    return Platform(settings, EVENTS, (*ALL, *POLICIES))


def open_projections(settings: Settings) -> Platform:
    """With the projections alone: for who reads the log and makes tables of it, but issues no commands."""
    return Platform(settings, EVENTS, ALL)
