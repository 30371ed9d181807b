"""The worker process: every projection and policy, and the search index behind them."""

from __future__ import annotations

from commands.policies import POLICIES
from projections import ALL
from runtime.api import open_platform
from runtime.settings import Settings
from runtime.supervisor import announce_ready
from runtime.telemetry import configure_logging, serve_metrics
from runtime.worker_loop import run_worker


def serve(settings: Settings) -> None:
    """Follow the log until SIGTERM or SIGINT."""
    configure_logging(settings, "worker")
    stop_metrics = serve_metrics(settings, "worker")
    with open_platform(settings) as platform:
        run_worker(platform, (*ALL, *POLICIES), started=announce_ready)
    stop_metrics()
