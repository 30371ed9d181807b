"""The worker process: every projection and policy, and the sender of the search index behind them."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from commands.policies import POLICIES
from projections import ALL
from projections.search import open_sender
from runtime.api import open_platform
from runtime.platform import Platform
from runtime.settings import Settings
from runtime.supervisor import announce_ready
from runtime.telemetry import configure_logging, serve_metrics
from runtime.worker_loop import run_worker

#: A batch of facts makes many objects that live until its commit: collecting among them finds nothing and costs a
#: third of the time (announces projected per second, 12,000 to 17,000).
GC_THRESHOLD = (100_000, 20, 50)


def serve(settings: Settings) -> None:
    """Follow the log until SIGTERM or SIGINT."""
    configure_logging(settings, "worker")
    gc.set_threshold(*GC_THRESHOLD)
    stop_metrics = serve_metrics(settings, "worker")
    with open_platform(settings) as platform, _sending(platform):
        code = run_worker(platform, (*ALL, *POLICIES), started=announce_ready)
    stop_metrics()
    raise SystemExit(code)


@contextmanager
def _sending(platform: Platform) -> Iterator[None]:
    """Keep Meilisearch up to date meanwhile, if the settings name one."""
    sender = open_sender(platform.projector_pool, platform.settings)
    stop = threading.Event()
    thread = threading.Thread(target=sender.run, args=(stop,), daemon=True) if sender else None
    if thread:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if thread:
            thread.join(5)
