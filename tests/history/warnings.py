"""One warning is lifted, one expires, one counts."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from domain.warnings import Warnings
from tests.history.past import NOW, Past


def tell(past: Past) -> None:
    for user in past.users:
        warnings, until = Warnings.open(user.id), NOW + timedelta(days=1)
        lifted, _, _ = warning_ids = [uuid4() for _ in range(3)]
        for n, warning_id in enumerate(warning_ids):
            warnings.give(warning_id, "rude", until + timedelta(days=n // 2), case_id=uuid4() if n else None, now=NOW)
        warnings.lift(lifted, "said sorry", now=NOW)
        warnings.expire(now=until)
        past.save(warnings)
