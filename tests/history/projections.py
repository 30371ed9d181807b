"""An operator has read tables made anew, and as of a moment."""

from __future__ import annotations

from uuid import uuid4

from domain.projections import Action, Intervention
from tests.history.past import Past


def tell(past: Past) -> None:
    past.save(Intervention.make(uuid4(), Action.REBUILD, ["users", "torrents"]))
    past.save(Intervention.make(uuid4(), Action.PAST, ["users"], schema="then", upto=7))
