"""What can become of a rebuild besides new tables."""

from __future__ import annotations

from domain.errors import Conflict


class RebuildRunning(Conflict):
    """Somebody else is rebuilding or verifying this projection now."""


class RebuildFailed(Conflict):
    """A fact could not be handled, or the tables could not be had; the live tables are as they were."""


class RebuildCancelled(RebuildFailed):
    """Somebody asked for its end."""


class NoRun(RebuildFailed):
    """There is nothing to pause, go on with or cancel."""


class NoStandby(RebuildFailed):
    """There are no tables of before a rebuild, or they are of another shape than the live ones."""
