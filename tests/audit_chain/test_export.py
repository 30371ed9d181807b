"""An export and the heads are enough to check the log, without the site; and the commands say what they found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

import domain
from runtime.append_only import changeable
from runtime.audit.block import PURPOSE, signing_key
from runtime.audit.chain import Tampered
from runtime.audit.export import BadHeads, Heads, check_rows, read_heads
from runtime.audit.redactions import RedactionRefused
from runtime.cli.audit import audit_commands
from runtime.cli.events import events_commands
from runtime.cli.main import EXPECTED
from runtime.platform import Platform
from tests.audit_chain.sealed import Owner, positions, sealed
from tests.history import write_history

pytestmark = pytest.mark.engine

Rows = list[dict[str, Any]]


class Shell:
    """Runs `tracker audit` and `tracker events` on a site."""

    def __init__(self, platform: Platform) -> None:
        self.app = typer.Typer()
        self.app.add_typer(audit_commands(lambda: nullcontext(platform)), name="audit")
        self.app.add_typer(events_commands(lambda: nullcontext(platform), domain.EVENTS), name="events")

    def __call__(self, *words: object, code: int = 0) -> str:
        result = CliRunner().invoke(self.app, [str(word) for word in words], env={"COLUMNS": "200"})
        assert result.exit_code == code, (result.output, result.exception)
        return result.stdout


@pytest.fixture
def shell(platform: Platform) -> Shell:
    """A site with a whole history, sealed in blocks of ten."""
    write_history(platform)
    sealed(platform)
    return Shell(platform)


@pytest.fixture
def out(shell: Shell, tmp_path: Path) -> Path:
    """What a member gets: an export with the stored data, and the heads."""
    shell("events", "export", "--format", "ndjson", "--with-data", "--out", tmp_path / "events", "--per-file", 50)
    shell("audit", "heads", "--out", tmp_path / "heads")
    return tmp_path


def key_of(platform: Platform) -> str:
    return signing_key(platform.site_key(PURPOSE)).public_key().public_bytes_raw().hex()


def rows_in(export: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(export.glob("*.ndjson")):
        yield from map(json.loads, path.read_text().splitlines())


def test_an_export_is_checked_without_the_site(shell: Shell, platform: Platform, owner: Owner, out: Path) -> None:
    said = shell("audit", "verify-export", out / "events", "--heads", out / "heads", "--key", key_of(platform))
    count = len(positions(owner))
    assert f"{count} events, {count} with what they say, 0 redacted, 0 beyond the last head, 0 flaws" in said


def test_an_export_without_data_is_checked_by_its_hashes(shell: Shell, platform: Platform, out: Path) -> None:
    shell("events", "export", "--format", "ndjson", "--out", out / "bare")
    said = shell("audit", "verify-export", out / "bare", "--heads", out / "heads", "--key", key_of(platform))
    assert ", 0 with what they say," in said


def change(name: str, value: object) -> Callable[[Rows], object]:
    return lambda rows: rows[17].update({name: value})


DAMAGES: list[Callable[[Rows], object]] = [
    change("position", 10_000),
    change("version", 77),
    change("part", 64),
    change("topic", "user.disabled"),
    change("origin", "nobody"),
    change("recorded_at", "2031-01-01T00:00:00+00:00"),
    change("actor_id", "0199a4f0-0000-7000-8000-00000000a002"),
    change("data", "{}"),
    change("data_sha256", "00" * 32),
    lambda rows: rows.pop(17),
    lambda rows: rows.insert(17, rows[16]),
    lambda rows: rows.insert(17, rows.pop(18)),
]


def test_a_changed_export_is_refused_at_its_block(platform: Platform, out: Path) -> None:
    heads, rows = read_heads(out / "heads"), list(rows_in(out / "events"))
    block, key = heads.blocks[1], signing_key(platform.site_key(PURPOSE)).public_key()
    assert block.first_position <= rows[17]["position"] <= block.last_position
    for damage in DAMAGES:
        damaged = [dict(row) for row in rows]
        damage(damaged)
        with pytest.raises(Tampered) as found:
            check_rows(damaged, heads, key)
        assert found.value.position is not None
        assert block.first_position <= found.value.position <= 10_000


def test_heads_of_another_key_or_order_are_refused(platform: Platform, out: Path) -> None:
    heads, rows = read_heads(out / "heads"), list(rows_in(out / "events"))
    ours, another = signing_key(platform.site_key(PURPOSE)).public_key(), Ed25519PrivateKey.generate().public_key()
    with pytest.raises(Tampered, match="block 1 was not signed"):
        check_rows(rows, heads, another)
    for blocks in (heads.blocks[1:], [heads.blocks[0], *heads.blocks[2:]], heads.blocks[::-1]):
        with pytest.raises(Tampered, match="does not follow"):
            check_rows(rows, Heads(blocks), ours)


def test_a_file_of_something_else_is_refused(out: Path) -> None:
    for name, content in (("a", "no JSON"), ("b", "[1]"), ("c", '{"no": 1}'), ("d", '{"redaction": {}}')):
        (out / name).write_text(content)
        with pytest.raises(BadHeads, match="is not a file of heads"):
            read_heads(out / name)
    with pytest.raises(BadHeads, match="No such file"):
        read_heads(out / "missing")
    assert {BadHeads, RedactionRefused} <= set(EXPECTED)


def test_a_redacted_event_is_checked_by_what_it_was(shell: Shell, platform: Platform, owner: Owner, out: Path) -> None:
    (position,) = owner.execute(
        "SELECT position FROM es.event WHERE type = (SELECT id FROM es.event_type WHERE name = 'torrent.rejected')"
    ).fetchone() or (0,)
    assert "now restart every role" in shell("audit", "redact", position, "--field", "reason", "--reason", "a court")
    assert "reason  a court" in shell("audit", "redactions")
    shell("events", "export", "--format", "ndjson", "--with-data", "--out", out / "after")
    shell("audit", "heads", "--out", out / "heads after")
    words = "--heads", out / "heads after", "--key", key_of(platform)
    assert ", 1 redacted," in shell("audit", "verify-export", out / "after", *words)
    (row,) = [row for row in rows_in(out / "after") if row["position"] == position]
    assert row["payload"] == {"reason": "redacted"}
    undeclared = shell("audit", "verify-export", out / "after", "--heads", out / "heads", *words[2:], code=1)
    assert "are not those that were sealed" in undeclared
    assert "1 redacted" in shell("audit", "verify")
    assert platform.history.aggregate(domain.torrents.Torrent, stream_of(owner, position)).version > 1, "still loads"


def stream_of(owner: Owner, position: int) -> Any:
    (stream_id,) = owner.execute("SELECT stream_id FROM es.event WHERE position = %s", (position,)).fetchone() or (0,)
    return stream_id


def test_verify_counts_and_names_the_head_or_ends_with_1(shell: Shell, owner: Owner, out: Path) -> None:
    said = shell("audit", "verify", "--against", out / "heads")
    assert f"{len(positions(owner))} events, 0 not sealed yet, 0 redacted, 1 journals, 0 flaws" in said
    head = json.loads(shell("audit", "head", "--json").splitlines()[1])
    assert f"head {head['no']} tree {head['tree']}" in said
    assert head["tree"] in shell("audit", "head")
    with owner.transaction(), changeable(owner, "es.event"):
        owner.execute("UPDATE es.event SET data = data || ' '::bytea WHERE position = 7")
    assert shell("audit", "verify", code=1) == "position 7: the event was changed\n"
