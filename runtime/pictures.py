"""Pictures that members send: decoded and made anew, so that nothing of the file itself is ever served.

The decoders run in a process of their own with little time and memory: they are C code that reads what strangers wrote.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import ClassVar

from domain.errors import DomainError, Malformed
from runtime import picture_worker
from runtime.picture_worker import PIXELS_MAX, SIDE_MAX, Verdict

#: What it may take on a machine that is busy; the worker's own limit counts its processor time only.
PATIENCE_S = 10.0
#: How many decoders run at once.
AT_ONCE = 2

MEDIA_TYPE = "image/webp"


class PictureTooLarge(DomainError):
    """The file has more bytes than this picture may have."""

    status: ClassVar[int] = 413


class UnsupportedPicture(Malformed):
    """Not a PNG, JPEG, GIF or WebP, whatever its name and type say."""


class TooManyPixels(Malformed):
    """The picture is larger than anybody needs: no decoder is started for it."""


class UnreadablePicture(Malformed):
    """The file is damaged, or takes more time or memory to decode than a picture does."""


class PicturesBusy(DomainError):
    """Others are being decoded."""

    status: ClassVar[int] = 503
    retry_after_s: ClassVar[int] = 2


_REFUSALS: dict[int, DomainError] = {
    Verdict.UNSUPPORTED: UnsupportedPicture("send a PNG, JPEG, GIF or WebP"),
    Verdict.TOO_MANY_PIXELS: TooManyPixels(f"a picture has at most {SIDE_MAX} pixels a side and {PIXELS_MAX} in all"),
}
_turns = threading.BoundedSemaphore(AT_ONCE)


def made_anew(data: bytes, side: int) -> bytes:
    """The picture within a square of so many pixels, as a WebP without any metadata; of an animation, the first frame.

    Raises `UnsupportedPicture`, `TooManyPixels`, `UnreadablePicture` or `PicturesBusy`.
    """
    if not _turns.acquire(timeout=PATIENCE_S):
        raise PicturesBusy("try again in a moment")
    try:
        worker = [sys.executable, "-I", str(Path(picture_worker.__file__)), str(side)]
        done = subprocess.run(worker, input=data, capture_output=True, timeout=PATIENCE_S, env={})
    except subprocess.TimeoutExpired:
        raise UnreadablePicture("this file takes too long to decode") from None
    finally:
        _turns.release()
    return delivered(done.returncode, done.stdout)


def delivered(verdict: int, made: bytes) -> bytes:
    """What the worker made; raises what its verdict means. One that was killed had no verdict."""
    if verdict != Verdict.MADE:
        raise _REFUSALS.get(verdict) or UnreadablePicture("this file cannot be decoded")
    return made
