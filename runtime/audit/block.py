"""A block of the chain, and the statement that is signed with it: how large the log is, and the root of its tree."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from runtime.audit.merkle import leaf_hash

#: What the first block follows.
GENESIS = bytes(32)
#: Of an event in a block's `leaves`: its position, its leaf.
RECORD = struct.Struct(">q32s")
#: What the key that signs is derived for.
PURPOSE = "audit chain signatures"

_HASHED = struct.Struct(">qqqiq32s32s")


class BadSignature(Exception):
    """The site's key did not sign this."""


@dataclass(frozen=True, slots=True)
class Block:
    """So many events in the order of the log, and with them the head of the tree that they make grow."""

    no: int
    first_position: int
    last_position: int
    events: int
    total: int  # events of all blocks up to this one
    root: bytes  # over the leaves of its events
    previous: bytes  # hash of the block before
    tree: bytes  # root over the hashes of all blocks up to this one
    sealed_at: datetime
    signature: bytes = b""

    @property
    def hash(self) -> bytes:
        """Its leaf in the tree of blocks."""
        numbers = self.no, self.first_position, self.last_position, self.events, self.total
        return leaf_hash(_HASHED.pack(*numbers, self.root, self.previous))

    @property
    def statement(self) -> bytes:
        """What is signed."""
        at = self.sealed_at.astimezone(UTC).isoformat(timespec="microseconds")
        lines = "tracker audit head 1", self.no, self.last_position, self.total, self.tree.hex(), at
        return "".join(f"{line}\n" for line in lines).encode()

    def check_signature(self, key: Ed25519PublicKey) -> None:
        """Raises `BadSignature`."""
        check(key, self.signature, self.statement)

    def described(self) -> dict[str, Any]:
        """As JSON has it; hashes and the signature in hex."""
        said = {name: getattr(self, name) for name in self.__slots__}
        plain = {name: value.hex() if isinstance(value, bytes) else value for name, value in said.items()}
        at = self.sealed_at.astimezone(UTC).isoformat(timespec="microseconds")
        return {**plain, "hash": self.hash.hex(), "sealed_at": at}

    @classmethod
    def read(cls, said: dict[str, Any]) -> Self:
        """What `described` said. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        return cls(
            no=int(said["no"]),
            first_position=int(said["first_position"]),
            last_position=int(said["last_position"]),
            events=int(said["events"]),
            total=int(said["total"]),
            root=bytes.fromhex(said["root"]),
            previous=bytes.fromhex(said["previous"]),
            tree=bytes.fromhex(said["tree"]),
            sealed_at=datetime.fromisoformat(said["sealed_at"]),
            signature=bytes.fromhex(said["signature"]),
        )


def signing_key(seed: bytes) -> Ed25519PrivateKey:
    """The site's key; `seed` is `Platform.site_key(PURPOSE)`."""
    return Ed25519PrivateKey.from_private_bytes(seed)


def public_key(seed: bytes) -> bytes:
    """What anybody checks the site's signatures with, in 32 bytes."""
    return signing_key(seed).public_key().public_bytes_raw()


def check(key: Ed25519PublicKey, signature: bytes, statement: bytes) -> None:
    """Raises `BadSignature`."""
    try:
        key.verify(signature, statement)
    except InvalidSignature:
        raise BadSignature from None


def records(leaves: bytes) -> Iterator[tuple[int, bytes]]:
    """Position and leaf of each event."""
    return RECORD.iter_unpack(leaves)
