"""Addresses that were shipped in clear are encrypted once, where they lie; everything else is as it was, provably."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from typer.testing import CliRunner

from domain.announce_addresses import encrypted
from domain.announces import Announce, decode, encode
from projections.peers import peers
from runtime import journal_archive, journal_encryption
from runtime.append_only import changeable
from runtime.audit.chain import Tampered
from runtime.audit.verify import verify_journals
from runtime.cli.journal import journal_commands
from runtime.cli.main import encrypting
from runtime.journal import GENESIS, BrokenChain, Segment, hash_of_all, heads, replaced, seal
from runtime.journal_encryption import Declare, encrypt_all
from runtime.platform import Platform
from runtime.rebuild import verify
from tests.given import projected, rows_of
from tests.runtime.test_journal_archive import AGES, KEEP_DAYS, Owner, announced, archived, chain, verified
from tests.tracker_edge.edges import keys as made_up_keys
from tests.tracker_edge.test_store import NOW
from tracker_edge.segments import into_store

pytestmark = pytest.mark.engine

ADDRESS = bytes([9, 9, 9, 9])
#: Of each of the two edges.
SEGMENTS = 3 * len(AGES)


@pytest.fixture
def old(platform: Platform, owner: Owner) -> Platform:
    """A site from before: two edges shipped three days in clear, and another one ships since then."""
    ship = into_store(lambda: platform.store(UUID(int=1), "edge"))
    for edge_id in ("north", "south"):
        ship(chain(edge_id))
    owner.execute("INSERT INTO journal.shipped_in_clear SELECT edge_id, seq FROM journal.head")
    ship([seal("later", 1, 1, NOW, NOW, GENESIS, _columns(1))])
    projected(platform, peers)
    return platform


def _columns(number: int) -> bytes:
    return encode([announced(number, NOW)])


@pytest.fixture
def root(old: Platform) -> Path:
    return old.settings.data_dir / "archive"


def stored(site: Platform, root: Path) -> list[Segment]:
    """Both edges' chains, from files and table."""
    with site.projector_pool.connection() as connection:
        return [
            one
            for head in heads(connection)
            if head.edge_id != "later"
            for one in journal_archive._chain(
                connection, root, head, [m for m in journal_archive.archived(connection) if m.edge_id == head.edge_id]
            )
        ]


def encrypts(site: Platform, root: Path, wrapped: Callable[[Declare], Declare] = lambda declare: declare) -> int:
    encrypt, declare = encrypting(site)
    with site.projector_pool.connection() as connection:
        done = encrypt_all(connection, root, KEEP_DAYS, datetime.now(UTC), encrypt, wrapped(declare))
        return sum(count for _, _, count in done)


def is_whole(site: Platform, root: Path) -> bool:
    with site.projector_pool.connection() as connection:
        verify_journals(connection)
    return verified(site, root) == [1, SEGMENTS, SEGMENTS]


def announces(site: Platform, root: Path) -> list[Announce]:
    return [one for segment in stored(site, root) for one in decode(segment.payload, site.keyring.read_keys)]


@pytest.mark.parametrize("in_files", [False, True], ids=["in the table", "partly in files"])
def test_everything_is_encrypted_once_and_nothing_else_is_changed(old: Platform, root: Path, in_files: bool) -> None:
    if in_files:
        assert len(archived(old, root)) == 5, "two days of each edge, and the one of the later edge"
    before, said = stored(old, root), announces(old, root)
    app = journal_commands(lambda: nullcontext(old), encrypting)
    whole = f"3 chains, {2 * SEGMENTS + 1} segments, 0 flaws"
    assert CliRunner().invoke(app, ["verify"]).output.splitlines()[0] == whole
    assert CliRunner().invoke(app, ["verify"]).output.splitlines()[1].startswith(f"{len(AGES)} days have addresses")
    done = CliRunner().invoke(app, ["encrypt"])
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, f"{2 * SEGMENTS} segments encrypted"), done.output
    after = stored(old, root)
    assert [(one.sha256, one.previous, one.announces) for one in after] == [
        (one.sha256, one.previous, one.announces) for one in before
    ]
    assert {one.address for one in said} == {ADDRESS}
    assert announces(old, root) == said, "with the keys"
    assert not any(ADDRESS in one.payload for one in after)
    assert {one.address for segment in after for one in decode(segment.payload)} == {b""}
    assert is_whole(old, root)
    assert CliRunner().invoke(app, ["encrypt"]).output == "0 segments encrypted\n"
    assert CliRunner().invoke(app, ["verify"]).output == f"{whole}\n"
    if in_files:
        assert len({manifest.day for manifest in archived(old, root)}) == 0, "they are in files already"
        with old.projector_pool.connection() as connection:
            assert len(journal_archive.archived(connection)) == 5
            for day in {one.day for one in journal_archive.archived(connection)}:
                journal_archive.restore(connection, root, day)
    assert [table.differences for table in verify(old, peers)] == [0] * len(peers.tables)


def test_an_erasure_reaches_what_was_shipped_before(old: Platform, root: Path) -> None:
    gone, stays = UUID(int=1), UUID(int=2)
    old.keyring.write_keys([gone.bytes, stays.bytes])
    old.keyring.destroy(UUID(int=3))  # erased before, while addresses were in clear
    encrypts(old, root)
    old.keyring.destroy(gone)
    read = {one.user_id: one.address for one in announces(old, root)}
    assert read == {gone.bytes: b"", stays.bytes: ADDRESS, UUID(int=3).bytes: b""}
    assert is_whole(old, root)


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("after", range(6))
def test_whoever_was_killed_goes_on(old: Platform, root: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many pieces, just before the next is declared; at the end while days go back into files."""
    archived(old, root)
    left = [after]

    def dying(declare: Declare) -> Declare:
        def or_die(*said: Any) -> None:
            if not left[0]:
                raise Killed
            left[0] -= 1
            declare(*said)

        return or_die

    monkeypatch.setattr(journal_encryption, "AT_ONCE", 4)
    if after == 5:
        left[0] = 99
        monkeypatch.setattr(journal_encryption, "_archive_again", _dies)
    with pytest.raises(Killed):
        encrypts(old, root, dying)
    assert is_whole(old, root)
    monkeypatch.undo()
    encrypts(old, root)
    assert is_whole(old, root)
    assert not any(ADDRESS in one.payload for one in stored(old, root))
    with old.projector_pool.connection() as connection:
        held = {one.path(root) for one in journal_archive.archived(connection)}
    assert set(root.rglob("*.zst")) == held, "no file is left with addresses in clear"


def _dies(*_: object) -> None:
    raise Killed


def test_only_what_was_shipped_in_clear_is_replaced_and_once(old: Platform, root: Path, owner: Owner) -> None:
    encrypt, _ = encrypting(old)
    call = "SELECT journal.encrypt_segments(%s, %s, 1, %s, %s, %s)"
    day = owner.execute("SELECT day FROM journal.segment WHERE edge_id = 'north' AND seq = 1").fetchone()
    assert day is not None
    what = [b"data"], [bytes(32)], bytes(32)
    with old.pool.connection() as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            connection.execute(call, ("later", NOW.date(), *what))
        for other in (("nobody", day[0]), ("north", NOW.date())):
            with pytest.raises(psycopg.errors.NoDataFound):
                connection.execute(call, (*other, *what))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("UPDATE journal.segment SET encrypted_sha256 = %s", (bytes(32),))
    encrypts(old, root)
    with old.pool.connection() as connection, pytest.raises(psycopg.errors.NoDataFound):
        connection.execute(call, ("north", day[0], *what))
    for change in ("sha256 = previous", "announces = 2", "data = ''", "encrypted_sha256 = NULL"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            owner.execute(f"UPDATE journal.segment SET {change} WHERE edge_id = 'north'".encode())
    assert encrypt(_columns(1)) == encrypt(encrypt(_columns(1)))
    assert is_whole(old, root)


def _forged(segment: Segment) -> Segment:
    """The same segment with another number in it, and the hash that belongs to that."""
    [one, *others] = decode(segment.payload)
    changed = encode([one._replace(uploaded=one.uploaded + 1, address=ADDRESS), *others])
    return replaced(replace(segment, encrypted_sha256=None), encrypted(changed, made_up_keys))


def test_a_change_is_not_passed_off_as_an_encryption(old: Platform, root: Path, owner: Owner) -> None:
    """Whoever holds the database can change a segment and its hash; then nothing declares what lies there."""
    encrypts(old, root)
    forged = _forged(next(one for one in stored(old, root) if (one.edge_id, one.seq) == ("south", 2)))
    with owner.transaction(), changeable(owner, "journal.segment"):
        owner.execute(
            "UPDATE journal.segment SET data = %s, encrypted_sha256 = %s WHERE edge_id = 'south' AND seq = 2",
            (forged.data, forged.encrypted_sha256),
        )
    with pytest.raises(BrokenChain, match="of south was replaced, and nothing declares it"):
        verified(old, root)
    with owner.transaction():
        hashes = owner.execute(
            "SELECT encrypted_sha256 FROM journal.segment s JOIN journal.encrypted e USING (edge_id)"
            " WHERE edge_id = 'south' AND e.first_seq = 1 AND seq BETWEEN 1 AND e.last_seq ORDER BY seq"
        ).fetchall()
        of_all = hash_of_all(bytes(each[0]) for each in hashes)
        owner.execute("UPDATE journal.encrypted SET sha256 = %s WHERE edge_id = 'south' AND first_seq = 1", (of_all,))
    assert verified(old, root) == [1, SEGMENTS, SEGMENTS], "the journal alone agrees with itself again"
    with old.projector_pool.connection() as connection, pytest.raises(Tampered, match="no event tells that segments 1"):
        verify_journals(connection)


def test_what_a_backup_from_before_brings_back_is_whole_and_encrypted_again(
    old: Platform, root: Path, owner: Owner
) -> None:
    """Its facts say that it was encrypted, and what lies there is what was sealed."""
    before = {one.seq: one.data for one in stored(old, root) if one.edge_id == "north"}
    encrypts(old, root)
    with owner.transaction(), changeable(owner, "journal.segment"):
        for seq, data in before.items():
            owner.execute(
                "UPDATE journal.segment SET data = %s, encrypted_sha256 = NULL WHERE edge_id = 'north' AND seq = %s",
                (data, seq),
            )
    assert is_whole(old, root)
    assert encrypts(old, root) == SEGMENTS
    assert is_whole(old, root)
    told = rows_of(
        old,
        "SELECT count(*) FROM es.event e JOIN es.event_type t ON t.id = e.type"
        " WHERE t.name = 'edge_journal.addresses_encrypted'",
    )
    assert told == [(3 * len(AGES),)]
