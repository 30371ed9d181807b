"""Commands against a real event store: who is on record, what a repeat answers, who wins a race."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from runtime.platform import Platform
from runtime.recorder import Metadata
from runtime.store import (
    NOBODY,
    ActorMissing,
    AlreadyDone,
    CommandIdReused,
    NoSuchThing,
    Receipt,
    Store,
    VersionConflict,
    new_id,
)
from tests.given import ACTOR, rows_of
from tests.runtime.notes import Note


def store_of(platform: Platform, sha: bytes = b"1", command_id: UUID | None = None, **more: object) -> Store:
    command = command_id or new_id()
    metadata = Metadata(command, ACTOR, "api", command, command, sha)
    return platform.store(ACTOR, metadata=dataclasses.replace(metadata, **more))  # type: ignore[arg-type]


def test_what_was_saved_can_be_loaded(notes: Platform) -> None:
    receipt = store_of(notes).save(Note.open(new_id(), "Ada"))
    found = store_of(notes).get(Note, receipt.id)
    assert (found.author, found.version, receipt.version) == ("Ada", 1, 1)


def test_every_event_says_who_why_and_for_which_command(notes: Platform) -> None:
    command = new_id()
    receipt = store_of(notes, command_id=command).save(Note.open(new_id()))
    query = "SELECT position, command_id, correlation_id, causation_id, actor_id, origin FROM es.event"
    assert rows_of(notes, query) == [(receipt.position, command, command, command, ACTOR, "api")]


def test_an_event_without_an_actor_cannot_be_saved(notes: Platform) -> None:
    with pytest.raises(ActorMissing):
        store_of(notes, actor_id=NOBODY).save(Note.open(new_id()))
    assert rows_of(notes, "SELECT count(*) FROM es.event") == [(0,)]
    assert store_of(notes, actor_id=NOBODY).acting_as(ACTOR).save(Note.open(new_id())).position > 0


def test_a_repeat_gets_the_first_answer(notes: Platform) -> None:
    command, note_id = new_id(), new_id()
    first = store_of(notes, command_id=command).save(Note.open(note_id))
    with pytest.raises(AlreadyDone) as again:
        store_of(notes, command_id=command).save(Note.open(new_id()))
    assert again.value.reply == first.model_dump(mode="json")
    assert rows_of(notes, "SELECT count(*) FROM es.event") == [(1,)]


def test_another_request_under_the_same_command_id_is_refused(notes: Platform) -> None:
    command = new_id()
    store_of(notes, b"one", command).save(Note.open(new_id()))
    with pytest.raises(CommandIdReused):
        store_of(notes, b"two", command).save(Note.open(new_id()))


def test_what_is_shown_once_is_not_kept_for_repeats(notes: Platform) -> None:
    class WithKey(Receipt):
        WITHHELD = frozenset({"key"})
        key: str | None

    command = new_id()
    first = store_of(notes, command_id=command).save(Note.open(new_id()), answer=WithKey, key="shown once")
    assert first.key == "shown once"
    with pytest.raises(AlreadyDone) as again:
        store_of(notes, command_id=command).save(Note.open(new_id()), answer=WithKey, key="another")
    assert again.value.reply["key"] is None


def test_of_twenty_parallel_repeats_one_is_carried_out(notes: Platform) -> None:
    command = new_id()

    def once(_: int) -> str:
        try:
            return str(store_of(notes, command_id=command).save(Note.open(new_id())).id)
        except AlreadyDone as done:
            return str(done.reply["id"])

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(once, range(20)))
    assert len(answers) == 1
    assert rows_of(notes, "SELECT count(*) FROM es.event") == [(1,)]


def test_of_two_who_change_the_same_version_one_is_refused(notes: Platform) -> None:
    note_id = store_of(notes).save(Note.open(new_id())).id
    mine, theirs = (store_of(notes).get(Note, note_id) for _ in range(2))
    mine.add_line(1)
    theirs.add_line(2)
    store_of(notes).save(mine)
    with pytest.raises(VersionConflict):
        store_of(notes).save(theirs)
    assert store_of(notes).get(Note, note_id).lines == 1


def test_a_save_of_several_streams_is_all_or_nothing(notes: Platform) -> None:
    taken = Note.open(new_id())
    store_of(notes).save(taken)
    with pytest.raises(VersionConflict):
        store_of(notes).save(Note.open(new_id()), Note.open(taken.id))
    assert rows_of(notes, "SELECT count(*) FROM es.event") == [(1,)]


def test_nothing_decided_is_nothing_recorded(notes: Platform) -> None:
    note = Note.open(new_id())
    store_of(notes).save(note)
    receipt = store_of(notes).save(note)
    assert (receipt.position, receipt.version) == (0, 1)
    assert rows_of(notes, "SELECT count(*) FROM es.command") == [(1,)]


def test_an_edit_of_another_version_than_the_one_looked_at_is_refused(notes: Platform) -> None:
    note_id = store_of(notes).save(Note.open(new_id())).id
    looking_at_two = dataclasses.replace(store_of(notes), expected_version=2)
    with pytest.raises(VersionConflict, match="current version is 1"):
        looking_at_two.edit(Note, note_id)
    assert dataclasses.replace(looking_at_two, expected_version=1).edit(Note, note_id).id == note_id


def test_an_unknown_id_is_no_such_thing(notes: Platform) -> None:
    with pytest.raises(NoSuchThing):
        store_of(notes).get(Note, uuid4())
    assert store_of(notes).find(Note, uuid4()) is None


def test_what_runs_beside_is_rolled_back_with_the_events(notes: Platform) -> None:
    taken = Note.open(new_id())
    store_of(notes).save(taken)

    def keep_blob(cursor: psycopg.Cursor[Any]) -> None:
        cursor.execute("INSERT INTO es.blob (sha256, data) VALUES ('\\x01', '\\x02')")

    with pytest.raises(VersionConflict):
        store_of(notes).save(Note.open(taken.id), beside=keep_blob)
    assert rows_of(notes, "SELECT count(*) FROM es.blob") == [(0,)]
    store_of(notes).save(Note.open(new_id()), beside=keep_blob)
    assert rows_of(notes, "SELECT count(*) FROM es.blob") == [(1,)]


def test_the_callers_address_is_beside_the_event_and_not_in_it(notes: Platform) -> None:
    store_of(notes, ip="192.0.2.7", user_agent="a browser").save(Note.open(new_id()))
    query = "SELECT host(c.ip), c.user_agent FROM es.command_context c JOIN es.event e USING (command_id)"
    assert rows_of(notes, query) == [("192.0.2.7", "a browser")]
    assert rows_of(notes, "SELECT count(*) FROM es.event WHERE data::text LIKE '%%192.0.2%%'") == [(0,)]


def test_new_ids_rise_and_are_version_seven() -> None:
    ids = [new_id() for _ in range(5000)]
    assert ids == sorted(set(ids))
    assert {(i.version, i.variant) for i in ids} == {(7, "specified in RFC 4122")}
