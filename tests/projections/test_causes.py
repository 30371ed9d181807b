"""Who asks for the causes of facts: reading them costs as much as the facts themselves."""

from __future__ import annotations

import inspect

import pytest

from projections import ALL
from runtime.projection import Projection


@pytest.mark.parametrize("projection", ALL, ids=lambda projection: projection.name)
def test_a_projection_reads_causes_if_and_only_if_its_handlers_take_them(projection: Projection) -> None:
    """mypy holds a handler of a `Fact` to what a fact has; this holds its projection to what the handlers take."""
    taken = [
        str(next(iter(inspect.signature(one).parameters.values())).annotation)
        for one in set(projection.handlers.values())
    ]
    assert projection.causes == any("Caused" in text for text in taken)
