"""Which passwords are taken. Their hashes lie beside the event store; no event knows one."""

from __future__ import annotations

import re

from zxcvbn import zxcvbn

from domain.errors import Malformed

#: NIST SP 800-63B section 5.1.1: length, and nothing that is soon guessed; no rules about digits and signs.
PASSWORD_MIN = 8
PASSWORD_MAX = 256
#: Nobody tries all that begins with these: so long a password is taken for its length.
LONG = 40
#: zxcvbn looks for every way to read signs as letters, which takes seconds for a hundred of them and at most 0.2 s for
#: these. More characters only make a password harder to guess.
JUDGED = 20
#: zxcvbn's scale of 0 to 4: from here on guessing takes more than a million tries. Its 30,000 most frequent passwords
#: are below.
SCORE_MIN = 2
#: Of the account's own words, shorter ones say nothing.
OWN_WORD_MIN = 3
_SITE = ("tracker", "torrent", "bittorrent")


class WeakPassword(Malformed):
    """Too short, too long, or soon guessed: frequent, regular, or made of the account's own words."""


def check_password(password: str, username: str, email: str) -> None:
    """Raises `WeakPassword`; takes up to 0.4 s. The password is taken as it was sent: no trimming, no Unicode
    normalisation (docs/decisions/0051)."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise WeakPassword(f"a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters")
    if any(_soon_guessed(text) for text in {password, _without_own_words(password, username, email)}):
        raise WeakPassword("this password is soon guessed: add a word or two that nobody expects")


def _soon_guessed(text: str) -> bool:
    return len(text) < LONG and (not text or zxcvbn(text[:JUDGED])["score"] < SCORE_MIN)


def _without_own_words(password: str, username: str, email: str) -> str:
    """What is left for a guesser who knows the account."""
    local, _, host = email.partition("@")
    words = {word for word in (username, email, local, *host.split("."), *_SITE) if len(word) >= OWN_WORD_MIN}
    longest_first = sorted(map(re.escape, words), key=len, reverse=True)
    return re.sub("|".join(longest_first), "", password, flags=re.IGNORECASE)
