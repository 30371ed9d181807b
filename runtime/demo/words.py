"""What people of the demo site are called, what they upload and what they say."""

from __future__ import annotations

from random import Random

from domain.metainfo.bencode import Value, encode

_ADJECTIVES = (
    "amber brave calm dusty early faint gentle happy idle jolly keen lucky misty noble olive proud quiet rapid silent"
    " tidy upper vivid warm young zesty"
).split()
_NOUNS = (
    "acorn badger comet dune ember falcon glacier harbor island jackal kettle lantern meadow nebula otter pebble"
    " quarry raven summit thistle umbra valley walrus yarrow zephyr"
).split()
_GENRES = "action adventure comedy crime documentary drama family fantasy history horror mystery romance".split()
#: Of each category with uploads: its share, the median size in MiB, what a release is called.
CATEGORIES: dict[str, tuple[int, int, str]] = {
    "movies-hd": (22, 6_000, "1080p.BluRay.x264"),
    "movies-sd": (6, 1_200, "DVDRip.XviD"),
    "movies-uhd": (6, 18_000, "2160p.WEB-DL.HEVC"),
    "tv-hd": (24, 1_800, "S01.720p.HDTV.x264"),
    "tv-web-dl": (10, 3_000, "S02.1080p.WEB-DL"),
    "music-flac": (12, 400, "FLAC"),
    "music-mp3": (6, 120, "MP3.320"),
    "games-pc": (5, 12_000, "GOG"),
    "software-desktop": (3, 700, "v2.1"),
    "books-ebooks": (4, 20, "EPUB"),
    "anime": (2, 900, "BD.1080p"),
}
REJECTIONS = ("wrong category", "the name does not say what it is", "no description", "archives are not allowed")
DELETIONS = ("duplicate of an older upload", "request of the rights holder", "dead since months", "fake")
COMPLAINTS = ("not what the title says", "the sound is out of sync", "contains advertisements", "duplicate")
MISCONDUCT = ("uploads that nobody downloaded", "insults in messages", "shares the account", "sells invitations")
BAN_REASONS = ("three warnings", "leaves torrents at once", "abuse of requests", "false reports")
_MIB = 2**20
_MOST_BYTES = 30 * 1024 * _MIB


def username(rng: Random, number: int) -> str:
    return f"{rng.choice(_ADJECTIVES)}-{rng.choice(_NOUNS)}{number}"


def title(rng: Random, year: int) -> str:
    return f"The {rng.choice(_ADJECTIVES).title()} {rng.choice(_NOUNS).title()} {year - int(rng.expovariate(0.2))}"


def category(rng: Random) -> str:
    return rng.choices(list(CATEGORIES), [share for share, _, _ in CATEGORIES.values()])[0]


def tags(rng: Random) -> list[str]:
    return rng.sample(_GENRES, rng.randint(1, 4))


def release(rng: Random, called: str, category: str) -> tuple[str, int]:
    """The name of an upload and its bytes."""
    _, median_mib, form = CATEGORIES[category]
    size = min(int(median_mib * rng.lognormvariate(0, 0.7) * _MIB) + rng.randrange(_MIB), _MOST_BYTES)
    return f"{called.replace(' ', '.')}.{form}-{rng.choice(_NOUNS).upper()}", size


def torrent_file(rng: Random, name: str, size: int) -> bytes:
    """A version 1 .torrent (BEP 3) of content that nobody has: its piece hashes are chance."""
    piece_length = 2**14
    while piece_length < 2**26 and size > 64 * piece_length:
        piece_length *= 2
    info: dict[bytes, Value] = {
        b"name": name.encode(),
        b"piece length": piece_length,
        b"pieces": rng.randbytes(20 * -(-size // piece_length)),
        b"private": 1,
    }
    if rng.random() < 0.5:
        info[b"length"] = size
    else:
        parts = rng.randint(2, 12)
        lengths = [size // parts] * (parts - 1)
        lengths.append(size - sum(lengths))
        info[b"files"] = [
            {b"length": length, b"path": [b"part %02d.bin" % number]} for number, length in enumerate(lengths)
        ]
    return encode({b"announce": b"http://tracker.example/announce", b"info": info})
