"""`tracker projections dead-letters`: what an operator does about facts that a follower could not handle."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from runtime.dead_letters import DeadLetter, dead_letters, replay
from runtime.follower_settings import ignore_type, set_on_error
from runtime.platform import Platform
from runtime.projection import OnError

Name = Annotated[str, typer.Argument(help="a projection or policy")]
AnyName = Annotated[str | None, typer.Argument(help="a projection or policy; all without it")]
Position = Annotated[int, typer.Argument(help="as listed")]
Stream = Annotated[UUID | None, typer.Option(help="this stream only")]
Wanted = Annotated[OnError | None, typer.Argument(help="as the code declares it without it")]


def dead_letters_commands(open_platform: Callable[[], AbstractContextManager[Platform]]) -> typer.Typer:
    """The sub-commands; `open_platform` gives the site that the settings name."""
    app = typer.Typer(no_args_is_help=True, help="Facts that projections and policies could not handle.")

    @app.command("list")
    def list_(name: AnyName = None) -> None:
        """The first thousand of them, in the order of the log."""
        table = Table("position", "follower", "event", "stream", "tries", "why")
        with open_platform() as platform:
            for letter in dead_letters(platform, name):
                table.add_row(
                    str(letter.position), letter.follower, letter.topic, str(letter.stream_id), str(letter.attempts),
                    _why(letter),
                )  # fmt: skip
        Console().print(table)

    @app.command()
    def show(name: Name, position: Position) -> None:
        """One of them with its whole error; exit 1 when there is none."""
        with open_platform() as platform:
            found = dead_letters(platform, name, after=position - 1, limit=1)
        if not found or found[0].position != position:
            typer.echo(f"{name} has no dead letter at position {position}")
            raise typer.Exit(1)
        letter = found[0]
        typer.echo(f"position {letter.position}, {letter.topic}, stream {letter.stream_id}")
        typer.echo(f"since {letter.at.isoformat()}, tried {letter.attempts} times")
        typer.echo(letter.error or _why(letter))

    @app.command("replay")
    def replay_(name: Name, stream: Stream = None) -> None:
        """Handle them after all, each stream in order; exit 1 when one fails again."""
        with open_platform() as platform:
            done = replay(platform, name, stream)
        typer.echo(f"{done.handled} handled, {done.left} left")
        raise typer.Exit(1 if done.left else 0)

    @app.command("on-error")
    def on_error(name: Name, wanted: Wanted = None) -> None:
        """What a follower does about facts that it cannot handle: halt, park their stream, or skip them."""
        with open_platform() as platform:
            set_on_error(platform, name, wanted)
        typer.echo(f"{name}: {wanted.value if wanted else 'as the code declares it'}")

    @app.command("ignore-type")
    def ignore(topic: Annotated[str, typer.Argument(help="as in status")]) -> None:
        """Wait no longer for events of a type that this version does not know, because the one that did was taken
        back."""
        with open_platform() as platform:
            ignore_type(platform, topic)
        typer.echo(f"{topic} is ignored")

    return app


def _why(letter: DeadLetter) -> str:
    if letter.error:
        return letter.error.strip().splitlines()[-1]
    return "waits behind an earlier one of its stream"
