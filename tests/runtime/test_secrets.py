from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from runtime.secrets import SecretsError, ensure
from runtime.settings import Auth, Security, Settings


def test_secrets_are_made_once_and_kept_across_restarts(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "var")
    first = ensure(settings)
    assert ensure(settings) == first
    assert len({first.jwt, first.site, first.key_encryption}) == 3
    assert {len(first.jwt), len(first.site), len(first.key_encryption)} == {32}


def test_only_the_owner_may_read_the_file_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ensure(Settings(data_dir=tmp_path))
    finally:
        os.umask(before)
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["secrets.json"]


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: ensure(settings), range(16)))
    assert all(secrets == made[0] for secrets in made)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    settings = Settings(data_dir=tmp_path)
    ensure(settings)
    (tmp_path / "secrets.json").chmod(mode)
    with pytest.raises(SecretsError, match=r"^\S*secrets\.json: readable by other users"):
        ensure(settings)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"jwt": "00", "site": "00", "key_encryption": "00"}', "\x00"])
def test_a_damaged_file_is_refused_and_never_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secrets.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(SecretsError, match="damaged"):
        ensure(Settings(data_dir=tmp_path))
    assert path.read_text() == content


def test_a_data_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SecretsError) as error:
        ensure(Settings(data_dir=tmp_path / "file"))
    assert "\n" not in str(error.value)


def test_settings_go_over_the_file_and_need_none_when_they_are_complete(tmp_path: Path) -> None:
    security = Security(site_secret=SecretStr("s" * 40), key_encryption_key=SecretStr("k" * 40))
    secrets = ensure(Settings(data_dir=tmp_path, auth=Auth(jwt_secret=SecretStr("j" * 40)), security=security))
    assert (secrets.jwt, secrets.site) == (b"j" * 40, b"s" * 40)
    assert len(secrets.key_encryption) == 32
    assert os.listdir(tmp_path) == []


def test_secrets_do_not_show_in_a_repr(tmp_path: Path) -> None:
    secrets = ensure(Settings(data_dir=tmp_path))
    assert repr(secrets.jwt) not in repr(secrets)
