"""The chain of the log in a site that came back: it goes on, ends before what went, and redactions hold."""

from __future__ import annotations

import psycopg
import pytest

from domain.base import SYSTEM
from domain.bonus import Account, AccountKind
from runtime.audit.block import PURPOSE, Block, signing_key
from runtime.audit.redactions import redact
from runtime.audit.stored import blocks
from runtime.store import new_id
from tests.audit_chain.sealed import sealed, verified
from tests.runtime.backups import Busy, OpenRestored, brought_back, owner_row

pytestmark = pytest.mark.engine


def test_a_restored_chain_goes_on_and_is_verified(busy: Busy, empty: str, opened: OpenRestored) -> None:
    """From a full backup and increments, each of which has the blocks that were sealed since."""
    sealed(busy.platform)
    busy.backup()
    for _ in range(2):
        busy.day()
        sealed(busy.platform)
        busy.backup(since_last=True)
    kept = verified(busy.platform).head
    assert kept is not None
    assert contents_of_blocks(busy.url) == kept.no
    brought_back(busy, empty)
    restored = opened(empty)
    assert verified(restored, known=[kept]).head == kept
    restored.store(SYSTEM).save(Account.open(AccountKind.BONUS, new_id()))
    assert sealed(restored) == 1
    found = verified(restored, known=[kept])
    assert (found.blocks, found.unsealed) == (kept.no + 1, 0)


def contents_of_blocks(url: str) -> int:
    with psycopg.connect(url) as connection:
        return len(list(blocks(connection)))


def test_a_chain_that_goes_back_in_time_ends_before_what_went(busy: Busy, empty: str, opened: OpenRestored) -> None:
    busy.day()
    wanted = busy.position
    busy.day()
    sealed(busy.platform)
    busy.backup()
    brought_back(busy, empty, position=wanted - 1)
    restored = opened(empty)
    found = verified(restored)
    assert 0 < found.blocks < verified(busy.platform).blocks
    assert found.unsealed > 0, "the block that the moment divides"
    assert sealed(restored) > 0
    assert verified(restored).unsealed == 0
    head = busy_head_at(busy, found.blocks)
    assert verified(restored, known=[head]).events > 0


def busy_head_at(busy: Busy, no: int) -> Block:
    with psycopg.connect(busy.url) as connection:
        return next(one for one in blocks(connection) if one.no == no)


def test_what_was_redacted_after_a_backup_is_so_again_after_a_restore(
    busy: Busy, empty: str, opened: OpenRestored
) -> None:
    sealed(busy.platform)
    busy.backup()
    (position,) = owner_row(busy.url, "SELECT min(position) FROM es.event WHERE data LIKE '%Work of person0%'")
    with psycopg.connect(busy.url, autocommit=True) as owner:
        read, key = busy.platform.history.codec.event, signing_key(busy.platform.site_key(PURPOSE))
        redact(owner, key, read, position, ["name"], "a court")
    assert verified(busy.platform).redacted == 1
    busy.day()
    busy.backup(since_last=True)
    brought_back(busy, empty)
    assert owner_row(empty, "SELECT count(*) FROM es.event WHERE data LIKE '%Work of person0%'") == (0,)
    assert verified(opened(empty)).redacted == 1
