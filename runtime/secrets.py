"""Which secrets this site signs, claims and encrypts with: those of the settings, else ones it made for itself once."""

from __future__ import annotations

import json
import os
import secrets
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pydantic import SecretStr

from runtime.settings import MIN_SECRET_BYTES, Settings

NAMES = ("jwt", "site", "key_encryption")


class SecretsError(Exception):
    """The file of generated secrets cannot be used; `str(error)` is one line without any secret."""


@dataclass(frozen=True, repr=False)
class Secrets:
    """`jwt` and `site` have 32 bytes or more, `key_encryption` exactly 32 (an AES-256 key). `jwt_previous` is what
    `jwt` takes the place of, empty without such a change."""

    jwt: bytes
    site: bytes
    key_encryption: bytes
    jwt_previous: bytes = b""


def ensure(settings: Settings) -> Secrets:
    """The site's secrets; what the settings leave empty is generated into `data_dir/secrets.json` and kept.

    Raises `SecretsError` when that file is readable by others or damaged: making new secrets then would end every
    session and make every personal field unreadable, so a person has to decide.
    """
    jwt = _bytes(settings.auth.jwt_secret)
    site = _bytes(settings.security.site_secret)
    key = _bytes(settings.security.key_encryption_key)
    kept = {} if jwt and site and key else _kept(settings.data_dir / "secrets.json")
    return Secrets(
        jwt=jwt or kept["jwt"],
        site=site or kept["site"],
        key_encryption=sha256(b"key encryption key:" + key).digest() if key else kept["key_encryption"],
        jwt_previous=_bytes(settings.auth.jwt_previous_secret),
    )


def _bytes(secret: SecretStr) -> bytes:
    return secret.get_secret_value().encode()


def _kept(path: Path) -> dict[str, bytes]:
    try:
        if not path.exists():
            _create(path)
        return _read(path)
    except OSError as error:
        raise SecretsError(f"{path}: {error.strerror}") from None


def _read(path: Path) -> dict[str, bytes]:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SecretsError(f"{path}: readable by other users; chmod 600 it, and replace its secrets if in doubt")
        try:
            values = json.loads(file.read())
            found = {name: bytes.fromhex(values[name]) for name in NAMES}
        except (ValueError, KeyError, TypeError):
            raise SecretsError(f"{path}: damaged; restore it from a backup") from None
    if any(len(value) != MIN_SECRET_BYTES for value in found.values()):
        raise SecretsError(f"{path}: damaged; restore it from a backup")
    return found


def _create(path: Path) -> None:
    """Whole or not at all, and only once even when several processes start together."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    values = {name: secrets.token_hex(MIN_SECRET_BYTES) for name in NAMES}
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".secrets-")  # mode 0600
    try:
        with open(descriptor, "w") as file:
            json.dump(values, file)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
