"""What every site begins with."""

from __future__ import annotations

from domain.default_data import default_data
from tests.history.past import Past


def tell(past: Past) -> None:
    past.save(*default_data())
