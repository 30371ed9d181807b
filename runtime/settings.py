"""Every setting of the platform, read once (by `configuration`) into one frozen tree.

An empty server URL means "start an embedded engine".
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

PREFIX = "APP__"

#: RFC 7518 section 3.2: a key for HS256 is at least as long as the hash.
MIN_SECRET_BYTES = 32


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
    # Roles with less rights (runtime/roles.py); "" = as `url`, with the role's name and the same password.
    query_url: DatabaseUrl = ""  # tracker_query
    projector_url: DatabaseUrl = ""  # tracker_projector
    audit_url: DatabaseUrl = ""  # tracker_audit
    backup_url: DatabaseUrl = ""  # tracker_backup
    max_connections: Positive = 20  # of each of the two pools that answer requests: one appends, one reads


class Keys(Section):
    """Where the data keys of persons are; URLs as those of `Database`. Keep its backups for a short time only."""

    database_url: DatabaseUrl = ""  # "" = embedded, or the site's own database where `database.url` is set
    owner_url: DatabaseUrl = ""  # "" = database_url
    backup_url: DatabaseUrl = ""  # tracker_backup; "" = as `database_url`, with the role's name


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
    keep_strangers_days: Positive = 90  # who was not let in, from the end of the application or invite


class Registration(Section):
    mode: Literal["open", "invite", "application", "closed"] = "open"
    verify_email: bool = False
    invite_days: Annotated[int, Field(ge=1, le=365)] = 14  # how long an invite works


class Mail(Section):
    url: SmtpUrl = ""  # smtps:// or smtp+starttls://user@host:port; "" = files in data_dir/mail
    password: SecretStr = SecretStr("")
    sender: EmailAddress = "tracker@localhost"
    per_address_hour: Positive = 5  # mails to an address that others can name; notices to who has proven it: any
    per_address_day: Positive = 20


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
        return {variable(path): _text(value) for path, value in leaves(self)}


def http_url(host: str, port: int) -> str:
    """`http://host:port`; an IPv6 address goes into brackets (RFC 3986 section 3.2.2)."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def leaves(settings: Settings) -> Iterator[tuple[str, object]]:
    """Every setting with its value: `edge.interval_s`, 1800."""
    for name, value in settings:
        if isinstance(value, Section):
            yield from ((f"{name}.{key}", leaf) for key, leaf in value)
        else:
            yield name, value


def variable(path: str) -> str:
    """The environment variable of a setting."""
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
