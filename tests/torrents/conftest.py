"""Who uploads, who looks on, and who decides."""

from __future__ import annotations

import pytest

from tests.members import Agent, Client


@pytest.fixture
def member(client: Client) -> Agent:
    return client.agent("member")


@pytest.fixture
def other(client: Client) -> Agent:
    return client.agent("other")


@pytest.fixture
def staff(client: Client) -> Agent:
    return client.agent("staff", "moderator")
