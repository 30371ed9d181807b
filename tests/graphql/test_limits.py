"""What is refused before anything is looked up, and what is not."""

from __future__ import annotations

import pytest

from queries import SCHEMA
from runtime.graphql import limits
from runtime.graphql.errors import DocumentRefused
from runtime.graphql.limits import read
from runtime.graphql.prepare import COUNTED_AS, MAX_COST, Prepared, prepare
from tests.graphql.attacks import Attack, attacks
from tests.graphql.documents import ROOTS, required, whole

ATTACKS = list(attacks())


def prepared(document: str, **variables: object) -> Prepared:
    return prepare(SCHEMA, document, variables, introspection=False)


def test_there_are_enough_of_them() -> None:
    assert len({attack.name + attack.document for attack in ATTACKS}) == len(ATTACKS) >= 60


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_refused(attack: Attack) -> None:
    with pytest.raises(DocumentRefused) as refused:
        prepare(SCHEMA, attack.document, attack.variables or {}, introspection=False)
    assert refused.value.code == attack.code
    told = str(refused.value.errors)
    assert "Did you mean" not in told
    assert not [name for name in ("graphql", "Traceback", "/") if name in told]
    assert {error["extensions"]["code"] for error in refused.value.errors} == {attack.code}


@pytest.mark.parametrize("root", sorted(ROOTS))
def test_everything_that_there_is_can_be_asked_at_once(root: str) -> None:
    """The limits leave room for the largest question that there is, about pages of ordinary length."""
    given = {name: _some(root, name) for name in required(root)}
    first = {"first": 10} if "first" in ROOTS[root].args else {}
    for document in whole(root, given | first):
        assert 0 < prepared(document).cost <= MAX_COST


def _some(root: str, name: str) -> object:
    kind = str(ROOTS[root].args[name].type).rstrip("!")
    return {"ID": "0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b00", "Int64": 1}.get(kind, "uploaded")


def test_at_its_bounds_a_document_is_answered() -> None:
    """One less than each limit, so that no limit is lower than it says."""
    aliases = " ".join(f"a{n}: name" for n in range(limits.MAX_ALIASES))
    prepared(f"{{ torrents {{ items {{ {aliases} }} }} }}")
    roots = " ".join(f"a{n}: groups {{ __typename }}" for n in range(limits.MAX_ROOT_FIELDS))
    prepared(f"{{ {roots} }}")
    read("{ a " * limits.MAX_DEPTH + "}" * limits.MAX_DEPTH)
    # two braces, and a name and two braces for each of the fragments' and fields' sets
    tokens = "{ a { " + " ".join(f"b{n}" for n in range(limits.MAX_TOKENS - 5)) + " } }"
    read(tokens)
    costly = "{ torrents(first: 99) { items { uploader { user { profile { title } stats { id } } } } }"
    assert prepared(costly + " groups { next_cursor } }").cost == 1 + 99 * 5 + 1


def test_cost_is_how_many_objects_there_can_be() -> None:
    assert prepared("{ groups { next_cursor } }").cost == 1
    assert prepared("{ torrents(first: 7) { items { id } } }").cost == 1 + 7
    assert prepared("{ torrents { items { uploader { id } } } }").cost == 1 + 25 * 2
    assert prepared("query($n: Int64) { torrents(first: $n) { items { id } } }", n=3).cost == 1 + 3
    assert prepared("{ requests(first: 2) { items { bounties { amount } } } }").cost == 1 + 2 * (1 + COUNTED_AS)
    in_fragment = "{ torrents(first: 4) { ...page } } fragment page on TorrentItemPage { items { id } }"
    assert prepared(in_fragment).cost == 1 + 4


def test_a_document_waits_for_the_projections_of_all_that_it_asks_and_joins() -> None:
    assert prepared("{ groups { next_cursor } }").projections == {"groups"}
    joined = prepared("{ requests { items { requester { user { stats { ratio } } } } } }").projections
    assert joined >= {"requests", "users", "privacy", "profiles", "relations", "peers", "bonus", "user_statistics"}


def test_an_operation_is_known_by_its_name() -> None:
    document = "query mine { groups { __typename } }"
    for name in (None, "mine"):
        prepare(SCHEMA, document, {}, name, introspection=False)
    for text, name in ((document, "yours"), ("{ groups { __typename } }", "mine")):
        with pytest.raises(DocumentRefused):
            prepare(SCHEMA, text, {}, name, introspection=False)


def test_outside_production_the_schema_describes_itself() -> None:
    from graphql import get_introspection_query

    prepare(SCHEMA, get_introspection_query(), {}, introspection=True)
    with pytest.raises(DocumentRefused):
        prepared(get_introspection_query())
