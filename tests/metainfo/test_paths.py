"""Rows D15 to D20 of the bad-input catalogue: names and paths, in each version alike."""

from __future__ import annotations

from typing import Any

import pytest

from domain.metainfo import File, parse
from tests.metainfo.samples import (
    code_of,
    single_info,
    torrent,
    v1_info,
    v2_info,
    v2_torrent,
    with_paths,
    with_tree,
    without,
)

BAD_TYPES: tuple[Any, ...] = (1, [b"a"], {})

BAD_ANYWHERE = [
    *("", ".", "..", "a\\b", "C:", "a.", "a ", " a", "a\0b", "a\rb", "a\nb", "a\x1b[0mb", "a\x7fb", "a\x85b"),
    *("con", "PRN.txt", "Aux", "nul.tar.gz", "com1", "COM¹", "lpt9", "lpt0.x", "con .txt", "CONIN$", "a:b"),
    *("a?", "a*", "a|b", "<a>", 'a"b', "x" * 256, "é" * 128, "a" * 10_000),
    *("gpj.\u202eexe", "a\u2066b", "a\u200fb", "a\u061cb", "a\u200bb", "a\u200db", "a\ufeffb", "a\u2060b", "a\xadb"),
    *("a\u2028b", "a\u3164b", "a\U000e0041b", "a\uffffb", "\u3000a", "a\xa0"),
]
GOOD_ANYWHERE = [
    *("a", "con1", "console", "a.con", "comx", "com10", "lpt", "x" * 255, "é" * 127, "a b", "a..b", "😀", "❤️", "🇩🇪"),
    *("été.txt", "日本語", "سلام", "a'b`c$d%e&f", "(1) [x] {y} #z!", "e\u0301"),
]


@pytest.mark.parametrize("name", [*BAD_ANYWHERE, "a/b", "/etc", "~", "~root", "-rf", ".hidden"])
def test_d15_d16_d17_a_bad_name_is_refused(name: str) -> None:
    assert code_of(torrent(single_info(name=name.encode()))) == "bad_name"
    assert code_of(torrent(v1_info(name=name.encode()))) == "bad_name"
    assert code_of(v2_torrent(v2_info(name=name.encode()))) == "bad_name"


def test_d15_a_name_is_a_string() -> None:
    assert {code_of(torrent(single_info(name=name))) for name in BAD_TYPES} == {"bad_name"}
    assert code_of(torrent(without(single_info(), b"name"))) == "bad_name"


@pytest.mark.parametrize("name", GOOD_ANYWHERE)
def test_a_name_keeps_its_own_bytes(name: str) -> None:
    assert parse(torrent(single_info(name=name.encode()))).name == name
    assert parse(with_paths(f"{name}/{name}")).files == (File(f"{name}/{name}", 1),)


@pytest.mark.parametrize("raw", [b"\xff", b"\xc0\xae", b"\xed\xa0\x80", "é".encode("latin-1"), b"a" * 254 + b"\xc3"])
def test_d17_names_are_utf8(raw: bytes) -> None:
    assert code_of(torrent(single_info(name=raw))) == "bad_encoding"
    assert code_of(with_paths([b"a", raw])) == "bad_encoding"
    assert code_of(with_tree({raw: {b"": {b"length": 0}}})) == "bad_encoding"


def test_d18_the_utf8_forms_of_names_agree_with_the_names() -> None:
    assert code_of(torrent(single_info() | {b"name.utf-8": b"t"})) is None
    assert code_of(torrent(single_info() | {b"name.utf-8": b"u"})) == "bad_name"
    assert code_of(torrent(without(single_info(), b"name") | {b"name.utf-8": b"u"})) == "bad_name"
    for twin, code in (([b"a"], None), ([b"b"], "bad_path"), (b"a", "bad_path")):
        file = {b"length": 1, b"path": [b"a"], b"path.utf-8": twin}
        assert code_of(torrent(v1_info(files=[file], pieces=bytes(20)))) == code


@pytest.mark.parametrize("component", [name for name in BAD_ANYWHERE if name])
def test_d16_d17_a_bad_component_is_refused_wherever_it_stands(component: str) -> None:
    for path in ([component], ["a", component], [component, "a"], ["a", component, "b"]):
        assert code_of(with_paths([part.encode() for part in path])) == "bad_path"
        assert code_of(with_paths("first", [part.encode() for part in path], "last")) == "bad_path"
    assert code_of(with_tree({component.encode(): {b"": {b"length": 0}}})) == "bad_path"


@pytest.mark.parametrize(
    "path",
    [
        b"a",
        1,
        {},
        [],
        [b""],
        [b"a", b"", b"b"],
        [b".."],
        [b"a", b"..", b"b"],
        [b"a/b"],
        [b"/a"],
        [1],
        [b"a", 1],
        [[b"a"]],
    ]
    + [[b"a"] * 1000, [b"a"] * 33, [b"x" * 250] * 20],
)
def test_d19_a_path_is_a_list_of_names(path: Any) -> None:
    assert code_of(with_paths(path)) == "bad_path"
    assert code_of(with_paths("before", path, "after")) == "bad_path"


@pytest.mark.parametrize("file", [{b"length": 1}, 1, b"a", []])
def test_d19_an_entry_without_a_path_is_refused(file: Any) -> None:
    assert code_of(torrent(v1_info(files=[file], pieces=bytes(20)))) == "bad_path"


def test_inside_the_folder_hidden_files_and_dashes_are_fine() -> None:
    assert code_of(with_paths(".nfo", "-x", "~backup", "a/.b/-c")) is None


@pytest.mark.parametrize(
    "paths",
    [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("A", "a"), ("d/A", "D/a"), ("A", "a/b"), ("a/b/c/d", "A/B")]
    + [("\u00e9", "e\u0301"), ("É", "e\u0301"), ("ß", "SS"), ("x/\u00c5", "x/\u212b"), ("\u1e9b\u0323", "\u1e69")],
)
def test_d20_paths_that_some_file_system_takes_for_one_another_conflict(paths: tuple[str, str]) -> None:
    assert code_of(with_paths(*paths)) == "path_conflict"
    assert code_of(with_paths("first/z", *paths, "z")) == "path_conflict"


def test_d20_in_a_file_tree_only_case_and_unicode_can_conflict() -> None:
    empty = {b"": {b"length": 0}}
    tree = v2_info()[b"file tree"]
    assert code_of(with_tree(tree | {b"A.TXT": empty})) == "path_conflict"
    assert code_of(with_tree(tree | {b"EMPTY": {b"x": empty}})) == "path_conflict"
    assert code_of(with_tree(tree | {b"SUB": {b"x": empty}})) is None


def test_d20_one_folder_in_two_spellings_is_no_conflict_and_pad_files_never_are() -> None:
    assert code_of(with_paths("Subs/a", "subs/b", "ab", "a/b")) is None
    pad = {b"attr": b"p", b"length": 1, b"path": [b".pad", b"1"]}
    files = [pad, {b"length": 1, b"path": [b"a"]}, pad, pad]
    metainfo = parse(torrent(v1_info(files=files, pieces=bytes(20))))
    assert (metainfo.files, metainfo.size) == ((File("a", 1),), 1)
