"""The log cannot be changed unseen, not even by whoever holds the whole database but not the site's secrets."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.bonus import Account, AccountKind
from domain.categories import Category
from runtime.append_only import changeable
from runtime.audit import redactions
from runtime.audit.block import PURPOSE, Block, signing_key
from runtime.audit.chain import Tampered
from runtime.audit.leaf import Header
from runtime.audit.merkle import BadProof, Frontier, check_consistency
from runtime.audit.proofs import HeadTooOld, NoSuchHead, NotSealed, check, consistent, prove
from runtime.audit.redactions import RedactionRefused, redact
from runtime.audit.seal import EVENTS_PER_BLOCK, make_block, seal
from runtime.audit.stored import BEGINNING, Nodes, blocks, last_block, records
from runtime.audit.verify import verify_journals
from runtime.platform import Platform
from runtime.store import new_id
from runtime.telemetry import LOG_UNSEALED
from tests.audit_chain.sealed import Owner, found_after, positions, sealed, tamper, verified
from tests.conftest import MakePlatform
from tests.given import ACTOR, Given, rows_of
from tests.history import write_history
from tests.runtime.notes import KINDS, Note, create_tables

pytestmark = pytest.mark.engine


@pytest.fixture
def notes_of(make_platform: MakePlatform, owner: Owner) -> Platform:
    """Some forty events, with the gaps that refused commands leave in the positions."""
    create_tables(owner)
    notes = make_platform(KINDS)
    given = Given(notes)
    for number in range(13):
        note = Note.open(new_id(), author=f"Author {number}")
        note.add_line(number)
        note.close()
        given.aggregates(note)
        if number % 4 == 0:
            owner.execute("SELECT nextval('es.position')")
    return notes


def test_every_event_of_a_whole_history_is_sealed_and_verified(platform: Platform, owner: Owner) -> None:
    write_history(platform)
    there = positions(owner)
    assert sealed(platform) == -(-len(there) // 10)
    found = verified(platform)
    assert (found.events, found.unsealed, found.redacted) == (len(there), 0, 0)
    assert sealed(platform) == 0, "nothing is sealed twice"
    verify_journals(owner)


def test_the_leaf_is_the_same_without_a_database(platform: Platform, owner: Owner) -> None:
    write_history(platform)
    rows = owner.execute(
        "SELECT position, recorded_at, stream_id, version, part, schema_version, event_id, command_id, correlation_id,"
        " causation_id, actor_id, sha256(data), t.name, origin FROM es.event e JOIN es.event_type t ON t.id = e.type"
        " ORDER BY position"
    ).fetchall()
    stored = records(owner, BEGINNING, 2**62)
    assert b"".join(row[0].to_bytes(8, "big") + Header(*row).leaf for row in rows) == stored


def test_a_block_waits_for_its_events_or_for_its_time(notes_of: Platform, owner: Owner) -> None:
    key = signing_key(notes_of.site_key(PURPOSE))
    assert seal(notes_of.projector_pool, key) == 0, "39 events, some milliseconds old"
    assert seal(notes_of.projector_pool, key, at_most=20) == 1, "a full block does not wait"
    with owner.transaction(), changeable(owner, "es.event"):
        owner.execute("UPDATE es.event SET recorded_at = recorded_at - interval '61 s'")
    assert seal(notes_of.projector_pool, key) == 1
    assert [one.events for one in blocks(owner)] == [20, 19]
    assert EVENTS_PER_BLOCK <= 1000


def test_how_long_events_wait_for_a_signature_is_told(notes_of: Platform, owner: Owner) -> None:
    def told() -> float:
        seal(notes_of.projector_pool, signing_key(notes_of.site_key(PURPOSE)), after=timedelta(days=1))
        (metric,) = LOG_UNSEALED.collect()
        return float(metric.samples[0].value)

    with owner.transaction(), changeable(owner, "es.event"):
        owner.execute("UPDATE es.event SET recorded_at = recorded_at - interval '1000 s'")
    assert 1000 <= told() < 2000
    sealed(notes_of)
    assert told() == 0


def test_what_is_not_committed_yet_is_not_passed_over(notes_of: Platform, database: str, owner: Owner) -> None:
    """A block ends before the oldest append that is under way: its events come into the next one."""
    stored = [notes_of.history.codec.to_stored_event(e) for e in Note.open(new_id()).collect_events()]
    store = Given(notes_of).store
    with psycopg.connect(database) as slow:
        notes_of.history.types._append(slow.cursor(), stored, store.metadata, b"")
        Given(notes_of).aggregates(Note.open(new_id()))
        sealed(notes_of)
        head = last_block(owner)
        assert head is not None
        assert head.total == 39
    assert sealed(notes_of) == 1
    assert verified(notes_of).events == 41


def test_two_sealers_at_once_make_one_chain(notes_of: Platform) -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: sealed(notes_of, 2), range(8)))
    assert sum(made) == 20
    assert verified(notes_of).blocks == 20


@pytest.fixture
def chained(notes_of: Platform) -> Platform:
    sealed(notes_of)
    return notes_of


def test_any_tampering_is_named_by_its_first_position(chained: Platform, owner: Owner) -> None:
    """Fifty random ones; `tests.campaigns.tampering` has a thousand."""
    head = verified(chained).head
    assert head is not None
    for seed in range(50):
        change = partial(tamper, owner, Random(seed), head.last_position)
        (what, position), named = found_after(chained, owner, change)
        assert (seed, what, named) == (seed, what, position)
    assert verified(chained).head == head


CHANGED_BLOCKS = [
    "UPDATE es.block SET leaves = set_byte(leaves, 50, get_byte(leaves, 50) # 1) WHERE no = 2",
    "UPDATE es.block SET root = set_byte(root, 3, get_byte(root, 3) # 1) WHERE no = 2",
    "UPDATE es.block SET nodes = set_byte(nodes, 3, get_byte(nodes, 3) # 1) WHERE no = 2",
    "UPDATE es.block SET tree = set_byte(tree, 3, get_byte(tree, 3) # 1) WHERE no = 2",
    "UPDATE es.block SET previous = set_byte(previous, 3, get_byte(previous, 3) # 1) WHERE no = 2",
    "UPDATE es.block SET signature = set_byte(signature, 3, get_byte(signature, 3) # 1) WHERE no = 2",
    "UPDATE es.block SET sealed_at = sealed_at + interval '1 microsecond' WHERE no = 2",
    "UPDATE es.block SET total = total + 1 WHERE no = 2",
    "UPDATE es.block SET first_position = first_position + 1 WHERE no = 2",
    "UPDATE es.block SET last_position = last_position - 1 WHERE no = 2",
    "DELETE FROM es.block WHERE no = 2",
    "DELETE FROM es.event WHERE position = (SELECT first_position FROM es.block WHERE no = 2);"
    "UPDATE es.block SET events = events - 1, leaves = substring(leaves FROM 41) WHERE no = 2",
]


def test_a_changed_block_is_named_by_its_first_position(chained: Platform, owner: Owner) -> None:
    (first,) = owner.execute("SELECT last_position + 1 FROM es.block WHERE no = 1").fetchone() or (0,)
    for change in CHANGED_BLOCKS:
        assert found_after(chained, owner, partial(owner.execute, change.encode()))[1] == first, change


def test_a_chain_made_anew_is_not_signed(chained: Platform, owner: Owner) -> None:
    """Whoever holds the database alone can hash whatever there is, but has not the site's key."""
    with owner.transaction(), changeable(owner, "es.event", "es.block"):
        owner.execute("UPDATE es.event SET origin = 'nobody' WHERE position = (SELECT min(position) FROM es.event)")
        owner.execute("DELETE FROM es.block")
    seal(chained.projector_pool, Ed25519PrivateKey.generate(), after=timedelta(0), at_most=10)
    with pytest.raises(Tampered, match="not signed"):
        verified(chained)


def test_a_log_that_was_cut_off_and_sealed_anew_is_not_that_of_a_kept_head(chained: Platform, owner: Owner) -> None:
    """Even with the site's key: whoever kept a head has another one."""
    kept = [head for head in [last_block(owner)] if head]
    with owner.transaction(), changeable(owner, "es.event", "es.block"):
        owner.execute("DELETE FROM es.event WHERE position = (SELECT max(position) FROM es.event)")
        owner.execute("DELETE FROM es.block WHERE no = %s", (kept[0].no,))
    Given(chained).aggregates(Note.open(new_id()))
    sealed(chained)
    assert verified(chained).head != kept[0]
    with pytest.raises(Tampered, match="does not go on from the kept head"):
        verified(chained, known=kept)


def test_a_kept_head_that_the_site_did_not_sign_is_no_evidence(chained: Platform, owner: Owner) -> None:
    head = last_block(owner)
    assert head is not None
    assert verified(chained, known=[head]).head == head
    records_of = records(owner, BEGINNING, 2**62)
    forged, _ = make_block(Frontier(), None, records_of, datetime.now(UTC), Ed25519PrivateKey.generate())
    with pytest.raises(Tampered, match="kept head 1 was not signed"):
        verified(chained, known=[forged])


def test_every_event_is_proved_in_every_later_head(chained: Platform, owner: Owner) -> None:
    heads = list(blocks(owner))
    for position in positions(owner):
        for head in heads:
            if head.last_position < position:
                with pytest.raises(HeadTooOld):
                    prove(owner, position, head.no)
            else:
                proof = prove(owner, position, head.no)
                assert proof.head == head
                check(proof)


def test_a_proof_of_another_event_proves_nothing(chained: Platform, owner: Owner) -> None:
    first, second = (prove(owner, position) for position in positions(owner)[:2])
    for wrong in (
        dataclasses.replace(first, leaf=second.leaf),
        dataclasses.replace(first, index=second.index),
        dataclasses.replace(first, block=prove(owner, positions(owner)[-1]).block),
    ):
        with pytest.raises(BadProof):
            check(wrong)


def test_a_position_without_a_sealed_event_has_no_proof(chained: Platform, owner: Owner) -> None:
    there = positions(owner)
    gap = next(place for place in range(there[0], there[-1]) if place not in there)
    fresh = Given(chained).aggregates(Note.open(new_id()))
    for position in (0, gap, fresh, 2**62):
        with pytest.raises(NotSealed):
            prove(owner, position)
    with pytest.raises(NoSuchHead):
        prove(owner, there[0], 99)


def test_any_two_heads_are_consistent(chained: Platform, owner: Owner) -> None:
    heads = list(blocks(owner))
    for old in heads:
        for new in heads[old.no - 1 :]:
            first, second, proof = consistent(owner, old.no, new.no)
            assert (first, second) == (old, new)
            check_consistency(old.no, new.no, old.tree, new.tree, proof)
    with pytest.raises(HeadTooOld):
        consistent(owner, 2, 1)


def test_the_tree_is_kept_in_its_nodes(chained: Platform, owner: Owner) -> None:
    found = list(blocks(owner))
    assert Frontier(len(found), Nodes(owner)).root == found[-1].tree


def test_an_erased_person_leaves_the_chain_whole(chained: Platform, owner: Owner) -> None:
    """What is hashed is ciphertext: destroying its key changes no byte of it."""
    before = verified(chained).head
    destroyed = owner.execute("UPDATE keys.subject SET wrapped_key = NULL, destroyed_at = now()").rowcount
    assert destroyed >= 13
    assert verified(chained).head == before


class Redacting:
    """A category's name is text of no person, so it stands in clear in the log."""

    def __init__(self, platform: Platform, owner: Owner) -> None:
        self.platform, self.owner = platform, owner
        self.position = Given(platform).aggregates(Category.define("maps", "Maps", None, 1))

    def redact(self, *fields: str, key: Ed25519PrivateKey | None = None) -> redactions.Redaction:
        of_site = signing_key(self.platform.site_key(PURPOSE))
        read = self.platform.history.codec.event
        return redact(self.owner, key or of_site, read, self.position, fields or ("name",), "ordered by a court")


@pytest.fixture
def redacting(platform: Platform, owner: Owner) -> Redacting:
    return Redacting(platform, owner)


def text_of(owner: Owner, position: int) -> str:
    (field,) = owner.execute(
        "SELECT k FROM es.event, LATERAL jsonb_each(convert_from(data, 'UTF8')::jsonb) AS f (k, v)"
        " WHERE position = %s AND jsonb_typeof(v) = 'string' AND k <> 'timestamp' LIMIT 1",
        (position,),
    ).fetchone() or ("",)
    return str(field)


@pytest.mark.parametrize("after", [True, False], ids=["sealed before", "sealed after"])
def test_a_declared_redaction_is_no_tampering(redacting: Redacting, owner: Owner, *, after: bool) -> None:
    platform, position = redacting.platform, redacting.position
    if after:
        sealed(platform)
    original = rows_of(platform, "SELECT data FROM es.event WHERE position = %s", [position])[0][0]
    leaf_before = prove(owner, position).leaf if after else records(owner, position - 1, position)[8:]
    done = redacting.redact(text_of(owner, position))
    sealed(platform)
    assert verified(platform).redacted == 1
    assert prove(owner, position).leaf == leaf_before
    data = rows_of(platform, "SELECT data FROM es.event WHERE position = %s", [position])[0][0]
    assert data != original
    assert redactions.REDACTED.encode() in data
    assert done.reason == "ordered by a court"
    with pytest.raises(RedactionRefused, match="was redacted before"):
        redacting.redact(text_of(owner, position))


def test_an_undeclared_or_forged_redaction_is_a_tampering(redacting: Redacting, owner: Owner) -> None:
    sealed(redacting.platform)
    redacting.redact(text_of(owner, redacting.position), key=Ed25519PrivateKey.generate())
    with pytest.raises(Tampered, match="redaction of position") as found:
        verified(redacting.platform)
    assert found.value.position == redacting.position
    with owner.transaction(), changeable(owner, "es.redaction"):
        owner.execute("DELETE FROM es.redaction")
    with pytest.raises(Tampered, match="was changed") as found:
        verified(redacting.platform)
    assert found.value.position == redacting.position


def test_after_a_redaction_nothing_else_may_change(redacting: Redacting, owner: Owner) -> None:
    sealed(redacting.platform)
    redacting.redact(text_of(owner, redacting.position))
    for change in ("data = data || ' '::bytea", "origin = 'x'"):
        owner.execute("BEGIN")
        with changeable(owner, "es.event"):
            owner.execute(f"UPDATE es.event SET {change} WHERE position = {redacting.position}".encode())
        owner.execute("COMMIT")
        with pytest.raises(Tampered) as found:
            verified(redacting.platform)
        assert found.value.position == redacting.position


def test_what_cannot_be_redacted_is_left_alone(redacting: Redacting, owner: Owner) -> None:
    for field in ("nothing", "timestamp"):
        with pytest.raises(RedactionRefused, match="has no text called"):
            redacting.redact(field)
    redacting.position = Given(redacting.platform).aggregates(Account.open(AccountKind.BONUS, ACTOR))
    with pytest.raises(RedactionRefused, match="could not be read any more"):
        redacting.redact("owner_id")
    redacting.position = 2**40
    with pytest.raises(RedactionRefused, match="there is no event"):
        redacting.redact("nothing")
    assert owner.execute("SELECT count(*) FROM es.redaction").fetchone() == (0,)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE journal.segment SET sha256 = decode(repeat('ab', 32), 'hex') WHERE seq = 2", "segment 2 of edge-1"),
        ("DELETE FROM journal.segment WHERE seq = 1", "segment 1 of edge-1"),
        ("UPDATE journal.head SET seq = seq + 1", "no event names segment"),
    ],
)
def test_a_journal_that_is_not_what_the_log_names_is_found(
    platform: Platform, owner: Owner, change: str, says: str
) -> None:
    write_history(platform)
    verify_journals(owner)
    with owner.transaction(), changeable(owner, "journal.segment"):
        owner.execute(change.encode())
    with pytest.raises(Tampered, match=says):
        verify_journals(owner)


@pytest.mark.parametrize("table", ["block", "redaction"])
@pytest.mark.parametrize("statement", ["UPDATE es.{} SET signature = ''", "DELETE FROM es.{}", "TRUNCATE es.{}"])
def test_the_evidence_is_append_only_too(owner: Owner, table: str, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        owner.execute(statement.format(table).encode())


def test_a_block_says_the_same_when_it_was_written_down(chained: Platform, owner: Owner) -> None:
    for block in blocks(owner):
        said: dict[str, Any] = block.described()
        assert Block.read(said) == block
        assert said["hash"] == block.hash.hex()
