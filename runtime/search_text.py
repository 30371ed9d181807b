"""Which spellings of a text are the same to somebody who searches? One folding for documents and for queries.

Folded text is words of letters and digits between single blanks, so every engine splits it alike.
"""

from __future__ import annotations

import re
from unicodedata import category, normalize

#: Marks of accents on letters of Latin, Greek and Cyrillic; vowel signs of other scripts are letters and stay.
_ACCENTS = re.compile("[\u0300-\u036f]")
#: Signs that make another word of the one before: c++, c#.
_SIGNS = ((re.compile(r"(?<=\w)\++"), "plus"), (re.compile(r"(?<=\w)#"), "sharp"))
#: Letters that Unicode does not decompose and that people type without their mark.
_LETTERS = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"})
#: Scripts written without blanks: Han, Hiragana, Katakana.
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")


def folded(text: str) -> str:
    """Without case, accents, width and punctuation. Unspaced scripts become pairs of neighbouring characters."""
    plain = normalize("NFKD", normalize("NFKC", text).casefold())
    plain = normalize("NFC", _ACCENTS.sub("", plain)).translate(_LETTERS)
    for sign, word in _SIGNS:
        plain = sign.sub(word, plain)
    return " ".join("".join(map(_word_part, _UNSPACED.sub(_pairs, plain))).split())


def _word_part(character: str) -> str:
    return character if character.isalnum() or category(character)[0] == "M" else " "


def _pairs(run: re.Match[str]) -> str:
    characters = run.group()
    pairs = [characters[at : at + 2] for at in range(len(characters) - 1)] or [characters]
    return f" {' '.join(pairs)} "
