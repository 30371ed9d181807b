"""`tracker mail`: what a site without a mail server has written into its folder, and what waits for a server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from runtime.mail_delivery import FOLDER
from runtime.platform import Platform
from runtime.settings import Settings

Number = Annotated[int, typer.Argument(min=1, help="as `tracker mail list` counts")]


def mail_commands(
    load: Callable[[], Settings], open_platform: Callable[[], AbstractContextManager[Platform]]
) -> typer.Typer:
    """The sub-commands; only the folder can be read without a database."""
    app = typer.Typer(invoke_without_command=True, help="Mail that the site has sent, or has yet to send.")

    @app.callback()
    def otherwise(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            list_mail()

    @app.command("list")
    def list_mail() -> None:
        """The mails in the folder of a site without a mail server, the newest last."""
        settings = load()
        if settings.mail.url:
            typer.echo("mail leaves through APP__MAIL__URL; `tracker mail queue` lists what has not left yet")
            return
        table = Table("number", "date", "to", "subject")
        for number, path in enumerate(_files(settings), start=1):
            mail = _read(path)
            table.add_row(str(number), str(mail["Date"]), str(mail["To"]), str(mail["Subject"]))
        Console().print(table)

    @app.command()
    def show(number: Number) -> None:
        """One mail of the folder, whole."""
        files = _files(load())
        if number > len(files):
            typer.echo(f"there are {len(files)} mails", err=True)
            raise typer.Exit(1)
        mail = _read(files[number - 1])
        for name in ("To", "Subject", "Date"):
            typer.echo(f"{name}: {mail[name]}")
        typer.echo("\n" + "\n".join(mail.get_content().splitlines()))

    @app.command()
    def queue() -> None:
        """What has not been delivered: what waits, and what is dead."""
        table = Table("mail", "posted", "tries", "state", "last error")
        with open_platform() as platform, platform.pool.connection() as connection:
            rows = connection.execute(
                "SELECT mail_id, posted_at, tries, CASE WHEN dead_at IS NULL THEN 'waiting' ELSE 'dead' END,"
                " coalesce(error, '') FROM credentials.mail ORDER BY mail_id"
            ).fetchall()
        for mail_id, posted_at, *rest in rows:
            table.add_row(str(mail_id), f"{posted_at:%Y-%m-%d %H:%M}", *map(str, rest))
        Console().print(table)

    @app.command()
    def retry() -> None:
        """Try everything again now, dead mail too."""
        with open_platform() as platform, platform.pool.connection() as connection:
            tried = connection.execute(
                "UPDATE credentials.mail SET dead_at = NULL, tries = 0, due_at = %s", (datetime.now(UTC),)
            ).rowcount
        typer.echo(f"{tried} mails are tried again")

    return app


def _files(settings: Settings) -> list[Path]:
    """Mail ids are in the order of time, and they are the files' names."""
    return sorted((settings.data_dir / FOLDER).glob("*.eml"))


def _read(path: Path) -> EmailMessage:
    return message_from_bytes(path.read_bytes(), policy=policy.default)
