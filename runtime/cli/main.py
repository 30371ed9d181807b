"""The command line: one program for every role and every task of an operator.

What only some of them need is imported by those: commands bring the web framework, which takes longer to import than
most tasks take, and each process of a rebuild starts from here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import psycopg
import typer

from domain import EVENTS
from domain.announce_addresses import encrypted
from domain.announces import Event, decode
from domain.base import SYSTEM
from domain.clients import client
from domain.errors import DomainError
from domain.peers import EdgeJournal
from domain.users import User
from projections import ALL
from projections.search import open_sender
from runtime.audit.export import BadHeads
from runtime.audit.redactions import RedactionRefused
from runtime.cli.audit import audit_commands
from runtime.cli.backup import backup_commands
from runtime.cli.dead_letters import dead_letters_commands
from runtime.cli.events import add_journal_export, events_commands
from runtime.cli.journal import journal_commands
from runtime.cli.mail import mail_commands
from runtime.cli.projections import UnknownProjection, projections_commands
from runtime.configuration import load
from runtime.db import ForgetfulServer
from runtime.demo import demo_command
from runtime.embedded import EngineError, Postgres, Valkey
from runtime.event_archive.files import ArchiveBroken
from runtime.event_archive.move import ArchiveRefused as EventArchiveRefused
from runtime.export.announces import Reading
from runtime.export.files import ExportDamaged, ExportRefused
from runtime.export.selection import BadSelection
from runtime.journal import BrokenChain
from runtime.journal_archive import ArchiveRefused
from runtime.journal_encryption import Beside, Declare, Encrypt
from runtime.keys_database import KeysElsewhere, prepare_databases
from runtime.platform import Platform
from runtime.rebuild import RebuildFailed, RebuildRunning
from runtime.secrets import SecretsError
from runtime.settings import Settings, SettingsError
from runtime.site import open_platform, open_projections
from runtime.up import up as supervise
from runtime.up import with_embedded

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
users = typer.Typer(no_args_is_help=True, help="Accounts, made on the machine.")
app.add_typer(users, name="users")


FIRST_SYSOP = "first sysop: tracker users create --username NAME --email MAIL --group sysop"


class UsageError(Exception):
    """The command line asks for something that is not there; `str(error)` is one line."""


#: What an operator can do something about.
EXPECTED = (
    UsageError,
    UnknownProjection,
    SettingsError,
    SecretsError,
    EngineError,
    DomainError,
    ForgetfulServer,
    KeysElsewhere,
    RebuildRunning,
    RebuildFailed,
    ArchiveRefused,
    EventArchiveRefused,
    ArchiveBroken,
    BrokenChain,
    BadSelection,
    ExportRefused,
    ExportDamaged,
    BadHeads,
    RedactionRefused,
)


@app.command()
def up() -> None:
    """Run everything on this machine: engines, API, worker, edge."""
    raise typer.Exit(supervise(load(), _prepare))


@app.command()
def api() -> None:
    """Run the API alone."""
    from runtime.api import serve

    serve(_attached(load()))


@app.command()
def worker() -> None:
    """Run the projections and policies alone."""
    from runtime.worker.process import serve

    serve(_attached(load()))


@app.command()
def edge() -> None:
    """Run the announce edge alone."""
    from runtime.edge import serve

    serve(_attached(load()))


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema and default data."""
    for line in _prepare(_attached(load())):
        typer.echo(line)


@users.command("create")
def create(
    username: Annotated[str, typer.Option()],
    email: Annotated[str, typer.Option()],
    group: Annotated[str, typer.Option()] = "member",
) -> None:
    """Make an account; the password is read from standard input."""
    password = typer.prompt("password", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    from commands.registration import create_user

    with _platform() as platform:
        receipt = create_user(
            platform.store(SYSTEM, "cli"),
            platform.secrets.site,
            username=username,
            email=email,
            password=password,
            group=group,
            now=datetime.now(UTC),
        )
    typer.echo(f"{username} is {receipt.id}, group {group}")


@users.command("erase")
def erase(user_id: UUID) -> None:
    """Forget a person, whoever it is, for good: also who manages the site. The worker completes what begins here."""
    from commands.erasures import begin_erasure

    typer.confirm(f"Forget {user_id} for good?", abort=True)
    with _platform() as platform:
        store = platform.store(SYSTEM, "cli")
        begin_erasure(store, store.get(User, user_id), datetime.now(UTC))
    typer.echo(f"{user_id} is shut out; the worker forgets the rest within seconds")


def erase_again(platform: Platform, user_id: UUID) -> bool:
    """Begin the erasure of a person of which a recovered database knows nothing yet; False when it does.

    Also of who has no account there: of such a person it has a data key, or nothing.
    """
    from commands.erasures import begin_erasure, forget_stranger

    store, now = platform.store(SYSTEM, "cli"), datetime.now(UTC)
    user = store.find(User, user_id)
    if user is None and platform.keyring.read_keys([user_id.bytes]) != [None]:
        return forget_stranger(store, user_id, (), (), platform.settings.security.keep_strangers_days, now)
    if user is None or user.erased:
        return False
    begin_erasure(store, user, now)
    return True


def main() -> None:
    """Entry point: what an operator did wrong, or what is away, is one line and not a traceback."""
    try:
        app()
    except EXPECTED as error:
        _fail(str(error))
    except psycopg.OperationalError as error:
        _fail("the database is away: " + str(error).strip().splitlines()[0])


def _fail(line: str) -> None:
    sys.stderr.write(f"tracker: {line}\n")
    raise SystemExit(1)


def _prepare(settings: Settings) -> list[str]:
    """Schema and default data up to date; answers what a newcomer should read."""
    from commands.default_data import seed
    from commands.usernames import claim_looks

    prepare_databases(settings)
    with open_platform(settings) as platform:
        seed(platform.store(SYSTEM, "seed"))
        claim_looks(platform.history, lambda: platform.store(SYSTEM, "seed"), platform.secrets.site)
        with platform.pool.connection() as connection:
            has_staff = connection.execute(
                "SELECT EXISTS (SELECT FROM read.account WHERE group_slug = 'sysop')"
            ).fetchone()
    return [] if has_staff == (True,) else [FIRST_SYSOP]


def _attached(settings: Settings) -> Settings:
    """Settings with the addresses of the engines of a running `tracker up` where they name no server."""
    redis = settings.redis
    if not settings.database.url:
        postgres = Postgres(settings.data_dir.resolve())
        if not postgres.is_ready():
            raise UsageError("no APP__DATABASE__URL is set and no `tracker up` runs with this data directory")
        settings = with_embedded(settings, postgres)
    if not redis.url:
        redis = redis.model_copy(update={"url": Valkey(settings.data_dir.resolve()).url()})
    return settings.model_copy(update={"redis": redis})


@contextmanager
def _platform() -> Iterator[Platform]:
    with open_platform(_attached(load())) as platform:
        yield platform


def encrypting(platform: Platform) -> tuple[Encrypt, Declare]:
    """How addresses in the columns of a segment are encrypted, and how that is recorded."""

    def encrypt(payload: bytes) -> bytes:
        return encrypted(payload, platform.keyring.write_keys)

    def declare(edge_id: str, first: int, last: int, of_all: bytes, beside: Beside) -> None:
        kind, stream_id = EdgeJournal.AddressesEncrypted, EdgeJournal.encryption_id(edge_id)
        said = {"edge_id": edge_id, "first_seq": first, "last_seq": last, "sha256": of_all.hex()}
        platform.store(SYSTEM, "cli").record(kind, stream_id, beside=beside, **said)

    return encrypt, declare


ANNOUNCES = Reading(decode, lambda number: Event(number).name.lower(), client)
app.add_typer(add_journal_export(journal_commands(_platform, encrypting), _platform, ANNOUNCES), name="journal")
app.add_typer(mail_commands(load, _platform), name="mail")
projections = projections_commands(lambda: _attached(load()), open_projections, ALL)
projections.add_typer(dead_letters_commands(_platform), name="dead-letters")
app.add_typer(projections, name="projections")
app.add_typer(backup_commands(load, _attached, open_platform, ALL, open_sender, erase_again), name="backup")
app.add_typer(events_commands(_platform, EVENTS), name="events")
app.add_typer(audit_commands(_platform), name="audit")
app.command("demo")(demo_command(_platform))
