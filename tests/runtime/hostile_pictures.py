"""Pictures that are made to hurt: honest ones damaged, inflated, or carrying something else; the same for each seed."""

from __future__ import annotations

import io
import random
import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable

from PIL import Image

from domain.errors import DomainError
from runtime.pictures import made_anew

SCRIPT = b"<script>alert(document.domain)</script><?php system($_GET[0]);?>"
SIDE = 256
KINDS = ("PNG", "JPEG", "GIF", "WEBP")
MODES = {"PNG": ("RGB", "RGBA", "P", "L", "1", "LA", "I;16"), "JPEG": ("RGB", "L", "CMYK"), "GIF": ("P", "L")}


class Corpus:
    """What became of the files: made anew, or the code of the refusal."""

    def __init__(self, seed: int, make: Callable[[bytes, int], bytes] = made_anew) -> None:
        self._make = make
        self._random = random.Random(seed)
        self.outcomes: Counter[str] = Counter()
        self.longest_s = 0.0

    def run(self, files: int) -> None:
        makers = (self._flipped, self._cut, self._spliced, self._oversized, self._bomb, self._polyglot, self._animation)
        for n in range(files):
            self._try(makers[n % len(makers)]())

    def _try(self, data: bytes) -> None:
        began = time.monotonic()
        try:
            made = self._make(data, SIDE)
        except DomainError as refusal:
            self.outcomes[refusal.code] += 1
        else:
            self.outcomes["made"] += 1
            bare(made)
        self.longest_s = max(self.longest_s, time.monotonic() - began)

    def _honest(self, most: int = 600) -> bytes:
        kind = self._random.choice(KINDS)
        mode = self._random.choice(MODES.get(kind, ("RGB", "RGBA")))
        size = self._random.randint(1, most), self._random.randint(1, most)
        out = io.BytesIO()
        options = {"exif": self._random.randbytes(200)} if kind in ("JPEG", "WEBP") else {}
        Image.effect_noise(size, 60).convert("L" if mode == "I;16" else mode).save(out, kind, **options)
        return out.getvalue()

    def _flipped(self) -> bytes:
        data = bytearray(self._honest())
        for _ in range(self._random.randint(1, 30)):
            data[self._random.randrange(len(data))] = self._random.randrange(256)
        return bytes(data)

    def _cut(self) -> bytes:
        data = self._honest()
        return data[: self._random.randrange(len(data))]

    def _spliced(self) -> bytes:
        one, other = self._honest(), self._honest()
        return one[: self._random.randrange(len(one))] + other[self._random.randrange(len(other)) :]

    def _oversized(self) -> bytes:
        """The header of a huge picture, with few pixels behind it or many that compress well."""
        width, height = (self._random.choice((1, 4_999, 5_000, 10_000, 10_001, 65_535, 2**31 - 1)) for _ in range(2))
        pixels = bytes(min(3 * width * height + height, 80_000_000))
        return png(width, height, pixels)

    def _bomb(self) -> bytes:
        """Megabytes of text or profile in a chunk of kilobytes, or a thousand chunks."""
        size = self._random.choice((2**20, 2**26))
        texts = [
            chunk(b"zTXt", b"k\x00\x00" + zlib.compress(bytes(size))),
            chunk(b"iTXt", b"k\x00\x01\x00\x00\x00" + zlib.compress(bytes(size))),
            chunk(b"iCCP", b"k\x00\x00" + zlib.compress(bytes(size))),
            chunk(b"tEXt", b"k\x00" + SCRIPT) * 1_000,
            chunk(b"acTL", struct.pack(">II", 10_000, 0)) + chunk(b"fcTL", bytes(26)) * 10_000,
        ]
        return png(9, 9, bytes(9 * 28), self._random.choice(texts))

    def _polyglot(self) -> bytes:
        return self._honest() + self._random.choice((SCRIPT, b"PK\x03\x04" + SCRIPT, b"%PDF-1.7\n" + SCRIPT))

    def _animation(self) -> bytes:
        kind, out = self._random.choice(("GIF", "PNG", "WEBP")), io.BytesIO()
        frames = [Image.effect_noise((40, 40), n).convert("RGB") for n in range(1, 60)]
        frames[0].save(out, kind, save_all=True, append_images=frames[1:])
        return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, pixels: bytes = b"", *more: bytes) -> bytes:
    """A PNG of three colours with that header, whatever follows."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"".join([b"\x89PNG\r\n\x1a\n", head, *more, chunk(b"IDAT", zlib.compress(pixels)), chunk(b"IEND", b"")])


def bare(made: bytes, side: int = SIDE) -> Image.Image:
    """This picture, which is one WebP of that size at most, and nothing else."""
    picture = Image.open(io.BytesIO(made), formats=["WEBP"])
    picture.load()
    assert max(picture.size) <= side
    assert int.from_bytes(made[4:8], "little") + 8 == len(made), "something stands behind the picture"
    for name in (b"EXIF", b"XMP ", b"ICCP", b"ANIM", b"<script", b"<?php"):
        assert name not in made
    return picture
