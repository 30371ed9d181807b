"""What an operator does with backups: the commands, keys that are deleted first, and edges told how they fit."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from typer.testing import CliRunner

import domain
from commands.policies import POLICIES
from domain.base import ERASED, SYSTEM
from domain.erasures import Erasure, erasure_id
from domain.users import User
from projections import ALL
from projections.search import open_sender
from runtime.backup import edges, erased, manifest
from runtime.backup.create import fingerprint
from runtime.backup.restore import choose
from runtime.backup.tables import Part
from runtime.backup.verify import verify
from runtime.cli.backup import backup_commands
from runtime.cli.main import erase_again
from runtime.erasing import note_erased
from runtime.platform import Platform
from runtime.settings import Backup as BackupSettings
from runtime.settings import Settings
from tests.conftest import SECRETS, as_user
from tests.given import rows_of
from tests.runtime.backups import Busy, OpenRestored, count

pytestmark = pytest.mark.engine


def test_edges_are_told_how_their_journals_fit(busy: Busy) -> None:
    for name, seqs in {"north": (7, 8), "south": (3,), "west": (1,), "east": ()}.items():
        directory = busy.data_dir / "edge" / name
        directory.mkdir(parents=True)
        for seq in seqs:
            (directory / f"{seq:016d}.journal").touch()
    with busy.platform.pool.connection() as connection:
        said = {one.edge_id: str(one) for one in edges.standings(connection, busy.data_dir)}
    assert said.keys() == {"north", "south", "west"}
    assert "AHEAD and goes on with 7: segments 3 to 6" in said["north"]
    assert "goes on with 3" in said["south"]
    assert "goes on with 1" in said["west"]
    (busy.data_dir / "edge" / "south" / f"{1:016d}.journal").touch()
    with busy.platform.pool.connection() as connection:
        assert "BEHIND and begins with 1" in str(edges.standings(connection, busy.data_dir)[1])


class Cli:
    """`tracker backup` over this test's database."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def run(self, *arguments: str, into: str = "") -> tuple[int, str]:
        database = {"url": as_user(into, "tracker_app"), "owner_url": into}
        settings = self.settings
        if into:
            settings = settings.model_copy(update={"database": settings.database.model_copy(update=database)})

        def open_platform(of: Settings) -> Platform:
            return Platform(of, domain.EVENTS, (*ALL, *POLICIES))

        app = backup_commands(lambda: settings, lambda found: found, open_platform, ALL, open_sender, erase_again)
        done = CliRunner().invoke(app, list(arguments))
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output


@pytest.fixture
def cli(settings: Settings) -> Cli:
    return Cli(settings)


def test_the_commands_of_an_operator(busy: Busy, cli: Cli, empty: str) -> None:
    code, said = cli.run("create")
    assert code == 0
    name = said.strip().split(":")[0]
    busy.day()
    assert cli.run("create", "--since-last")[0] == 0
    code, said = cli.run("verify")
    assert (code, said.split(", ")[-1].strip()) == (0, "0 flaws")
    assert name in cli.run("list")[1]
    code, said = cli.run("restore", into=empty)
    assert code == 0, said
    assert f"up to position {busy.position}" in said
    assert "north: the store ends at segment 4, no journal here" in said
    assert cli.run("edges")[1].startswith("north: ")
    code, said = cli.run("restore", into=empty)
    assert (code, "the database is not empty" in said) == (1, True)
    assert cli.run("restore", "--to-position", str(10**9), into=empty)[0] == 1
    assert cli.run("verify", "nothing")[0] == 1


@pytest.mark.parametrize("place", ["backups", "log"])
def test_who_was_erased_after_the_backup_is_shut_out_again(
    busy: Busy, cli: Cli, empty: str, opened: OpenRestored, tmp_path: Path, place: str
) -> None:
    """The end of the key alone would leave an account that its password opens, and whence its owner came."""
    gone, stays = busy.people
    with_its_own_secrets(cli.settings)
    with psycopg.connect(busy.url) as connection:
        connection.execute("INSERT INTO es.command_context SELECT command_id, '203.0.113.7' FROM es.command")
    assert cli.run("create")[0] == 0
    if place == "log":
        cli.settings = cli.settings.model_copy(update={"backup": BackupSettings(wal_dir=str(tmp_path))})
    note_erased(cli.settings, gone.id)
    if place == "log":  # where another machine has it
        (cli.settings.data_dir / "backups" / erased.NAME).unlink()
    code, said = cli.run("restore", into=empty)
    assert code == 0, said
    assert f"{gone.id} was erased after that moment, and is again" in said
    assert str(stays.id) not in said
    restored = opened(empty)
    accounts = [restored.history.aggregate(User, one.id) for one in (gone, stays)]
    assert [(one.erased, one.enabled, one.username) for one in accounts] == [
        (True, False, ERASED), (False, True, "person1")
    ]  # fmt: skip
    assert restored.store(SYSTEM).find(Erasure, erasure_id(gone.id)) is not None
    assert kept_of(restored, gone.id) == [(0, 0, 0)]
    assert all(kept_of(restored, stays.id)[0])


def with_its_own_secrets(settings: Settings) -> None:
    """The data directory has those that the site's keys were wrapped with."""
    path = settings.data_dir / "secrets.json"
    path.write_text(json.dumps({name: getattr(SECRETS, name).hex() for name in ("jwt", "site", "key_encryption")}))
    path.chmod(0o600)


def kept_of(platform: Platform, person: UUID) -> list[Any]:
    """How many passwords, sessions and addresses of their commands."""
    return rows_of(
        platform,
        "SELECT (SELECT count(*) FROM credentials.password WHERE user_id = %s),"
        " (SELECT count(*) FROM credentials.session WHERE user_id = %s),"
        " (SELECT count(*) FROM es.command_context JOIN es.command USING (command_id) WHERE actor_id = %s)",
        [person] * 3,
    )


def test_keys_of_another_site_are_refused_before_anything_is_done(busy: Busy, cli: Cli, empty: str) -> None:
    busy.backup()
    code, said = cli.run("restore", into=empty)
    assert (code, "secrets are not part of a backup" in said.replace("\n", " ")) == (1, True)
    cli.run("create")
    code, said = cli.run("restore", manifest.read_all(busy.root)[0].name, into=empty)
    assert code == 1
    assert count(empty, "SELECT to_regclass('es.event') IS NULL")


def test_old_keys_are_deleted_before_old_backups(busy: Busy, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = busy.backup(), busy.backup(since_last=True)
    third = busy.backup()

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(days=days)

    days = 31
    monkeypatch.setattr("runtime.cli.backup.datetime", Later)
    where = ("--dir", str(busy.root))
    said = cli.run("prune", *where)[1]
    assert said.splitlines() == [f"{second.name}: keys deleted", f"{first.name}: keys and read deleted"]
    assert manifest.has(busy.root, third, Part.KEYS)
    assert verify(choose(busy.root, first.name)).events > 0, "with the newest keys"
    assert cli.run("prune", *where, "--days", "30")[1].splitlines() == [
        f"{second.name} deleted", f"{first.name} deleted"
    ]  # fmt: skip
    assert [one.name for one in manifest.read_all(busy.root)] == [third.name]


def test_a_fingerprint_tells_keys_apart() -> None:
    assert fingerprint(b"a" * 32) != fingerprint(b"b" * 32)
    assert fingerprint(b"a" * 32) == fingerprint(b"a" * 32)
