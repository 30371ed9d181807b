"""How blocks follow one another: the same rules for whoever has the database and for whoever has a file of heads."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from runtime.audit.block import GENESIS, BadSignature, Block
from runtime.audit.merkle import Frontier


class Tampered(Exception):
    """The log is not what was sealed; `position` is the first place where it differs, if it has one."""

    def __init__(self, position: int | None, what: str) -> None:
        super().__init__(what if position is None else f"position {position}: {what}")
        self.position = position


class Chain:
    """Takes blocks in order and raises `Tampered` at the first that does not belong there."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self._frontier = Frontier()
        self.last: Block | None = None

    @property
    def total(self) -> int:
        """Events of the blocks so far."""
        return self.last.total if self.last else 0

    def take(self, block: Block) -> list[bytes]:
        """The nodes of the tree that this block completes."""
        last, position = self.last, block.first_position
        no, total, previous = (last.no, last.total, last.hash) if last else (0, 0, GENESIS)
        follows = (block.no, block.total, block.previous) == (no + 1, total + block.events, previous)
        if last:
            follows = follows and block.first_position > last.last_position
            position = last.last_position + 1
        if not follows:
            raise Tampered(position, f"block {no + 1} does not follow block {no}")
        nodes = self._frontier.append(block.hash)
        if self._frontier.root != block.tree:
            raise Tampered(position, f"block {block.no} is not in the tree")
        try:
            block.check_signature(self._key)
        except BadSignature:
            raise Tampered(position, f"block {block.no} was not signed with this key") from None
        self.last = block
        return nodes
