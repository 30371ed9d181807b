"""`tracker audit`: whether the log is what it was, what the site has signed about it, and what had to be taken out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from runtime import journal_archive
from runtime.audit import export, redactions, stored
from runtime.audit.block import PURPOSE, Block, public_key, signing_key
from runtime.audit.chain import Tampered
from runtime.audit.verify import Verified, verify, verify_journals
from runtime.event_archive.files import ArchiveBroken
from runtime.journal import BrokenChain
from runtime.platform import Platform

OpenPlatform = Callable[[], AbstractContextManager[Platform]]

Against = Annotated[Path | None, typer.Option("--against", help="heads that you kept: the log must go on from them")]


def audit_commands(open_platform: OpenPlatform) -> typer.Typer:
    """The sub-commands; `open_platform` gives the site that the settings name."""
    app = typer.Typer(no_args_is_help=True, help="Evidence that nobody changed the log.")

    @app.command("verify")
    def verify_(against: Against = None) -> None:
        """Compare every event and journal with what was sealed; exit 1 at the first that differs."""
        known = list(export.read_heads(against).blocks) if against else []
        with open_platform() as platform, platform.audit_pool.connection() as connection, _progress() as tell:
            connection.execute("SET statement_timeout = 0")
            try:
                found = verify(connection, _key(platform), known, platform.history.archive, tell)
                verify_journals(connection, platform.history.archive)
                chains = list(journal_archive.verify_all(connection, platform.settings.data_dir / "archive"))
            except (Tampered, BrokenChain, ArchiveBroken) as error:
                typer.echo(str(error))
                raise typer.Exit(1) from None
        _say(found, len(chains))

    @app.command()
    def head(as_json: Annotated[bool, typer.Option("--json", help="to keep for --against")] = False) -> None:
        """The newest head that the site has signed, and the key that it signs with."""
        with open_platform() as platform, platform.audit_pool.connection() as connection:
            found, key = stored.last_block(connection), public_key(platform.site_key(PURPOSE)).hex()
        if as_json:
            typer.echo("\n".join(export.head_lines([found] if found else [], [], key)))
            return
        typer.echo(f"public key {key}")
        typer.echo("nothing is sealed yet" if found is None else _described(found))

    @app.command()
    def heads(out: Annotated[Path, typer.Option("--out", help="a file that is not there yet")]) -> None:
        """Every head and redaction into a file, by which an export of the events can be checked without the site."""
        with open_platform() as platform, platform.audit_pool.connection() as connection, out.open("x") as file:
            key, gone = public_key(platform.site_key(PURPOSE)).hex(), redactions.redactions(connection)
            for line in export.head_lines(stored.blocks(connection), gone, key):
                file.write(line + "\n")

    @app.command("verify-export")
    def verify_export(
        directory: Annotated[Path, typer.Argument(help="what `tracker events export --format ndjson` wrote")],
        heads: Annotated[Path, typer.Option("--heads", help="what `tracker audit heads` wrote")],
        key: Annotated[str, typer.Option("--key", help="the site's public key as you know it, in hex")],
    ) -> None:
        """Check an export of all events against the site's heads. Needs neither the site nor its settings."""
        try:
            found = export.check_export(directory, heads, key)
        except Tampered as error:
            typer.echo(str(error))
            raise typer.Exit(1) from None
        typer.echo(
            f"{found.blocks} blocks, {found.events} events, {found.contents} with what they say,"
            f" {found.redacted} redacted, {found.unsealed} beyond the last head, 0 flaws"
        )

    @app.command()
    def redact(
        position: Annotated[int, typer.Argument(min=1)],
        fields: Annotated[list[str], typer.Option("--field", help="a text of the event; may be repeated")],
        reason: Annotated[str, typer.Option("--reason", help="shown to everybody who checks the log")],
    ) -> None:
        """Blank texts of one event for good, and declare it. Personal text needs no redaction: erase its person."""
        with open_platform() as platform:
            url = platform.settings.database.owner_url or platform.settings.database.url
            with psycopg.connect(url, autocommit=True) as owner:
                key = signing_key(platform.site_key(PURPOSE))
                redactions.redact(owner, key, platform.history.codec.event, position, fields, reason)
        typer.echo(f"position {position} is redacted; now restart every role and rebuild the read tables:")
        typer.echo("tracker projections rebuild --all")

    @app.command("redactions")
    def list_redactions() -> None:
        """What was taken out of the log, when, and why."""
        with open_platform() as platform, platform.audit_pool.connection() as connection:
            for one in redactions.redactions(connection):
                typer.echo(f"{one.position}  {one.redacted_at:%Y-%m-%d}  {', '.join(one.fields)}  {one.reason}")

    return app


def _key(platform: Platform) -> Ed25519PublicKey:
    return signing_key(platform.site_key(PURPOSE)).public_key()


def _described(block: Block) -> str:
    return json.dumps(block.described(), indent=1)


def _say(found: Verified, chains: int) -> None:
    typer.echo(
        f"{found.blocks} blocks, {found.events} events, {found.unsealed} not sealed yet, {found.redacted} redacted,"
        f" {chains} journals, 0 flaws"
    )
    if found.head:
        typer.echo(f"head {found.head.no} tree {found.head.tree.hex()}")


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    columns: tuple[Any, ...] = (TextColumn("events"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("events", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
