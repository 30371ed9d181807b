"""How a command takes what may exist once, and gives it back."""

from __future__ import annotations

from uuid import UUID

from domain.claims import Claim
from domain.errors import Conflict
from runtime.store import Store


def hold(store: Store, claim_id: UUID, kind: str, holder_id: UUID, taken: Conflict) -> list[Claim]:
    """The claim, held by `holder_id`, to be saved with its holder; empty when it is held so already. Raises `taken`."""
    claim = store.find(Claim, claim_id)
    if claim is None:
        return [Claim.make(claim_id, kind, holder_id)]
    if claim.holder_id == holder_id:
        return []
    if claim.holder_id is not None:
        raise taken
    claim.retake(holder_id)
    return [claim]


def let_go(store: Store, claim_id: UUID, holder_id: UUID) -> list[Claim]:
    """The claim, released, to be saved with what held it; empty when that holds it no more."""
    claim = store.find(Claim, claim_id)
    if claim is None or claim.holder_id != holder_id:
        return []
    claim.release()
    return [claim]
