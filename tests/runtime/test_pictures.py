"""Pictures of strangers: what becomes of honest ones, and of those that are made to hurt."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from domain.errors import DomainError
from runtime import picture_worker
from runtime.picture_worker import judged
from runtime.pictures import TooManyPixels, UnreadablePicture, UnsupportedPicture, delivered, made_anew
from tests.runtime.hostile_pictures import SCRIPT, Corpus, bare, chunk, png

SIDE = 64


def encoded(kind: str, size: tuple[int, int] = (40, 20), mode: str = "RGB", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, 200 if mode in ("L", "P", "I;16") else None).save(out, kind, **options)
    return out.getvalue()


def made_here(data: bytes, side: int = SIDE) -> bytes:
    """As `made_anew`, without a process for each of a hundred pictures."""
    return delivered(*judged(data, side))


def seen(data: bytes) -> Image.Image:
    """The picture that is made of it."""
    return bare(made_here(data), SIDE)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("PNG", "RGB"),
        ("PNG", "RGBA"),
        ("PNG", "P"),
        ("PNG", "I;16"),
        ("JPEG", "RGB"),
        ("JPEG", "CMYK"),
        ("GIF", "P"),
        ("WEBP", "RGBA"),
    ],
)
def test_honest_pictures_are_made_anew(kind: str, mode: str) -> None:
    picture = seen(encoded(kind, (200, 100), mode))
    assert picture.size == (64, 32)


def test_small_ones_keep_their_size_and_transparency() -> None:
    picture = seen(encoded("PNG", (7, 5), "RGBA"))
    assert (picture.size, picture.mode) == ((7, 5), "RGBA")
    assert seen(encoded("GIF", (7, 5), "P")).size == (7, 5)


@pytest.mark.parametrize("size", [(60_000, 60_000), (10_000, 10_000), (1_000_000, 1), (1, 10_001)])
def test_too_many_pixels_are_refused_by_the_header(size: tuple[int, int]) -> None:
    with pytest.raises(TooManyPixels):
        made_here(png(*size))


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "ICO", "PPM", "PDF", "EPS", "TGA", "PCX", "JPEG2000"])
def test_other_decoders_are_not_let_near(kind: str) -> None:
    with pytest.raises(UnsupportedPicture):
        made_here(encoded(kind, (32, 32)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<!DOCTYPE svg [<!ENTITY a 'aaaa'>]><svg>&a;</svg>",
        b"%PDF-1.7\nPK\x03\x04",
        b"PK\x03\x04" + bytes(100),
        b"8BPS\x00\x01" + bytes(100),
        b"SIMPLE  =                    T" + bytes(3000),
        b"\x00\x00\x00\x1cftypavif" + bytes(100),
    ],
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedPicture):
        made_here(data)


def test_bombs_in_chunks_and_damage_are_refused() -> None:
    honest = encoded("PNG", (50, 50))
    text = chunk(b"zTXt", b"k\x00\x00" + zlib.compress(bytes(50_000_000)))
    profile = chunk(b"iCCP", b"k\x00\x00" + zlib.compress(bytes(50_000_000)))
    rows = bytes(9 * 28)
    wrong_crc = honest[:29] + bytes([honest[29] ^ 1]) + honest[30:]
    for data in (
        png(9, 9, rows, text),
        png(9, 9, rows, profile),
        honest[: len(honest) // 2],
        wrong_crc,
        png(500, 500, b"short"),
    ):
        with pytest.raises(DomainError) as refused:
            made_here(data)
        assert isinstance(refused.value, UnreadablePicture | UnsupportedPicture)


def test_of_an_animation_the_first_frame_is_shown() -> None:
    frames = [Image.new("RGB", (30, 30), (200, 0, 0) if n == 0 else (0, 0, n % 250)) for n in range(300)]
    for kind in ("GIF", "PNG", "WEBP"):
        out = io.BytesIO()
        frames[0].save(out, kind, save_all=True, append_images=frames[1:])
        red, _, blue = pixel(seen(out.getvalue()))
        assert red > 150 > blue, kind


def pixel(picture: Image.Image, at: tuple[int, int] = (1, 1)) -> Sequence[int]:
    found = picture.convert("RGB").getpixel(at)
    assert isinstance(found, tuple)
    return [int(value) for value in found]


@pytest.mark.parametrize("kind", ["GIF", "JPEG", "PNG"])
def test_what_hides_behind_or_within_a_picture_is_gone(kind: str) -> None:
    comment = {"comment": SCRIPT} if kind != "PNG" else {"pnginfo": _with_text(SCRIPT.decode())}
    data = encoded(kind, (40, 40), **comment) + SCRIPT + b"PK\x03\x04" + SCRIPT
    assert SCRIPT in data
    made = made_here(data)
    assert b"script" not in made
    assert b"php" not in made


def _with_text(text: str) -> PngInfo:
    info = PngInfo()
    info.add_text("Comment", text)
    return info


def test_metadata_is_gone_and_the_picture_upright() -> None:
    exif = Image.Exif()
    exif[0x010F] = "A Camera of Bob"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)  # where it was taken
    for orientation in range(10):
        exif[0x0112] = orientation
        out = io.BytesIO()
        upright = Image.new("RGB", (60, 30), (250, 250, 250))
        upright.paste((200, 0, 0), (0, 0, 30, 15))  # the corner at the top left
        upright.save(out, "JPEG", exif=exif, icc_profile=b"script" * 50, quality=95)
        data = made_here(out.getvalue())
        assert b"Bob" not in data
        made = bare(data)
        assert made.size == ((30, 60) if orientation in (5, 6, 7, 8) else (60, 30)), orientation
        corner = {1: (5, 5), 2: (55, 5), 3: (55, 25), 4: (5, 25), 5: (5, 5), 6: (25, 5), 7: (25, 55), 8: (5, 55)}
        red, green, _ = pixel(made, corner.get(orientation, (5, 5)))
        assert red > 150 > green, orientation


def test_a_process_of_its_own_decodes_within_its_limits() -> None:
    assert bare(made_anew(encoded("PNG", (5000, 5000), "RGBA"), 256), 256).size == (256, 256)
    for data, refusal in ((b"x", UnsupportedPicture), (png(60_000, 60_000), TooManyPixels), (b"", UnsupportedPicture)):
        with pytest.raises(refusal):
            made_anew(data, SIDE)


@pytest.mark.parametrize("limit", ["CPU_S_MAX = 0", "MEMORY_MAX = 30 * 2**20"])
def test_whoever_is_killed_for_its_time_or_memory_is_refused(
    limit: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = Path(picture_worker.__file__).read_text()
    strict = tmp_path / "picture_worker.py"
    strict.write_text(re.sub(rf"{limit.split()[0]} = .*", limit, source))
    monkeypatch.setattr(picture_worker, "__file__", str(strict))
    with pytest.raises(UnreadablePicture):
        made_anew(encoded("PNG", (3000, 3000)), SIDE)


def test_of_any_damage_becomes_a_bare_picture_or_a_refusal() -> None:
    """A slice of `tests.campaigns.pictures`."""
    corpus = Corpus(7, made_here)
    corpus.run(14)
    assert corpus.outcomes.total() == 14
    assert corpus.outcomes["made"] >= 4, "those with something behind them, and the animations"
    assert corpus.outcomes["pictures_busy"] == 0
