"""What `docs/graphql.md` shows can be asked, and what it says is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from domain.errors import DomainError
from runtime.graphql import errors, limits, prepare
from runtime.http.body import QuestionRoute
from tests.members import Client

TEXT = (Path(__file__).parents[2] / "docs/graphql.md").read_text()
EXAMPLES = re.findall(r"```graphql\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.engine
def test_its_examples_are_answered(client: Client) -> None:
    root = client.members.join("root", "sysop", points=1)
    torrent = root.uploads("A Film")
    client.members.catch_up()
    assert len(EXAMPLES) == 3
    for example in EXAMPLES:
        variables = {"id": str(torrent.id)} if "$id" in example else {}
        answer = client.api.post("/graphql", json={"query": example, "variables": variables}, headers=root.headers)
        assert answer.status_code == 200, answer.text
        assert "errors" not in answer.json(), answer.text
        assert None not in answer.json()["data"].values()


def test_it_names_every_refusal() -> None:
    def below(kind: type[DomainError]) -> set[str]:
        return {kind.code} | {code for one in kind.__subclasses__() for code in below(one)}

    named = set(re.findall(r"`([a-z_]+)`", TEXT))
    assert below(errors.DocumentRefused) - {"document_refused"} <= named


def test_it_says_how_much_is_allowed() -> None:
    table = dict(re.findall(r"^\| (.*?) \| ([0-9,]+)(?: \w+)? ?", TEXT.split("## Limits")[1], re.MULTILINE))
    said = {name.partition(",")[0].partition(";")[0]: int(amount.replace(",", "")) for name, amount in table.items()}
    assert said == {
        "body": QuestionRoute.max_bytes // 1024,
        "tokens": limits.MAX_TOKENS,
        "levels": limits.MAX_DEPTH,
        "root fields": limits.MAX_ROOT_FIELDS,
        "aliases": limits.MAX_ALIASES,
        "fragments": limits.MAX_FRAGMENTS,
        "one field in one place": limits.MAX_REPEATS,
        "fields under one root field that lead to other answers": prepare.MAX_JOINS,
        "objects that the answer can have: a page counts as `first` of them": prepare.MAX_COST,
        "time": 5,
    }
