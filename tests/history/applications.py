"""Of five applications two are approved, two rejected, one is open."""

from __future__ import annotations

from uuid import uuid4

from domain.applications import Application
from tests.history.past import Past


def tell(past: Past) -> None:
    for n in range(5):
        links = ["https://example.org/profile", "https://example.org/ratio"][:n]
        application = Application.file(uuid4(), uuid4(), f"stranger{n}@example.org", "I seed for years. " * 5, links)
        if n < 2:
            application.approve(uuid4())
        elif n < 4:
            application.reject("tell us more")
        past.save(application)
