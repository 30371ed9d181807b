"""What the commands say, and what they refuse in one line."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import typer
from typer.testing import CliRunner

import domain
from domain.announces import Event, decode
from domain.base import SYSTEM
from domain.clients import client
from domain.users import User
from projections.users import users
from runtime.cli.events import add_journal_export, events_commands
from runtime.cli.main import EXPECTED
from runtime.export.announces import Reading
from runtime.platform import Platform
from tests.given import NOON, Given, event, projected
from tests.history import write_history

pytestmark = pytest.mark.engine

READING = Reading(decode, lambda number: Event(number).name.lower(), client)


class Shell:
    """Runs sub-commands on a site."""

    def __init__(self, platform: Platform) -> None:
        open_platform = lambda: nullcontext(platform)  # noqa: E731
        self._app = typer.Typer()
        self._app.add_typer(events_commands(open_platform, domain.EVENTS), name="events")
        journal = add_journal_export(typer.Typer(), open_platform, READING)
        journal.callback()(lambda: None)
        self._app.add_typer(journal, name="journal")

    def __call__(self, *words: object) -> str:
        result = CliRunner().invoke(self._app, [str(word) for word in words], env={"COLUMNS": "200"})
        assert result.exception is None, result.output
        return result.stdout

    def json(self, *words: object) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self(*words, "--json").splitlines()]

    def refused(self, *words: object) -> str:
        """The one line that the program prints for what an operator did wrong."""
        error = CliRunner().invoke(self._app, [str(word) for word in words]).exception
        assert isinstance(error, EXPECTED), repr(error)
        assert "\n" not in str(error)
        return str(error)


@pytest.fixture
def shell(platform: Platform) -> Shell:
    return Shell(platform)


@pytest.fixture
def people(given: Given) -> list[UUID]:
    """Two users, a day apart, who were disabled; the second by the first."""
    ids = [uuid4(), uuid4()]
    for n, user_id in enumerate(ids):
        at = NOON + timedelta(days=n)
        given.facts(event(User.Registered, user_id, 1, at, username=f"user{n}", email=f"{n}@x.org", group="member"))
        Given(given.platform, ids[0] if n else SYSTEM).facts(event(User.Disabled, user_id, 2, at, reason="\x1b[2J‮no"))
    projected(given.platform, users)
    return ids


def test_tail_prints_the_newest_a_line_each(shell: Shell, people: list[UUID]) -> None:
    lines = shell("events", "tail", "-n", 3).splitlines()
    assert len(lines) == 3
    assert lines[0] == (
        f"        2  2031-01-01 12:00:00  user.disabled                {people[0]}/2  by system"
        '  reason="\\u001b[2J\\u202eno"'
    )
    assert f"by {people[0]}" in lines[2]
    assert shell("events", "tail", "-n", 0) == ""


def test_tail_filters_by_type_stream_actor_time_and_position(shell: Shell, people: list[UUID]) -> None:
    def positions(*words: object) -> list[int]:
        return [one["position"] for one in shell.json("events", "tail", *words)]

    assert positions() == [1, 2, 3, 4]
    assert positions("--type", "user.disabled", "--type", "torrent.*") == [2, 4]
    assert positions("--type", "user.*", "-n", 2) == [3, 4]
    assert positions("--stream", people[1]) == [3, 4]
    assert positions("--actor", "system") == [2]
    assert positions("--actor", people[0]) == positions("--actor", "USER0") == [4]
    assert positions("--since", "2031-01-02") == [3, 4]
    assert positions("--until", "2031-01-02") == [1, 2]
    assert positions("--since", "2h") == [1, 2, 3, 4]  # all of it happened in 2031
    assert positions("--from", 2, "--to", 3) == [2, 3]
    assert positions("--from", 2, "--type", "user.registered", "--until", "2031-01-02T12:00:00Z") == []


def test_tail_that_follows_goes_on_where_the_newest_end(shell: Shell, people: list[UUID]) -> None:
    found = shell.json("events", "tail", "-f", "-n", 2, "--to", 4)
    assert [one["position"] for one in found] == [3, 4]


def test_show_prints_one_event_and_no_personal_text(shell: Shell, people: list[UUID]) -> None:
    lines = dict(line.split(maxsplit=1) for line in shell("events", "show", 1).splitlines())
    assert lines["topic"] == "user.registered"
    assert lines["stream_id"] == str(people[0])
    assert (lines["username"], lines["email"], lines["group"]) == ("null", "null", '"member"')
    (permitted,) = shell.json("events", "show", 1, "--with-personal", "--yes")
    assert permitted["payload"] == {"username": "user0", "email": "0@x.org", "group": "member"}
    assert r'"\u001b[2J\u202eno"' in shell("events", "show", 2)


def test_stats_add_up(shell: Shell, people: list[UUID]) -> None:
    (found,) = shell.json("events", "stats")
    assert (found["events"], found["first_position"], found["last_position"]) == (4, 1, 4)
    assert {topic: count["events"] for topic, count in found["types"].items()} == {
        "user.disabled": 2,
        "user.registered": 2,
    }
    assert {day: count["events"] for day, count in found["days"].items()} == {"2031-01-01": 2, "2031-01-02": 2}
    assert sum(count["data_bytes"] for count in found["days"].values()) == found["data_bytes"]
    shown = shell("events", "stats", "--type", "user.registered")
    assert "user.disabled" not in shown
    assert "2031-01-02" in shown
    assert "2 events, " in shown
    assert "0 events, 0 bytes of data, no positions" in shell("events", "stats", "--type", "torrent.*")


def test_an_export_is_written_and_verified(shell: Shell, platform: Platform, tmp_path: Path) -> None:
    write_history(platform)
    for kind in ("events", "journal"):
        for form in ("parquet", "ndjson"):
            out = tmp_path / kind / form
            said = shell(kind, "export", "--format", form, "--out", out, "--per-file", 7)
            assert shell("events", "verify-export", out) == said
    assert said.startswith("12 announces in 2 files, edge-1/1/0 to edge-1/3/3\nmanifest sha256 ")
    text = (tmp_path / "journal" / "ndjson" / "announces-000001.ndjson").read_text()
    assert '"client":"libtorrent 2.1.1"' in text
    assert "203.0.113" not in text
    part = tmp_path / "events" / "ndjson" / "events-000001.ndjson"
    part.write_bytes(part.read_bytes()[:-1])
    assert shell.refused("events", "verify-export", part.parent) == "events-000001.ndjson was changed"


def test_personal_data_leaves_only_after_a_second_word(shell: Shell, platform: Platform, tmp_path: Path) -> None:
    write_history(platform)
    for words in (["events", "tail"], ["events", "show", 1], ["events", "export", "--out", tmp_path / "a"]):
        assert shell.refused(*words, "--with-personal").endswith("say --yes as well if you may have it")
    assert shell.refused("journal", "export", "--out", tmp_path / "a", "--with-addresses").startswith("this would show")
    assert not (tmp_path / "a").exists()
    out = tmp_path / "events"
    shell("events", "export", "--format", "ndjson", "--out", out, "--with-personal", "--yes", "--type", "case.*")
    assert "seen before" in (out / "events-000001.ndjson").read_text()
    shell("journal", "export", "--format", "ndjson", "--out", tmp_path / "j", "--with-addresses", "--yes")
    assert "203.0.113.1" in (tmp_path / "j" / "announces-000001.ndjson").read_text()


def test_what_cannot_be_is_refused_in_one_line(shell: Shell, people: list[UUID], tmp_path: Path) -> None:
    assert shell.refused("events", "show", 99) == "there is no event at position 99"
    assert "'torrent.aproved'" in shell.refused("events", "tail", "--type", "torrent.aproved")
    assert shell.refused("events", "tail", "--actor", "whoever") == "nobody is called 'whoever'"
    assert "is no time" in shell.refused("events", "stats", "--since", "tomorrow")
    assert "is no time" in shell.refused("journal", "export", "--out", tmp_path / "a", "--until", "tomorrow")
    (tmp_path / "mine").write_text("")
    assert "is not empty" in shell.refused("events", "export", "--out", tmp_path)
    assert "No such file" in shell.refused("events", "verify-export", tmp_path)


def test_the_program_has_the_commands() -> None:
    from runtime.cli.main import app

    events = CliRunner().invoke(app, ["events", "--help"]).output
    assert all(name in events for name in ("tail", "show", "stats", "export", "verify-export"))
    assert all(name in CliRunner().invoke(app, ["journal", "--help"]).output for name in ("restore", "export"))
