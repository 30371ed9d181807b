"""`tracker demo`: what an operator asks for, and the progress and the sums that are shown."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from runtime.demo.books import Bytes
from runtime.demo.scope import MONTH_US, SNATCHES, Scope
from runtime.platform import Platform

if TYPE_CHECKING:
    from runtime.demo.generate import Done

Users = Annotated[int, typer.Option(min=1, help="accounts, staff among them")]
Torrents = Annotated[int, typer.Option(min=1, help="uploads")]
Months = Annotated[int, typer.Option(min=1, max=240, help="of 30 days, the last of which is over")]
Seed = Annotated[int, typer.Option(min=0, help="another one is another history")]
Until = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="end of the history, UTC  [default: today, 00:00]")
]
Snatches = Annotated[float, typer.Option(min=0.1, help="downloads that a member begins in a month, on average")]
Force = Annotated[bool, typer.Option("--force", help="though the site has users")]


def demo_command(open_platform: Callable[[], AbstractContextManager[Platform]]) -> Callable[..., None]:
    """The command; `open_platform` gives the site that the settings name."""

    def demo(
        users: Users = 5000,
        torrents: Torrents = 20_000,
        months: Months = 12,
        seed: Seed = 1,
        until: Until = None,
        snatches: Snatches = SNATCHES,
        force: Force = False,
    ) -> None:
        """Make the history of a site that never was, for demonstrations and benchmarks."""

        from runtime.demo.generate import generate  # and with it every command

        end = (until or datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)).replace(tzinfo=UTC)
        if end > datetime.now(UTC):
            raise typer.BadParameter("a history ends in the past", param_hint="--until")
        start = end - timedelta(microseconds=months * MONTH_US)
        scope = Scope(users, torrents, start, end, seed, snatches)
        with open_platform() as platform, _progress() as progress:
            task = progress.add_task("history", total=1.0, counts="")

            def tell(part: float, events: int, announces: int) -> None:
                elapsed = progress.tasks[task].elapsed or 1.0
                counts = f"{events:,} events, {announces:,} announces, {(events + announces) / elapsed:,.0f}/s"
                progress.update(task, completed=part, counts=counts)

            # Not one that everybody knows: staff are among the accounts, and the site may be reached from outside.
            password = secrets.token_urlsafe(12)
            done = generate(platform, scope, password, force=force, tell=tell)
        for line in summary(done):
            typer.echo(line)
        typer.echo(f"every account of the demo signs in with the password {password}")

    return demo


def summary(done: Done) -> list[str]:
    """What was made, in words."""
    books = done.books
    sums = [Bytes(), *books.users.values()]
    raw_up, raw_down, up, down = (sum(column) for column in zip(*map(astuple, sums), strict=True))
    return [
        f"{done.users:,} users and {done.torrents:,} torrents in {done.seconds:.1f} s",
        f"{done.events:,} events, {done.events_s:,.0f}/s of the {done.commands_s:.1f} s that commands took",
        f"{done.announces:,} announces in {done.segments:,} segments of {done.journal_bytes / 2**20:.1f} MiB,"
        f" {done.announces_s:,.0f}/s of the rest",
        f"by its own books: {raw_up:,} bytes up and {raw_down:,} down, which count {up:,} and {down:,};"
        f" {sum(books.points.values()) // 1000:,} points; {books.lies:,} announces that nobody should believe",
    ]


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)
