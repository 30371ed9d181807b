"""A member asks for everything that the site knows, and gets it."""

from __future__ import annotations

from domain.exports import Export
from tests.history.past import NOW, Past


def tell(past: Past) -> None:
    for user in past.users:
        export = Export.open(user.id)
        export.request()
        past.save(export, actor=user.id)
        export.built(4711, now=NOW)
        past.save(export)
