"""`tracker journal`: what an operator does with the stored announce journal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from runtime import journal_archive
from runtime.journal import BrokenChain
from runtime.journal_encryption import Declare, Encrypt, days_in_clear, encrypt_all
from runtime.platform import Platform

Day = Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="UTC, as in 2031-01-31")]


def journal_commands(
    open_platform: Callable[[], AbstractContextManager[Platform]],
    encrypting: Callable[[Platform], tuple[Encrypt, Declare]],
) -> typer.Typer:
    """The sub-commands; `open_platform` gives the site that the settings name, `encrypting` how addresses in a payload
    are encrypted and how that is recorded."""
    app = typer.Typer(no_args_is_help=True, help="The announce journal: days in the store and days in files.")

    @app.command("list")
    def list_days() -> None:
        """Every day of every edge, and where it lies."""
        table = Table("day", "edge", "first", "last", "announces", "where")
        with open_platform() as platform, platform.audit_pool.connection() as connection:
            stored = connection.execute(
                "SELECT day, edge_id, min(seq), max(seq), sum(announces) FROM journal.segment GROUP BY 1, 2"
            ).fetchall()
            files = journal_archive.archived(connection)
        rows = [(*row, "store") for row in stored]
        rows += [(one.day, one.edge_id, one.first_seq, one.last_seq, one.announces, "archive") for one in files]
        for row in sorted(rows):
            table.add_row(*map(str, row))
        Console().print(table)

    @app.command()
    def verify() -> None:
        """Check every chain from its first segment to its end, in the store and in files; exit 1 at the first flaw."""
        with open_platform() as platform, platform.audit_pool.connection() as connection:
            chains = segments = 0
            try:
                for head in journal_archive.verify_all(connection, platform.settings.data_dir / "archive"):
                    chains, segments = chains + 1, segments + head.seq
            except BrokenChain as error:
                typer.echo(str(error))
                raise typer.Exit(1) from None
            in_clear = days_in_clear(connection)
        typer.echo(f"{chains} chains, {segments} segments, 0 flaws")
        if in_clear:
            typer.echo(
                f"{in_clear} days have addresses in clear, which no erasure reaches: run `tracker journal encrypt`"
            )

    @app.command()
    def archive() -> None:
        """Move closed days that are older than APP__EDGE__JOURNAL_KEEP_DAYS into files."""
        moved = 0
        with open_platform() as platform, platform.projector_pool.connection() as connection:
            keep, root = platform.settings.edge.journal_keep_days, platform.settings.data_dir / "archive"
            for day in journal_archive.closed_days(connection, keep, datetime.now(UTC)):
                for one in journal_archive.archive(connection, root, day, keep):
                    typer.echo(f"{one.path(root)}: {one.last_seq - one.first_seq + 1} segments")
                moved += 1
        typer.echo(f"{moved} days archived")

    @app.command()
    def encrypt() -> None:
        """Encrypt addresses that were shipped in clear, by an older version: until then no erasure reaches them."""
        total = 0
        with open_platform() as platform, platform.projector_pool.connection() as connection:
            connection.execute("SET statement_timeout = 0")
            keep, root = platform.settings.edge.journal_keep_days, platform.settings.data_dir / "archive"
            for edge_id, day, count in encrypt_all(connection, root, keep, datetime.now(UTC), *encrypting(platform)):
                total += count
                typer.echo(f"{edge_id}, {day}: {count} segments")
        typer.echo(f"{total} segments encrypted")

    @app.command()
    def restore(day: Day) -> None:
        """Put an archived day back into the store, for a rebuild of the projections."""
        with open_platform() as platform, platform.projector_pool.connection() as connection:
            count = journal_archive.restore(connection, platform.settings.data_dir / "archive", day.date())
        typer.echo(f"{count} segments restored")

    return app
