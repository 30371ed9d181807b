"""Reads the settings from every source, and refuses those that contradict each other or are unsafe.

Precedence: environment `APP__SECTION__KEY`, then `config/{environment}.toml`, then `config/default.toml`, then `.env`,
then the defaults of `settings`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr, ValidationError

from runtime.settings import MIN_SECRET_BYTES, PREFIX, Mail, Settings, SettingsError, leaves, variable

ENVIRONMENT = "APP__TELEMETRY__ENVIRONMENT"

#: Environments that need no file of their own; another name without a file is a typing error, not a new environment.
ENVIRONMENTS = ("development", "test", "production")

#: How every secret in `.env.example` begins.
SAMPLE_SECRET = "change-me"

#: pydantic's own words where they would not help whoever set it.
_WHYS = {
    "extra_forbidden": "unknown setting",
    "string_pattern_mismatch": "not of the form that it must have",
    "ip_v4_network": "not a list of CIDR networks, as in 10.0.0.0/8,fd00::/8",
}


def load(environ: Mapping[str, str] | None = None, root: Path | None = None) -> Settings:
    """Read every source; raises `SettingsError`. `root` holds `config/` and `.env`, None = found."""
    variables = os.environ if environ is None else environ
    root = _root() if root is None else root
    tree = _nested(_dotenv(root / ".env"))
    _merge(tree, _toml(root / "config" / "default.toml"))
    environment = variables.get(ENVIRONMENT) or _environment(tree)
    _merge(tree, _environment_toml(root / "config", environment))
    _merge(tree, _nested({**variables, ENVIRONMENT: environment}))
    try:
        settings = Settings(**tree)
    except ValidationError as error:
        raise SettingsError("; ".join(_lines(error))) from None
    problems = [*_contradictions(settings), *(_unsafe(settings) if settings.production else ())]
    if problems:
        raise SettingsError("; ".join(f"{variable(path)}: {why}" for path, why in problems))
    return settings


def _contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    for path in (*Settings.SECRETS, "auth.jwt_previous_secret"):
        if 0 < len(_secret(settings, path).encode()) < MIN_SECRET_BYTES:
            yield path, f"shorter than {MIN_SECRET_BYTES} bytes"
    if 0 < settings.inactivity.after_days <= settings.inactivity.warn_days:
        yield "inactivity.after_days", "must be longer than APP__INACTIVITY__WARN_DAYS"
    if settings.inactivity.parked_after_days < settings.inactivity.after_days:
        yield "inactivity.parked_after_days", "shorter than APP__INACTIVITY__AFTER_DAYS"
    if settings.edge.min_interval_s > settings.edge.interval_s:
        yield "edge.min_interval_s", "longer than APP__EDGE__INTERVAL_S"
    if settings.edge.proxy_protocol and not settings.edge.trusted_proxies:
        yield "edge.proxy_protocol", "means nothing without APP__EDGE__TRUSTED_PROXIES"
    if settings.edge.peer_ttl_s <= settings.edge.interval_s:
        yield "edge.peer_ttl_s", "must be longer than APP__EDGE__INTERVAL_S, or peers vanish between announces"


def _unsafe(settings: Settings) -> Iterator[tuple[str, str]]:
    """What is fine for a trial on one machine and refused in production."""
    for path in Settings.SECRETS:
        if not _secret(settings, path):
            yield path, "must be set in production"
        elif _secret(settings, path).startswith(SAMPLE_SECRET):
            yield path, "is the sample secret"
    for path, url in (("database.url", settings.database.url), ("redis.url", settings.redis.url)):
        if not url:
            yield path, "must be set in production: the embedded engines are for one machine's trial"
    if not settings.keys.database_url:
        yield "keys.database_url", "must be set in production: a restored site must not bring back who was erased"
    yield from _unsafe_mail(settings.mail)
    for path in (path for path in dict(leaves(settings)) if path.startswith(("database.", "keys.")) and "url" in path):
        if _loses_commits(str(dict(leaves(settings))[path])):
            yield path, "turns off fsync or synchronous_commit"
    if settings.edge.allow_private_addresses:
        yield "edge.allow_private_addresses", "must be false in production"
    for path, networks in (
        ("edge.trusted_proxies", settings.edge.trusted_proxies),
        ("server.trusted_proxies", settings.server.trusted_proxies),
    ):
        if any(network.prefixlen == 0 for network in networks):
            yield path, "trusts everybody"


def _unsafe_mail(mail: Mail) -> Iterator[tuple[str, str]]:
    url = urlsplit(mail.url)
    if not url.scheme:
        yield "mail.url", "must be set in production: without it, mail goes into a folder"
    elif url.scheme == "smtp" and url.username:
        yield "mail.url", "sends its password in clear: use smtps:// or smtp+starttls://"
    if mail.sender.endswith("@localhost"):
        yield "mail.sender", "must be an address of this site in production"


def _loses_commits(url: str) -> bool:
    """libpq takes server options in the URL (`options=-c%20fsync=off`); prefixes of `off` and `false` count."""
    options = str(conninfo_to_dict(url).get("options", "")).lower().replace("-", "_") if url else ""
    return re.search(r"(fsync|synchronous_commit)\s*=\s*['\"]?(off?|f\w*|no?|0)\b", options) is not None


def _root() -> Path:
    """The working directory when it has a `config/`, else where the package was checked out."""
    here = Path.cwd()
    return here if (here / "config").is_dir() else Path(__file__).resolve().parent.parent


def _nested(variables: Mapping[str, str]) -> dict[str, Any]:
    """`APP__SECTION__KEY` → {"section": {"key": …}}; raises `SettingsError` naming all variables that mean nothing."""
    known = {variable(path): path for path, _ in leaves(Settings())}
    unknown = [name for name in variables if name.startswith(PREFIX) and name not in known]
    if unknown:
        raise SettingsError("; ".join(f"{_printable(name)}: unknown setting" for name in sorted(unknown)))
    tree: dict[str, Any] = {}
    for name, value in variables.items():
        if name in known:
            *sections, key = known[name].split(".")
            _merge(tree, {sections[0]: {key: value}} if sections else {key: value})
    return tree


def _dotenv(path: Path) -> dict[str, str]:
    """Compose files share `.env`, so variables without our prefix are somebody else's."""
    if not path.is_file():
        return {}
    try:
        values = dotenv_values(path, interpolate=False, encoding="utf-8")
    except (UnicodeDecodeError, OSError):
        raise SettingsError(".env: not a readable text file") from None
    return {name: value or "" for name, value in values.items() if name.startswith(PREFIX)}


def _environment(tree: Mapping[str, Any]) -> str:
    telemetry = tree.get("telemetry")
    return str(telemetry.get("environment", "development")) if isinstance(telemetry, dict) else "development"


def _environment_toml(directory: Path, environment: str) -> dict[str, Any]:
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", environment):
        raise SettingsError(f"{ENVIRONMENT}: lower-case letters, digits, - and _ only")
    path = directory / f"{environment}.toml"
    if environment not in ENVIRONMENTS and not path.is_file():
        raise SettingsError(f"{ENVIRONMENT}: neither {', '.join(ENVIRONMENTS)} nor a file in config/")
    return _toml(path)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError):
        raise SettingsError(f"config/{path.name}: not a readable TOML file") from None


def _merge(into: dict[str, Any], tree: Mapping[str, Any]) -> None:
    for key, value in tree.items():
        if not isinstance(value, Mapping):
            into[key] = value
        elif isinstance(into.setdefault(key, {}), dict):
            _merge(into[key], value)
        else:
            raise SettingsError(f"{variable(key)}: a section, not a value")


def _lines(error: ValidationError) -> Iterator[str]:
    """One entry for each setting, without its value."""
    whys: dict[str, str] = {}
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        path = [str(part) for part in problem["loc"] if isinstance(part, str)][:2]
        whys.setdefault(variable(".".join(path)), _WHYS.get(problem["type"], problem["msg"]))
    yield from (_printable(f"{name}: {why}") for name, why in whys.items())


def _secret(settings: Settings, path: str) -> str:
    secret = dict(leaves(settings))[path]
    assert isinstance(secret, SecretStr)
    return secret.get_secret_value()


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
