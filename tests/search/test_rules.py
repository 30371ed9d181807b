"""Which spellings are one, and how a question is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.search import parsed
from runtime.search import quoted
from runtime.search_text import folded


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Some.Movie_2031.1080p-WEB", "some movie 2031 1080p web"),
        ("Straße", "strasse"),
        ("Am\u00e9lie", "amelie"),
        ("Ame\u0301lie", "amelie"),
        ("İSTANBUL ISTANBUL ıstanbul", "istanbul istanbul istanbul"),
        ("ＦＵＬＬ　ｗｉｄｔｈ", "full width"),
        ("ﬁlm", "film"),
        ("C++ and C#", "cplus and csharp"),
        (".hack//SIGN", "hack sign"),
        ("進撃の巨人 2", "進撃 撃の の巨 巨人 2"),
        ("語", "語"),
        ("हिन्दी", "हिन्दी"),
        ("Ελλάς", "ελλασ"),
        ("עברית", "עברית"),
        ("a\u202eb\u200d", "a b"),
        ("!? ,,", ""),
        ("", ""),
    ],
)
def test_spellings_that_are_one_to_a_reader_fold_alike(text: str, words: str) -> None:
    assert folded(text) == words


@given(st.text())
def test_folded_text_is_words_between_single_blanks(text: str) -> None:
    words = folded(text)
    assert words == " ".join(words.split())
    assert not set(words) & set("'\"\\&|!():*<>-")


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("A Film", ("a film", "a film", "'a' & 'film':*")),
        ('"a film" noir', ("a film noir", '"a film" noir', "'a' & 'film' & 'noir':*")),
        ("film -noir", ("film", 'film -"noir"', "'film':*")),
        ("film -spider-man", ("film", 'film -"spider man"', "'film':*")),
        ('film -"spider man', ("film", 'film -"spider man"', "'film':*")),
        ("trick OR treat", ("trick or treat", 'trick "or" treat', "'trick' & 'or' & 'treat':*")),
        ("spider-man", ("spider man", "spider man", "'spider' & 'man':*")),
        ("-noir", ("", '-"noir"', "")),
        ('" - "" \'', ("", "", "")),
    ],
)
def test_a_question_is_read_for_each_way_of_asking(text: str, question: tuple[str, str, str]) -> None:
    assert parsed(text) == question


def test_a_value_in_a_filter_ends_no_filter() -> None:
    assert quoted('" OR deleted = true') == '"\\" OR deleted = true"'
    assert quoted('\\" OR 1 = 1') == '"\\\\\\" OR 1 = 1"'
