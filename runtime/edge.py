"""The announce edge's process."""

from __future__ import annotations

import uvloop

from runtime.api import open_platform
from runtime.settings import Settings
from runtime.supervisor import announce_ready
from runtime.telemetry import configure_logging, serve_metrics
from tracker_edge import process


def serve(settings: Settings) -> None:
    """Answer announces until SIGTERM or SIGINT."""
    configure_logging(settings, "edge")
    stop_metrics = serve_metrics(settings, "edge")
    with open_platform(settings) as platform:
        code = uvloop.run(process.serve(settings, platform, ready=announce_ready))
    stop_metrics()
    raise SystemExit(code)
