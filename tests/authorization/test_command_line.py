"""Every verb of the command line: whoever runs it holds the machine, so what matters is in whose name it acts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from runtime import cli
from runtime.cli.main import app

#: Verbs that save facts of the site, all in the name of the system, which no account can take on.
AS_THE_SYSTEM = {"up", "migrate", "users create", "users erase", "backup recover", "journal encrypt"}
#: Makes up people and acts in their names, which are nobody's accounts before.
AS_MADE_UP_PEOPLE = {"demo"}
#: Verbs that run a part, read, or work on what is derived or kept: no command, so nobody acts.
AS_NOBODY = {
    "api", "worker", "edge",
    "mail list", "mail show", "mail queue", "mail retry",
    "journal list", "journal verify", "journal archive", "journal restore", "journal export",
    "projections status", "projections rebuild", "projections verify", "projections diff", "projections pause",
    "projections resume", "projections cancel", "projections rollback", "projections drop-standby",
    "projections what-if", "projections drop-schema", "projections carry-out", "projections check",
    "projections dead-letters list", "projections dead-letters show", "projections dead-letters replay",
    "projections dead-letters on-error", "projections dead-letters ignore-type",
    "backup base", "backup verify-base",
    "backup create", "backup list", "backup verify", "backup restore", "backup prune", "backup edges",
    "events tail", "events show", "events stats", "events export", "events verify-export",
    "events archive", "events archives", "events restore-archive",
    "audit verify", "audit head", "audit heads", "audit verify-export", "audit redact", "audit redactions",
}  # fmt: skip


def verbs(command: Any, name: str = "") -> Iterator[str]:
    if not hasattr(command, "commands"):
        yield name
        return
    for word, inner in command.commands.items():
        yield from verbs(inner, f"{name} {word}".strip())


def test_every_verb_has_a_row_and_every_row_a_verb() -> None:
    assert set(verbs(typer.main.get_command(app))) == AS_THE_SYSTEM | AS_MADE_UP_PEOPLE | AS_NOBODY


def test_what_verbs_save_is_in_the_name_of_the_system() -> None:
    """A store of the command line has no other actor: an operator who could take a user's name would leave no trace."""
    found = [actor for file in Path(cli.__file__).parent.glob("*.py") for actor in _actors(file.read_text())]
    assert found
    assert set(found) == {"SYSTEM"}


def _actors(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "store":
            yield ast.unparse(node.args[0])
