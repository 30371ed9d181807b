"""Every setting of the platform, read once into one frozen tree.

Precedence: environment `APP__SECTION__KEY`, then `config/{environment}.toml`, then `config/default.toml`, then `.env`,
then the defaults below. An empty server URL means "start an embedded engine".
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

PREFIX = "APP__"
ENVIRONMENT = "APP__TELEMETRY__ENVIRONMENT"

#: Environments that need no file of their own; another name without a file is a typing error, not a new environment.
ENVIRONMENTS = ("development", "test", "production")

#: RFC 7518 section 3.2: a key for HS256 is at least as long as the hash.
MIN_SECRET_BYTES = 32

#: How every secret in `.env.example` begins.
SAMPLE_SECRET = "change-me"


#: pydantic's own words where they would not help whoever set it.
_WHYS = {
    "extra_forbidden": "unknown setting",
    "string_pattern_mismatch": "not of the form that it must have",
    "ip_v4_network": "not a list of CIDR networks, as in 10.0.0.0/8,fd00::/8",
}


class SettingsError(Exception):
    """A setting is missing, malformed or unknown; `str(error)` is one line that names it and never shows its value."""


def _split(value: object) -> object:
    """Lists come from the environment as `a,b`."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _conninfo(url: str) -> str:
    try:
        conninfo_to_dict(url)
    except ProgrammingError:  # its text quotes the URL, password and all
        raise ValueError("not a PostgreSQL URL") from None
    return url


Port = Annotated[int, Field(ge=0, le=65535)]  # 0 = `tracker up` takes a free one
Positive = Annotated[int, Field(ge=1, le=2**31 - 1)]
WebUrl = Annotated[str, Field(pattern=r"^(https?://[^\s/]+(/\S*)?)?$")]
UdpUrl = Annotated[str, Field(pattern=r"^(udp://[^\s/]+:\d{1,5}/?)?$")]
DatabaseUrl = Annotated[str, Field(pattern=r"^(postgres(ql)?://\S+)?$"), AfterValidator(_conninfo)]
SmtpUrl = Annotated[str, Field(pattern=r"^((smtps|smtp\+starttls|smtp)://([^\s/@:]+@)?[^\s/@:]+(:\d{1,5})?/?)?$")]
EmailAddress = Annotated[str, Field(pattern=r"^[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,190}$")]
RedisUrl = Annotated[str, Field(pattern=r"^((rediss?|unix)://\S+)?$")]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_split)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Server(Section):
    host: str = Field("127.0.0.1", min_length=1)
    port: Port = 8080
    public_url: WebUrl = ""  # "" = http://host:port
    trusted_proxies: Networks = ()  # whose X-Forwarded-For says where a caller is

    @property
    def base_url(self) -> str:
        """Where callers find the API, without a slash at the end."""
        return self.public_url.rstrip("/") or http_url(self.host, self.port)


class Database(Section):
    url: DatabaseUrl = ""  # role tracker_app; "" = embedded
    owner_url: DatabaseUrl = ""  # role that owns the schema and runs migrations; "" = url
    max_connections: Positive = 20


class Keys(Section):
    """Where the data keys of persons are; URLs as those of `Database`. Keep its backups for a short time only."""

    database_url: DatabaseUrl = ""  # "" = embedded, or the site's own database where `database.url` is set
    owner_url: DatabaseUrl = ""  # "" = database_url


class Backup(Section):
    wal_dir: str = ""  # where the embedded PostgreSQL's log and base backups go, best on another disk; "" = nowhere


class Redis(Section):
    url: RedisUrl = ""  # "" = embedded Valkey


class Search(Section):
    url: WebUrl = ""  # Meilisearch; "" = PostgreSQL full text
    api_key: SecretStr = SecretStr("")


class Auth(Section):
    jwt_secret: SecretStr = SecretStr("")  # "" = generated into the data directory (not in production)
    jwt_previous_secret: SecretStr = SecretStr("")  # the one before, until what it signed has expired
    jwt_expiration_hours: Positive = 336  # how long a session lives without a refresh
    access_token_s: Positive = 600
    refresh_grace_s: Annotated[int, Field(ge=0, le=3600)] = 20


class Security(Section):
    site_secret: SecretStr = SecretStr("")  # claims on personal keys, announce keys; "" = generated
    key_encryption_key: SecretStr = SecretStr("")  # wraps every person's data key; "" = generated
    keep_addresses_days: Positive = 90  # callers' addresses and programs, es.command_context


class Registration(Section):
    mode: Literal["open", "invite", "application", "closed"] = "open"
    verify_email: bool = False
    invite_days: Annotated[int, Field(ge=1, le=365)] = 14  # how long an invite works


class Mail(Section):
    url: SmtpUrl = ""  # smtps:// or smtp+starttls://user@host:port; "" = files in data_dir/mail
    password: SecretStr = SecretStr("")
    sender: EmailAddress = "tracker@localhost"


class Inactivity(Section):
    """Accounts that nobody uses: neither signs in, nor announces, nor uses a key."""

    after_days: Annotated[int, Field(ge=0, le=36_500)] = 0  # until they are disabled; 0: never
    parked_after_days: Annotated[int, Field(ge=1, le=36_500)] = 400  # the same, of parked ones
    warn_days: Annotated[int, Field(ge=1, le=365)] = 7  # before that, by mail
    exempt_level: Positive = 600  # groups of this level and above stay


class Edge(Section):
    id: str = Field("edge-1", pattern=r"^[A-Za-z0-9._-]{1,64}$")  # names files and journal rows
    host: str = Field("127.0.0.1", min_length=1)
    http_port: Port = 6969
    udp_port: Port = 6969
    public_url: WebUrl = ""  # "" = http://host:http_port
    public_udp_url: UdpUrl = ""  # "" = udp:// with the host of the HTTP URL and udp_port
    udp_in_torrents: bool = False  # the .torrent names the UDP tracker too, second (BEP 12)
    interval_s: Positive = 1800
    interval_jitter_s: Annotated[int, Field(ge=0)] = 240  # at most a quarter of the interval is added, by session
    min_interval_s: Positive = 900
    announces_per_minute_by_key: Annotated[int, Field(ge=0)] = 20_000  # above: credited, but told of no peers; 0: any
    announces_per_minute_by_address: Annotated[int, Field(ge=0)] = 60_000
    numwant_max: Positive = 50
    peer_ttl_s: Positive = 7200
    ship_interval_ms: Positive = 200
    acknowledge: Literal["journal", "store"] = "journal"
    rights_unknown: Literal["sessions", "refuse", "serve"] = "sessions"  # who announces while rights are
    journal_keep_days: Positive = 30  # in the store; `tracker journal archive` moves older days into files
    processes: Annotated[int, Field(ge=1, le=64)] = 1  # of `tracker up` on one machine: id-1, id-2 … when above 1
    allow_private_addresses: bool = True
    trusted_proxies: Networks = ()
    proxy_protocol: bool = False  # connections of trusted proxies begin with a PROXY protocol header, version 2

    @property
    def hosts(self) -> list[str]:
        """`host` is a list separated by commas; URLs name its first."""
        return [host.strip() for host in self.host.split(",")]

    @property
    def base_url(self) -> str:
        """Where clients find the tracker over HTTP, without a slash at the end."""
        return self.public_url.rstrip("/") or http_url(self.hosts[0], self.http_port)

    @property
    def udp_url(self) -> str:
        """Where clients find the tracker over UDP, without a slash at the end."""
        host = urlsplit(self.base_url).hostname or self.hosts[0]
        return self.public_udp_url.rstrip("/") or http_url(host, self.udp_port).replace("http:", "udp:", 1)


class Telemetry(Section):
    environment: str = Field("development", pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["pretty", "json"] = "json"
    metrics_enabled: bool = True
    metrics_host: str = Field("127.0.0.1", min_length=1)
    metrics_port: Port = 9090


class Settings(Section):
    """`load()` reads every source; `Settings(...)` itself takes its arguments and the defaults, nothing else."""

    data_dir: Path = Path("var")
    server: Server = Server()
    database: Database = Database()
    keys: Keys = Keys()
    backup: Backup = Backup()
    redis: Redis = Redis()
    search: Search = Search()
    auth: Auth = Auth()
    security: Security = Security()
    registration: Registration = Registration()
    mail: Mail = Mail()
    inactivity: Inactivity = Inactivity()
    edge: Edge = Edge()
    telemetry: Telemetry = Telemetry()

    SECRETS: ClassVar = ("auth.jwt_secret", "security.site_secret", "security.key_encryption_key")

    @property
    def production(self) -> bool:
        return self.telemetry.environment == "production"

    def environ(self) -> dict[str, str]:
        """All settings as variables, from which `load` makes the same settings in a child process."""
        return {_variable(path): _text(value) for path, value in _leaves(self)}


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
        raise SettingsError("; ".join(f"{_variable(path)}: {why}" for path, why in problems))
    return settings


def http_url(host: str, port: int) -> str:
    """`http://host:port`; an IPv6 address goes into brackets (RFC 3986 section 3.2.2)."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


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
    for path in ("database.url", "database.owner_url", "keys.database_url", "keys.owner_url"):
        if _loses_commits(str(dict(_leaves(settings))[path])):
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
    known = {_variable(path): path for path, _ in _leaves(Settings())}
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
            raise SettingsError(f"{_variable(key)}: a section, not a value")


def _lines(error: ValidationError) -> Iterator[str]:
    """One entry for each setting, without its value."""
    whys: dict[str, str] = {}
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        path = [str(part) for part in problem["loc"] if isinstance(part, str)][:2]
        whys.setdefault(_variable(".".join(path)), _WHYS.get(problem["type"], problem["msg"]))
    yield from (_printable(f"{name}: {why}") for name, why in whys.items())


def _leaves(settings: Settings) -> Iterator[tuple[str, object]]:
    for name, value in settings:
        if isinstance(value, Section):
            yield from ((f"{name}.{key}", leaf) for key, leaf in value)
        else:
            yield name, value


def _secret(settings: Settings, path: str) -> str:
    secret = dict(_leaves(settings))[path]
    assert isinstance(secret, SecretStr)
    return secret.get_secret_value()


def _variable(path: str) -> str:
    return PREFIX + path.replace(".", "__").upper()


def _text(value: object) -> str:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(map(str, value))
        case Path():
            return str(value.resolve())
        case _:
            return str(value)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
