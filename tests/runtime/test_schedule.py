"""Jobs that time brings about: again and again, whatever one run does, until the end."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import psycopg

from runtime.schedule import every


def test_a_job_runs_again_with_the_present_time_although_it_failed() -> None:
    seen: list[datetime] = []
    enough = threading.Event()
    failures = [ValueError("a mistake of ours"), psycopg.OperationalError("the database is away")]

    def job(now: datetime) -> None:
        seen.append(now)
        if failures:
            raise failures.pop()
        enough.set()

    before = datetime.now(UTC)
    with every(0.001, "job", job):
        assert enough.wait(10)
    assert seen[0] >= before
    assert seen == sorted(seen)


def test_a_job_under_way_ends_and_none_begins_afterwards() -> None:
    begun, go, ended = threading.Event(), threading.Event(), []

    def job(now: datetime) -> None:
        begun.set()
        go.wait(10)
        ended.append(now)

    with every(3600, "job", job):
        assert begun.wait(10)
        go.set()
    assert len(ended) == 1
    assert "job" not in {thread.name for thread in threading.enumerate()}
