"""How a .torrent file is refused: one exception, whose code names the broken rule."""

from __future__ import annotations

from domain.errors import Malformed


class InvalidMetainfo(Malformed):
    """The upload is no .torrent file that we take.

    `code` names the rule (`malformed_int`, `bad_path` …), `status` is 422 unless said otherwise (413 for
    `too_large`), and the message is one sentence that never repeats what was uploaded.
    """

    def __init__(self, code: str, message: str, *, status: int = 422) -> None:
        super().__init__(message)
        # Every other error has one code, on its class; here some thirty rules share a class, so it is the instance's.
        vars(self).update(code=code, status=status)
