"""A slice of the campaign `tests.campaigns.sessions`: whatever clients and edges do, credit is what the model says.

Beside it, sequences that the campaign has found.
"""

from __future__ import annotations

from hypothesis import settings

from tests.credit.model import SECOND
from tests.credit.sessions import Sessions
from tests.credit.world import World

TestSessions = Sessions.TestCase
TestSessions.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)


def test_no_seed_time_between_a_stop_and_the_return_whoever_missed_the_stop() -> None:
    """It was heard by one edge and stopped at another one, before the first one said that it had fallen silent."""
    world = World({})
    world.programs[0].left = 0
    world.announce(0, "started", 0)
    world.wait(60 * SECOND)
    world.announce(0, "stopped", 1)
    world.wait(600 * SECOND)
    world.announce(0, "started", 1)
    world.wait(7200 * SECOND)
    assert world.edges[0].sweep() == 1
    assert world.judge().seeded == {("film", "ann"): 60}
