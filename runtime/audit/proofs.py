"""Proofs for members to check: an event is in the log that was signed, one signed log goes on from another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from domain.errors import Malformed, NotFound
from runtime.audit import merkle
from runtime.audit.block import Block, records
from runtime.audit.merkle import BadProof, root_by_inclusion
from runtime.audit.stored import BLOCK, Nodes, block, last_block


class NotSealed(NotFound):
    """There is no event at this position, or it is in no block yet."""

    code = "not_found"


class NoSuchHead(Malformed):
    """The log has no head of that number."""


class HeadTooOld(Malformed):
    """The head was signed before the event was sealed, or before the other head."""


@dataclass(frozen=True)
class Inclusion:
    """The event's leaf is at `index` of its block, and the block in the tree of the head."""

    position: int
    leaf: bytes
    index: int
    block: Block
    path: list[bytes]
    tree_path: list[bytes]
    head: Block


def prove(connection: Connection[Any], position: int, head_no: int | None = None) -> Inclusion:
    """That the event is in the log of that head, or of the newest. Raises `NotSealed`, `NoSuchHead`, `HeadTooOld`."""
    with connection.cursor(row_factory=class_row(Block)) as cursor:
        of = cursor.execute(
            f"SELECT {BLOCK} FROM es.block WHERE last_position >= %s ORDER BY last_position LIMIT 1", (position,)
        ).fetchone()
    sealed = dict[int, int]()
    leaves: Sequence[bytes] = ()
    if of is not None:
        row = connection.execute("SELECT leaves FROM es.block WHERE no = %s", (of.no,)).fetchone()
        assert row is not None
        positions, leaves = zip(*records(row[0]), strict=True)
        sealed = {place: index for index, place in enumerate(positions)}
    if of is None or position not in sealed:
        raise NotSealed("there is no sealed event at this position")
    head = head_of(connection, head_no)
    if head.no < of.no:
        raise HeadTooOld("the event was sealed after this head")
    index = sealed[position]
    path = merkle.inclusion(_within(leaves), index, len(leaves))
    return Inclusion(
        position, leaves[index], index, of, path, merkle.inclusion(Nodes(connection), of.no - 1, head.no), head
    )


def check(proof: Inclusion) -> None:
    """Raises `BadProof` unless leaf, block and head belong together; whether the head is signed is another question."""
    within = root_by_inclusion(proof.leaf, proof.index, proof.block.events, proof.path)
    if within != proof.block.root:
        raise BadProof("the leaf is not in the block")
    if root_by_inclusion(proof.block.hash, proof.block.no - 1, proof.head.no, proof.tree_path) != proof.head.tree:
        raise BadProof("the block is not in the tree of the head")


def consistent(connection: Connection[Any], old: int, new: int | None = None) -> tuple[Block, Block, list[bytes]]:
    """Both heads, and the proof that the newer log begins with the older one. Raises `NoSuchHead`, `HeadTooOld`."""
    first, second = head_of(connection, old), head_of(connection, new)
    if second.no < first.no:
        raise HeadTooOld("name the older head first")
    return first, second, merkle.consistency(Nodes(connection), first.no, second.no)


def head_of(connection: Connection[Any], no: int | None) -> Block:
    """The head of that number, or the newest. Raises `NoSuchHead`."""
    found = last_block(connection) if no is None else block(connection, no)
    if found is None:
        raise NoSuchHead("there is no such head")
    return found


def _within(leaves: Sequence[bytes]) -> merkle.Node:
    return lambda level, index: merkle.root(leaves[index << level : (index + 1) << level])
