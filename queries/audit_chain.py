"""Is the log what it was? Heads that the site signed, and proofs against them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from psycopg.rows import class_row
from pydantic import BaseModel, Field

from runtime.audit.block import PURPOSE, Block, public_key
from runtime.audit.proofs import consistent, prove
from runtime.audit.stored import BLOCK
from runtime.http.body import StrictRoute
from runtime.http.deps import Member, PlatformDep, ReadDb
from runtime.http.pages import Page, PageDep
from runtime.http.types import AS_TEXT

router = APIRouter(prefix="/api/v1/audit", tags=["audit"], route_class=StrictRoute)

#: Any other text in its place names nothing, as in every path.
_POSITION = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
#: Heads are numbered from 1.
HeadNo = Annotated[int, Field(ge=1, le=2**63 - 1), AS_TEXT]


class HeadShown(BaseModel):
    """A block of the log and the head that was signed with it, as docs/audit-chain.md explains; bytes are in hex."""

    no: int
    first_position: int
    last_position: int
    events: int
    total: int
    root: str
    previous: str
    tree: str
    sealed_at: datetime
    signature: str
    hash: str


class HeadsShown(Page[HeadShown]):
    """`public_key` is the Ed25519 key (RFC 8032) that signs: keep it where the site cannot change it."""

    public_key: str


class ProofShown(BaseModel):
    """`leaf` is at `index` of the block by `path`, and the block in the head's tree by `tree_path` (RFC 9162)."""

    position: int
    leaf: str
    index: int
    block: HeadShown
    path: list[str]
    tree_path: list[str]
    head: HeadShown
    public_key: str


class ConsistencyShown(BaseModel):
    """`proof` shows that the tree of `second` begins with that of `first` (RFC 9162 section 2.1.4)."""

    first: HeadShown
    second: HeadShown
    proof: list[str]


@router.get("/heads")
def list_audit_heads(member: Member, db: ReadDb, page: PageDep, platform: PlatformDep) -> HeadsShown:
    """What the site has signed about its log, newest first: who keeps one can tell later whether anything changed."""
    seen = page.after("audit heads")
    found = (
        db.cursor(row_factory=class_row(Block))
        .execute(
            f"SELECT {BLOCK} FROM es.block WHERE %(seen)s::bigint IS NULL OR no < %(seen)s"
            " ORDER BY no DESC LIMIT %(limit)s",
            {"seen": seen[0] if seen else None, "limit": page.fetch},
        )
        .fetchall()
    )
    heads = page.page("audit heads", [_shown(one) for one in found], lambda head: [head.no])
    return HeadsShown(items=heads.items, next_cursor=heads.next_cursor, public_key=_key(platform))


@router.get("/proof/{position}")
def get_audit_proof(
    position: str,
    member: Member,
    db: ReadDb,
    platform: PlatformDep,
    head: Annotated[HeadNo | None, Query(description="number of a head that you know; the newest unless given")] = None,
) -> ProofShown:
    """That the event at this position is in the log that the head stands for, without showing the event."""
    proof = prove(db, int(position) if _POSITION.fullmatch(position) else 0, head)
    return ProofShown(
        position=proof.position,
        leaf=proof.leaf.hex(),
        index=proof.index,
        block=_shown(proof.block),
        path=[one.hex() for one in proof.path],
        tree_path=[one.hex() for one in proof.tree_path],
        head=_shown(proof.head),
        public_key=_key(platform),
    )


@router.get("/consistency")
def get_audit_consistency(
    member: Member,
    db: ReadDb,
    first: Annotated[HeadNo, Query(description="number of the older head")],
    second: Annotated[HeadNo | None, Query(description="of the newer one; the newest unless given")] = None,
) -> ConsistencyShown:
    """That the log of the newer head goes on from that of the older one, with nothing changed in it."""
    old, new, proof = consistent(db, first, second)
    return ConsistencyShown(first=_shown(old), second=_shown(new), proof=[one.hex() for one in proof])


def _shown(block: Block) -> HeadShown:
    return HeadShown.model_validate(block.described())


def _key(platform: PlatformDep) -> str:
    return public_key(platform.site_key(PURPOSE)).hex()
