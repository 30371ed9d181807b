"""The announce edge's process."""

from __future__ import annotations

import sys

import structlog
import uvloop

from runtime.settings import Settings
from runtime.site import open_platform
from runtime.supervisor import announce_ready
from runtime.telemetry import configure_logging, serve_metrics
from tracker_edge import compiled


def serve(settings: Settings) -> None:
    """Answer announces until SIGTERM or SIGINT."""
    configure_logging(settings, "edge")
    reason = compiled.use()
    # Not before: what is imported already stays as it was.
    from tracker_edge import process
    from tracker_edge.journal import JournalDamaged

    structlog.get_logger().info("edge_code", compiled=reason is None, reason=reason)
    stop_metrics = serve_metrics(settings, "edge")
    try:
        with open_platform(settings) as platform:
            code = uvloop.run(process.serve(settings, platform, ready=announce_ready))
    except JournalDamaged as error:
        sys.exit(f"tracker: {settings.data_dir / 'edge' / settings.edge.id}: {error}")
    stop_metrics()
    raise SystemExit(code)
