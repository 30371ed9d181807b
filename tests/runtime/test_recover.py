"""`tracker backup recover`: with the site's own secrets alone, and nobody comes back who was forgotten since."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner

import domain
from commands.policies import POLICIES
from domain.applications import Application
from domain.base import SYSTEM
from domain.erasures import Erasure, erasure_id
from domain.users import User
from projections import ALL
from projections.search import open_sender
from runtime.cli.backup import backup_commands
from runtime.cli.main import erase_again
from runtime.erasing import note_erased
from runtime.keys_database import prepare_databases
from runtime.platform import Platform
from runtime.settings import Settings
from runtime.store import new_id
from runtime.up import with_embedded
from tests.conftest import memory
from tests.runtime.test_physical import Server

pytestmark = pytest.mark.engine

KEY = "the key that wraps the keys of this site's persons"


class Site:
    """An embedded database with the schema of a site, and the command line of its operator."""

    def __init__(self, folder: Path) -> None:
        self.server = Server(folder)
        prepare_databases(with_embedded(self.settings(), self.server.postgres))

    def settings(self, key: str = KEY) -> Settings:
        return Settings.model_validate(
            {
                "data_dir": self.server.data_dir,
                "backup": {"wal_dir": str(self.server.place)},
                "redis": {"url": "unix:///nonexistent"},
                "security": {"key_encryption_key": key, "site_secret": "s" * 40},
                "auth": {"jwt_secret": "j" * 40},
            }
        )

    def platform(self) -> Platform:
        return self.opened(with_embedded(self.settings(), self.server.postgres))

    def opened(self, settings: Settings) -> Platform:
        return Platform(settings, domain.EVENTS, (*ALL, *POLICIES))

    def runs(self, *words: str, key: str = KEY) -> tuple[int, str]:
        """Its exit code and what it said, on one line."""
        settings = self.settings(key)
        app = backup_commands(lambda: settings, lambda found: found, self.opened, ALL, open_sender, erase_again)
        done = CliRunner().invoke(app, words)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, " ".join(done.output.split())


@pytest.fixture
def site() -> Iterator[Site]:
    with TemporaryDirectory(dir=memory(), ignore_cleanup_errors=True) as folder:
        made = Site(Path(folder))
        yield made
        made.server.stop()


def rejected(platform: Platform) -> UUID:
    """Somebody who wrote to be let in; the id that the account would have."""
    person = uuid4()
    filed = Application.file(uuid4(), person, f"{person}@example.org", "Let me in, I seed for years. " * 5, [])
    filed.reject("not this time")
    platform.store(SYSTEM).save(filed)
    return person


def joined(platform: Platform) -> UUID:
    user = User.register(new_id(), "somebody", "somebody@example.org", "member")
    platform.store(user.id).save(user)
    return user.id


def test_only_the_sites_own_secrets_bring_it_back_and_the_forgotten_stay_so(site: Site) -> None:
    with site.platform() as platform:
        gone, member, stays = rejected(platform), joined(platform), rejected(platform)
        assert site.runs("base")[0] == 0
        moment = site.server.now()
        for person in (gone, member):
            platform.keyring.destroy(person)
            note_erased(site.settings(), person)
        came_later = rejected(platform)
        note_erased(site.settings(), came_later)
    site.server.lose()

    code, said = site.runs("recover", key="another key that wraps the keys of other persons")
    assert (code, "its keys were wrapped by another key than this site's" in said) == (1, True)
    code, said = site.runs("recover", key="")
    assert (code, "secrets are not part of a backup" in said) == (1, True)
    assert not site.server.data_dir.exists(), "nothing is made that would be taken for the site"

    code, said = site.runs("recover", "--to-time", f"{moment:%Y-%m-%dT%H:%M:%S.%f}")
    assert code == 0, said
    again = [person for person in (gone, member, stays, came_later) if f"{person} was erased after that moment" in said]
    assert again == [gone, member]
    site.server.start()
    with site.platform() as platform:
        begun = [platform.store(SYSTEM).find(Erasure, erasure_id(one)) is not None for one in (gone, member, stays)]
        assert begun == [True, True, False]
        assert not platform.store(SYSTEM).get(User, member).enabled
