"""What has to happen because time passed: a job, again and again, for as long as a worker runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import structlog
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

#: A job that is under way at the end gets this long to finish.
STOP_S = 4.0

log = structlog.get_logger()


@contextmanager
def every(seconds: float, name: str, job: Callable[[datetime], None]) -> Iterator[None]:
    """Call `job` with the present time, at once and `seconds` after each return, in a thread; a failure is logged and
    ends nothing. Every worker does so: the job has to be one that may run twice at a time."""
    stop = threading.Event()
    thread = threading.Thread(target=_repeat, args=(seconds, name, job, stop), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(STOP_S)


def _repeat(seconds: float, name: str, job: Callable[[datetime], None], stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            job(datetime.now(UTC))
        except (OperationalError, PoolTimeout) as error:
            log.warning("job_without_database", job=name, error=repr(error)[:200])
        except Exception:
            log.exception("job_failed", job=name)
        stop.wait(seconds)
