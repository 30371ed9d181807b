"""Two who are not let in are forgotten in time."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from domain.applications import Application
from domain.erasures import Erasure
from tests.history.past import NOW, Past


def tell(past: Past) -> None:
    for n in range(2):
        filed = Application.file(uuid4(), uuid4(), f"never{n}@example.org", "Let me in, I seed for years. " * 5, [])
        filed.reject("not this time")
        forgotten = Erasure.of_stranger(filed.applicant_id, (NOW - timedelta(days=90),), 90, now=NOW)
        forgotten.complete()
        past.save(filed)
        past.save(forgotten)
