"""Checks an export of the events against the heads that the site signed: no database, no settings, no site.

What it needs are three things that a member can hold: the NDJSON files of `tracker events export`, the file of
`tracker audit heads`, and the site's public key, best kept since before there was any doubt.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from runtime.audit.block import BadSignature, Block, check
from runtime.audit.chain import Chain, Tampered
from runtime.audit.leaf import Header
from runtime.audit.merkle import root
from runtime.audit.redactions import Redaction


class BadHeads(Exception):
    """The file is none of `tracker audit heads`; `str(error)` is one line."""


@dataclass
class Heads:
    """The contents of a file of heads."""

    blocks: list[Block] = field(default_factory=list)
    redactions: dict[int, Redaction] = field(default_factory=dict)


@dataclass
class Checked:
    """What was found to be as it was sealed; of `contents` the data was in the export, of others its hash only."""

    blocks: int = 0
    events: int = 0
    contents: int = 0
    redacted: int = 0
    unsealed: int = 0


def head_lines(blocks: Iterable[Block], redactions: Iterable[Redaction], key: str) -> Iterator[str]:
    """A file of heads, line by line."""
    yield json.dumps({"public_key": key})
    for block in blocks:
        yield json.dumps(block.described())
    for one in redactions:
        said = {name: value.hex() if isinstance(value, bytes) else value for name, value in asdict(one).items()}
        yield json.dumps({"redaction": {**said, "redacted_at": one.redacted_at.isoformat()}})


def read_heads(path: Path) -> Heads:
    """Raises `BadHeads`."""
    heads = Heads()
    try:
        for line in path.read_text().splitlines():
            said = json.loads(line)
            if "no" in said:
                heads.blocks.append(Block.read(said))
            elif "redaction" in said:
                one = _redaction(said["redaction"])
                heads.redactions[one.position] = one
            elif said.keys() != {"public_key"}:  # which only the reader can vouch for
                raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadHeads(f"{path} is not a file of heads") from None
    except OSError as error:
        raise BadHeads(f"{path}: {error.strerror}") from None
    return heads


def check_export(directory: Path, heads_file: Path, public_key: str) -> Checked:
    """Compares every event of the export with the chain. Raises `Tampered`, `BadHeads`."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
    except ValueError:
        raise BadHeads("the public key is 64 hexadecimal digits") from None
    heads = read_heads(heads_file)
    return check_rows(_rows(directory), heads, key)


def check_rows(rows: Iterable[Mapping[str, Any]], heads: Heads, key: Ed25519PublicKey) -> Checked:
    """The same for rows from anywhere, in the order of their positions. Raises `Tampered`."""
    _check_redactions(heads, key)
    checked, chain, coming = Checked(redacted=len(heads.redactions)), Chain(key), iter(rows)
    for block in heads.blocks:
        position = chain.last.last_position + 1 if chain.last else block.first_position
        chain.take(block)
        leaves = [_leaf(row, heads, checked) for row in islice(coming, block.events)]
        if len(leaves) < block.events or root(leaves) != block.root:
            raise Tampered(position, f"the events of block {block.no} are not those that were sealed")
        checked.blocks, checked.events = block.no, chain.total
    for row in coming:
        if chain.last and row["position"] <= chain.last.last_position:
            raise Tampered(row["position"], "the event was not there when the log was sealed")
        checked.unsealed += 1
    return checked


def _check_redactions(heads: Heads, key: Ed25519PublicKey) -> None:
    for one in heads.redactions.values():
        try:
            check(key, one.signature, one.statement)
        except BadSignature:
            raise Tampered(one.position, "its redaction was not signed with this key") from None


def _leaf(row: Mapping[str, Any], heads: Heads, checked: Checked) -> bytes:
    """The leaf that the row would have had, if it is what it says."""
    position, data_sha256 = row["position"], bytes.fromhex(row["data_sha256"])
    data = row.get("data")
    if data is not None and sha256(data.encode()).digest() != data_sha256:
        raise Tampered(position, "its data is not that of its hash")
    checked.contents += data is not None
    redaction = heads.redactions.get(position)
    if redaction and redaction.data_sha256 == data_sha256:
        data_sha256 = redaction.original_sha256
    return Header(
        position,
        datetime.fromisoformat(row["recorded_at"]),
        UUID(row["stream_id"]),
        row["version"],
        row["part"],
        row["schema_version"],
        UUID(row["event_id"]),
        UUID(row["command_id"]),
        UUID(row["correlation_id"]),
        UUID(row["causation_id"]),
        UUID(row["actor_id"]),
        data_sha256,
        row["topic"],
        row["origin"],
    ).leaf


def _rows(directory: Path) -> Iterator[dict[str, Any]]:
    try:
        names = [file["name"] for file in json.loads((directory / "manifest.json").read_text())["files"]]
        for name in names:
            with (directory / name).open() as file:
                yield from map(json.loads, file)
    except (OSError, ValueError, KeyError, TypeError):
        raise BadHeads(f"{directory} is no export of events as NDJSON") from None


def _redaction(said: dict[str, Any]) -> Redaction:
    return Redaction(
        said["position"],
        bytes.fromhex(said["original_sha256"]),
        bytes.fromhex(said["data_sha256"]),
        said["fields"],
        said["reason"],
        datetime.fromisoformat(said["redacted_at"]),
        bytes.fromhex(said["signature"]),
    )
