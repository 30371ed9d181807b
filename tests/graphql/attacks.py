"""Documents that somebody sends to make the site work, or tell, more than it should; and how each is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

ID = '"0199a4f0-5b5c-7c3e-9d1e-7a2f6a1c9b00"'


class Attack(NamedTuple):
    name: str
    document: str
    code: str
    variables: dict[str, Any] | None = None


def attacks() -> Iterator[Attack]:
    yield from _too_deep()
    yield from _too_long()
    yield from _too_wide()
    yield from _too_costly()
    yield from _too_joined()
    yield from _curious()
    yield from _malformed()
    yield from _bad_values()


def _nested(levels: int, field: str = "uploader") -> str:
    return "{ torrents { items " + f"{{ {field} " * levels + "{ id }" + " }" * levels + " } }"


def _too_deep() -> Iterator[Attack]:
    """H2"""
    yield Attack("depth 11", _nested(8, "user"), "too_deep")
    yield Attack("depth 60", _nested(60, "user"), "too_deep")
    yield Attack("depth 3,000", _nested(3000, "user"), "too_deep")
    fragments = " ".join(f"fragment f{n} on Person {{ user {{ ...f{n + 1} }} }}" for n in range(12))
    yield Attack("deep by fragments", f"{{ user(user_id: {ID}) {{ ...f0 }} }} {fragments}", "too_deep")
    yield Attack("a fragment in itself", "{ ...a } fragment a on Query { ...a }", "too_deep")
    circle = "{ ...a } fragment a on Query { ...b } fragment b on Query { ...c } fragment c on Query { ...a }"
    yield Attack("three in a circle", circle, "too_deep")
    inside = "{ torrents { ...a } } fragment a on TorrentItemPage { items { uploader { ...b } } }"
    yield Attack("a circle further down", inside + " fragment b on Person { user { ...b } }", "too_deep")
    yield Attack("inline fragments", "{ " + "... { " * 300 + "groups { __typename }" + " }" * 301, "too_deep")
    yield Attack("lists in lists", f"{{ user(user_id: {'[' * 900}{']' * 90}) {{ id }} }}", "too_deep")
    yield Attack("objects in objects", f"{{ user(user_id: {'{a: ' * 300}1{'}' * 300}) {{ id }} }}", "too_deep")


def _too_long() -> Iterator[Attack]:
    """H3"""
    aliases = " ".join(f"a{n}: groups {{ id }}" for n in range(5000))
    yield Attack("5,000 aliases", f"{{ {aliases} }}", "too_many_tokens")
    yield Attack("20,000 fields", "{ torrents { items { " + "id " * 20_000 + "} } }", "too_many_tokens")
    yield Attack("5,000 directives", "{ groups " + "@skip(if: false) " * 5000 + "{ __typename } }", "too_many_tokens")
    operations = " ".join(f"query q{n} {{ groups {{ __typename }} }}" for n in range(10_000))
    yield Attack("10,000 operations", operations, "too_many_tokens")
    yield Attack("__typename 1,000 times", "{ groups { items { " + "__typename " * 1000 + "} } }", "too_many_tokens")
    yield Attack("2,000 comments", "#\n" * 2000 + "{ groups { __typename } }", "too_many_tokens")
    yield Attack("1,000 variables", f"query({' '.join(f'$v{n}: ID' for n in range(1000))}) {{ x }}", "too_many_tokens")
    fragments = " ".join(
        f"fragment f{n} on Query {{ {' '.join(f'a{n}x{m}: groups {{ id }}' for m in range(50))} }}" for n in range(100)
    )
    yield Attack("100 fragments of 50 aliases", "{ ...f0 } " + fragments, "too_many_tokens")


def _too_wide() -> Iterator[Attack]:
    """H3 within a thousand tokens"""
    aliases = " ".join(f"a{n}: name" for n in range(31))
    yield Attack("31 aliases", f"{{ torrents {{ items {{ {aliases} }} }} }}", "too_many_aliases")
    some = "fragment f on TorrentItem { " + " ".join(f"a{n}: name" for n in range(8)) + " }"
    four_times = "{ torrents { items { ...f ...f ...f ...f } } } " + some
    yield Attack("8 aliases spread 4 times", four_times, "too_many_aliases")
    bomb = " ".join(f"fragment f{n} on TorrentItem {{ ...f{n + 1} ...f{n + 1} }}" for n in range(19))
    bomb += " fragment f19 on TorrentItem { a: name }"
    yield Attack("a fragment bomb", f"{{ torrents {{ items {{ ...f0 }} }} }} {bomb}", "too_many_aliases")
    roots = " ".join(f"a{n}: groups {{ __typename }}" for n in range(11))
    yield Attack("11 root fields", f"{{ {roots} }}", "too_many_root_fields")
    spread = "fragment f on Query { groups { __typename } forums { __typename } rooms { __typename } }"
    yield Attack("3 root fields 4 times", "{ " + "...f " * 4 + f"}} {spread}", "too_many_root_fields")
    yield Attack("a field 11 times", "{ torrents { items { " + "name " * 11 + "} } }", "too_repetitive")
    yield Attack("a field 900 times", "{ torrents { items { " + "name " * 900 + "} } }", "too_repetitive")
    yield Attack("inline fragments 11 times", "{ groups { " + "... { __typename } " * 11 + "} }", "too_repetitive")
    many = " ".join(f"fragment f{n} on Query {{ groups {{ __typename }} }}" for n in range(21))
    yield Attack("21 fragments", "{ " + " ".join(f"...f{n}" for n in range(21)) + f" }} {many}", "too_many_fragments")
    yield Attack("31 directives", "{ groups " + "@skip(if: false) " * 31 + "{ __typename } }", "too_repetitive")


def _too_costly() -> Iterator[Attack]:
    page = "torrents(first: 100) { items { uploader { user { profile { title } stats { id } } } } }"
    yield Attack("three long pages", f"{{ a: {page} b: {page} c: {page} }}", "too_costly")
    bounties = "{ requests(first: 100) { items { bounties { contributor { user { id } } } } } }"
    yield Attack("lists in lists", bounties, "too_costly")
    first = "query($n: Int64) { requests(first: $n) { items { bounties { contributor { id } } } } }"
    yield Attack("a page as long as a variable says", first, "too_costly", {"n": 100})
    bomb = " ".join(f"fragment f{n} on TorrentItem {{ ...f{n + 1} ...f{n + 1} }}" for n in range(19))
    bomb += " fragment f19 on TorrentItem { uploader { id } }"
    yield Attack("a fragment bomb without aliases", f"{{ torrents {{ items {{ ...f0 }} }} }} {bomb}", "too_costly")


def _too_joined() -> Iterator[Attack]:
    one = "{ id user { stats { id } } }"
    wish = f"{{ requester {one} filler {one} bounties {{ contributor {one} }} torrent {{ uploader {one} }} }}"
    yield Attack("ten joins", f"{{ requests(first: 2) {{ items {wish} }} }}", "too_many_joins")
    spread = f"{{ requests(first: 2) {{ items {{ ...w }} }} }} fragment w on RequestShown {wish}"
    halves = f"requests {{ items {{ requester {one} filler {one} torrent {{ id }} }} }}"
    halves += f" requests {{ items {{ bounties {{ contributor {one} }} }} }}"
    rest = f"requests {{ items {{ torrent {{ uploader {one} }} }} }}"
    yield Attack("ten joins in three places", f"{{ {halves} {rest} }}", "too_many_joins")
    yield Attack("ten joins in a fragment", spread, "too_many_joins")


def _curious() -> Iterator[Attack]:
    """H1, H9, H10, H12, H14"""
    yield Attack("introspection", "{ __schema { types { name } } }", "invalid_document")
    yield Attack("one type", '{ __type(name: "User") { fields { name } } }', "invalid_document")
    yield Attack("a name nearly right", "{ torrentz { items { id } } }", "invalid_document")
    yield Attack("a secret", f"{{ user(user_id: {ID}) {{ passkey }} }}", "invalid_document")
    yield Attack("an address", f"{{ user(user_id: {ID}) {{ ip }} }}", "invalid_document")
    yield Attack("a password", "{ own_account { password_hash } }", "invalid_document")
    yield Attack("sorted by what is hidden", "{ users(sort: uploaded) { items { id } } }", "invalid_document")
    yield Attack("filtered by what is hidden", "{ users(min_uploaded: 5) { items { id } } }", "invalid_document")
    yield Attack("a sort by a private column", "{ torrents(sort: uploader_id) { items { id } } }", "invalid_document")
    yield Attack("a command", "mutation { approve_torrent { id } }", "invalid_document")
    yield Attack("a subscription", "subscription { torrents { id } }", "invalid_document")
    yield Attack("a type of its own", "type Query { x: Int }", "invalid_document")
    two = "query a { groups { __typename } } query b { rooms { __typename } }"
    yield Attack("two operations", two, "invalid_document")
    yield Attack("an enum by number", "{ torrents(sort: 0) { items { id } } }", "invalid_document")
    yield Attack("a fragment on another type", "{ groups { ... on TorrentItem { name } } }", "invalid_document")
    yield Attack("an unknown directive", "{ groups @defer { __typename } }", "invalid_document")
    yield Attack("last", "{ torrents(first: 5, last: 5) { items { id } } }", "invalid_document")


def _malformed() -> Iterator[Attack]:
    for name, text in {
        "nothing": "", "blanks": "  ", "half": "{ groups {", "JSON": '{"groups": 1}', "SQL": "'; DROP TABLE x; --",
        "an open text": '{ user(user_id: "x) { id } }', "a letter": "{ gr\u00f6ups }",
    }.items():  # fmt: skip
        yield Attack(name, text, "malformed_document")


def _bad_values() -> Iterator[Attack]:
    """H6, H7, H17"""
    for first in ("0", "-1", "101", "1000000000", "9223372036854775807", "null"):
        yield Attack(f"first: {first}", f"{{ torrents(first: {first}) {{ items {{ id }} }} }}", "invalid_arguments")
    yield Attack("first: 10^30", f"{{ torrents(first: 1{'0' * 30}) {{ items {{ id }} }} }}", "invalid_document")
    yield Attack("first: text", '{ torrents(first: "5") { items { id } } }', "invalid_document")
    yield Attack("first: fraction", "{ torrents(first: 1.5) { items { id } } }", "invalid_document")
    asked = "query($n: Int64) { torrents(first: $n) { items { id } } }"
    for value in ("5", 1.5, True, [5], {"a": 1}):
        yield Attack(f"variable {value!r}", asked, "invalid_variables", {"n": value})
    yield Attack("a variable too many", asked, "invalid_variables", {"n": 5, "m": 5})
    one = "query($id: ID!) { user(user_id: $id) { id } }"
    nullable = 'query($id: ID! = "x") { user(user_id: $id) { id } }'
    yield Attack("null where a default is", nullable, "invalid_variables", {"id": None})
    yield Attack("a variable that is missing", one, "invalid_variables", {})
    yield Attack("no id", one, "invalid_arguments", {"id": "me"})
    yield Attack("an id in capitals", one, "invalid_arguments", {"id": ID.strip('"').upper()})
    moment = "query($at: DateTime) { users(seen_from: $at) { items { id } } }"
    for value in ("9999999-01-01T00:00:00Z", "2031-02-30T00:00:00Z", "2031-01-01T00:00:00"):
        yield Attack(f"moment {value}", moment, "invalid_arguments", {"at": value})
    yield Attack("a text too long", "query($q: String!) { search_torrents(q: $q) { engine } }", "invalid_arguments",
                 {"q": "x" * 257})  # fmt: skip
    yield Attack("a cursor too long", "query($c: String) { torrents(cursor: $c) { next_cursor } }", "invalid_arguments",
                 {"c": "x" * 2049})  # fmt: skip
