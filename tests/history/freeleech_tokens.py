"""A member gets tokens and spends one on a torrent."""

from __future__ import annotations

from domain.freeleech_tokens import FreeleechTokens
from tests.history.past import NOW, Past


def tell(past: Past) -> None:
    for user, torrent in zip(past.users, past.torrents, strict=True):
        tokens = FreeleechTokens.open(user.id)
        tokens.grant(3, "for the logo")
        tokens.spend(torrent, now=NOW)
        past.save(tokens)
