"""Members get heads and proofs which they can check without trusting the site."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from runtime.audit.block import Block
from runtime.audit.merkle import check_consistency, root_by_inclusion
from tests.audit_chain.sealed import sealed
from tests.members import Client, Member, Members

pytestmark = pytest.mark.engine


@pytest.fixture
def ada(members: Members) -> Member:
    """A member of a site whose log is sealed in three blocks or more."""
    ada = members.join("ada")
    assert sealed(members.platform, 3) >= 3
    return ada


def head_of(said: dict[str, Any], key: str) -> Block:
    """The head as its reader has it: the signature is right."""
    block = Block.read(said)
    block.check_signature(Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)))
    return block


def hashes(said: list[str]) -> list[bytes]:
    return [bytes.fromhex(one) for one in said]


def test_heads_are_listed_newest_first_and_signed(client: Client, ada: Member) -> None:
    first = client.get(ada, "/audit/heads", limit=2).json()
    heads = [head_of(one, first["public_key"]) for one in first["items"]]
    assert heads[0].no == heads[1].no + 1
    rest = client.get(ada, "/audit/heads", limit=100, cursor=first["next_cursor"]).json()
    assert [one["no"] for one in [*first["items"], *rest["items"]]] == list(range(heads[0].no, 0, -1))
    assert heads[0].previous == heads[1].hash


@pytest.mark.parametrize("position", [1, 5, 8])
def test_a_proof_leads_from_the_leaf_to_a_signed_head(client: Client, ada: Member, position: int) -> None:
    said = client.get(ada, f"/audit/proof/{position}").json()
    head, block = head_of(said["head"], said["public_key"]), Block.read(said["block"])
    leaf = bytes.fromhex(said["leaf"])
    assert root_by_inclusion(leaf, said["index"], block.events, hashes(said["path"])) == block.root
    assert root_by_inclusion(block.hash, block.no - 1, head.no, hashes(said["tree_path"])) == head.tree
    older = client.get(ada, f"/audit/proof/{position}", head=block.no).json()
    assert Block.read(older["head"]) == block


def test_a_kept_head_is_shown_to_be_the_beginning_of_the_newest(client: Client, members: Members, ada: Member) -> None:
    kept = Block.read(client.get(ada, "/audit/heads", limit=1).json()["items"][0])
    members.join("bob")
    sealed(members.platform)
    said = client.get(ada, "/audit/consistency", first=kept.no).json()
    new = Block.read(said["second"])
    assert new.no > kept.no
    check_consistency(kept.no, new.no, kept.tree, new.tree, hashes(said["proof"]))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/audit/proof/0", 404),
        ("/audit/proof/4611686018427387904", 404),
        ("/audit/proof/1?head=99999", 422),
        ("/audit/proof/5?head=1", 422),
        ("/audit/proof/x", 404),
        ("/audit/proof/-1", 404),
        ("/audit/proof/1?head=0", 422),
        ("/audit/consistency", 422),
        ("/audit/consistency?first=99999", 422),
        ("/audit/consistency?first=2&second=1", 422),
    ],
)
def test_what_is_not_there_is_refused(client: Client, ada: Member, path: str, status: int) -> None:
    answer = client.api.get(f"/api/v1{path}", headers=ada.headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_before_anything_is_sealed_there_is_no_head(client: Client, members: Members) -> None:
    ada = members.join("ada")
    assert client.get(ada, "/audit/heads").json()["items"] == []
    assert client.get(ada, "/audit/proof/1").status_code == 404
    assert client.get(ada, "/audit/consistency", first=1).status_code == 422
    assert client.api.get("/api/v1/audit/heads").status_code == 401
