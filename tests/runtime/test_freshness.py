"""Whoever has written something and reads it back sees it, or is told to come again: never the state before."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from runtime.freshness import has_reached
from runtime.platform import Platform
from runtime.projection import Projection
from runtime.store import new_id
from tests.given import ACTOR, projected
from tests.in_process import TestClient
from tests.runtime.notes import Note

NOTES = "/api/v1/notes"


def test_a_query_waits_for_its_projection(client: TestClient, notes: Platform) -> None:
    position = client.post(NOTES, json={"author": "a"}).json()["position"]
    late = threading.Timer(0.2, projected, (notes, notes.followers[0]))
    late.start()
    began = time.monotonic()
    answer = client.get(NOTES, headers={"X-Min-Position": str(position)})
    late.join()
    assert len(answer.json()["items"]) == 1
    assert 0.1 < time.monotonic() - began < 0.9


def test_a_projection_that_does_not_come_is_503(client: TestClient) -> None:
    position = client.post(NOTES, json={"author": "a"}).json()["position"]
    began = time.monotonic()
    answer = client.get(NOTES, headers={"X-Min-Position": str(position)})
    assert (answer.status_code, answer.json()["code"]) == (503, "projection_behind")
    assert answer.headers["retry-after"] == "1"
    assert 0.8 < time.monotonic() - began < 1.5


def test_without_a_position_nobody_waits(client: TestClient) -> None:
    client.post(NOTES, json={"author": "a"})
    for headers in ({}, {"X-Min-Position": "0"}):
        assert client.get(NOTES, headers=headers).json()["items"] == []


@pytest.mark.parametrize("position", ["-1", "x", "1_0", "1.0", "9223372036854775808", "+1"])
def test_a_position_is_a_whole_number(client: TestClient, position: str) -> None:
    assert client.get(NOTES, headers={"X-Min-Position": position}).status_code == 422


def test_events_of_other_topics_are_not_waited_for(notes: Platform) -> None:
    note = Note.open(new_id())
    notes.store(ACTOR).save(note)
    projected(notes, notes.followers[0])
    note.close()
    position = notes.store(ACTOR).save(note).position
    assert has_reached(notes, ("notes",), position)
    assert not has_reached(notes, ("notes", "close_full_notes"), notes.store(ACTOR).save(noted()).position)


def noted() -> Note:
    note = Note.open(new_id())
    note.add_line(1)
    return note


def test_five_hundred_writes_are_read_back_at_once(client: TestClient, notes: Platform) -> None:
    stop = threading.Event()

    def follow() -> None:
        follower = notes.followers[0]
        assert isinstance(follower, Projection)
        while not stop.is_set():
            projected(notes, follower)
            time.sleep(0.002)

    def write_and_read(number: int) -> bool:
        made = client.post(NOTES, json={"author": f"a{number}"}).json()
        listed = client.get(f"{NOTES}?limit=100", headers={"X-Min-Position": str(made["position"])}).json()
        pages = 0
        while made["id"] not in {item["id"] for item in listed["items"]} and pages < 10:
            pages += 1
            listed = client.get(NOTES, params={"limit": 100, "cursor": listed["next_cursor"]}).json()
        return pages < 10

    with ThreadPoolExecutor(5) as threads:
        following = threads.submit(follow)
        seen = list(threads.map(write_and_read, range(500)))
        stop.set()
        following.result(10)
    assert seen == [True] * 500
