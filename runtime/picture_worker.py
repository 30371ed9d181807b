"""The process that decodes one picture: a file on standard input, a WebP on standard output, the verdict as exit code.

Run as a script, without the rest of the platform: it needs Pillow and nothing else.
"""

from __future__ import annotations

import io
import resource
import sys
from enum import IntEnum

from PIL import Image, ImageOps, UnidentifiedImageError

#: The decoders that are let near a file; its content chooses among them.
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
PIXELS_MAX = 25_000_000
SIDE_MAX = 10_000
#: Seconds of processor time, and bytes: 25 million pixels with transparency need 200 MB while they are made smaller.
CPU_S_MAX = 2
MEMORY_MAX = 640 * 2**20
#: Colours of a palette cannot be averaged: so large a picture of them is first thinned out to this side.
PALETTE_SIDE = 1024
QUALITY = 80


class Verdict(IntEnum):
    MADE = 0
    UNSUPPORTED = 3
    TOO_MANY_PIXELS = 4
    UNREADABLE = 5


def limit_itself() -> None:
    """No more time and memory than a picture takes, no files, no further processes."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def made_anew(data: bytes, side: int) -> tuple[Verdict, bytes]:
    Image.MAX_IMAGE_PIXELS = None  # checked here, before anything is decoded, with a limit of ours
    try:
        picture: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        return Verdict.UNSUPPORTED, b""
    if max(picture.size) > SIDE_MAX or picture.width * picture.height > PIXELS_MAX:
        return Verdict.TOO_MANY_PIXELS, b""
    picture.draft("RGB", (2 * side, 2 * side))  # a JPEG is decoded no larger than needed
    picture.load()
    return Verdict.MADE, _written(_small(ImageOps.exif_transpose(picture), side))


def _small(picture: Image.Image, side: int) -> Image.Image:
    if picture.mode.startswith("I;16"):  # grey in 16 bits, of which Pillow would cut off the upper ones
        picture = picture.convert("I").point(lambda value: value / 256).convert("L")
    if picture.mode not in ("RGB", "RGBA"):
        picture.thumbnail((PALETTE_SIDE, PALETTE_SIDE))
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


def _written(picture: Image.Image) -> bytes:
    """The pixels alone: a picture that was read carries its profile and comments along."""
    bare = Image.new(picture.mode, picture.size)
    bare.paste(picture)
    out = io.BytesIO()
    bare.save(out, "WEBP", quality=QUALITY)
    return out.getvalue()


def judged(data: bytes, side: int) -> tuple[Verdict, bytes]:
    """The verdict and, when it is `MADE`, the picture."""
    try:
        return made_anew(data, side)
    except Exception:  # decoders fail in as many ways as files are damaged
        return Verdict.UNREADABLE, b""


def main() -> Verdict:
    limit_itself()
    verdict, made = judged(sys.stdin.buffer.read(), int(sys.argv[1]))
    sys.stdout.buffer.write(made)
    return verdict


if __name__ == "__main__":
    sys.exit(main())
