"""What stands in the store: exact JSON, ciphertext for what names a person, and nothing once the key is gone."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from cryptography.exceptions import InvalidTag
from eventsourcing.persistence import MapperDeserialisationError, StoredEvent

from domain.base import ERASED, Aggregate
from runtime.codec import EventMapper, UnknownTopic
from runtime.facts import FactLog
from runtime.keyring import LATELY_S, LOOK_S, KeyDestroyed, StoredKeyring
from runtime.platform import Platform
from runtime.store import new_id
from tests.conftest import SECRETS
from tests.given import ACTOR, event, rows_of
from tests.runtime.notes import KINDS, Note


def save(platform: Platform, author: str) -> Note:
    note = Note.open(new_id(), author)
    note.add_line(3)
    platform.store(ACTOR).save(note)
    return note


def fresh_keyring(platform: Platform) -> StoredKeyring:
    """As another process has it: with an empty cache."""
    return StoredKeyring(platform.pool, SECRETS.key_encryption)


def test_every_event_comes_back_equal(notes: Platform) -> None:
    note = Note.open(new_id(), "Ada ✓ \u2028 𝔸")
    note.add_line(2**31)
    note.close()
    before = list(note.pending_events)
    notes.store(ACTOR).save(note)
    assert [fact.event for fact in FactLog(notes.history).stream(note.id)] == before
    assert all(type(a.timestamp) is type(b.timestamp) for a, b in zip(before, before, strict=True))


def test_personal_fields_are_ciphertext_in_the_store_and_open_again(notes: Platform) -> None:
    note = save(notes, "Ada Lovelace")
    (stored,) = rows_of(notes, "SELECT string_agg(convert_from(data, 'UTF8'), ' ') FROM es.event")[0]
    assert "Ada" not in stored
    assert '"~1:' in stored
    assert notes.history.aggregate(Note, note.id).author == "Ada Lovelace"


def test_the_keys_of_all_persons_of_a_page_are_looked_up_together(
    notes: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other they cost a rebuild more than everything else that it does with a user."""
    for author in ("Ada", "Grace", "Edsger"):
        save(notes, author)
    keyring = fresh_keyring(notes)
    monkeypatch.setattr(notes.history.codec, "_keyring", keyring)
    asked = list[Collection[UUID]]()

    def fetch(subjects: Collection[UUID]) -> None:
        asked.append(subjects)
        StoredKeyring.fetch(keyring, subjects)

    monkeypatch.setattr(keyring, "fetch", fetch)
    monkeypatch.setattr(keyring, "_key", lambda subject: keyring._cache[subject])  # there is nobody left to ask for
    with notes.pool.connection() as connection:
        facts = FactLog(notes.history).read(connection, 0, 100, None, 100)
    assert [fact.event.author for fact in facts if isinstance(fact.event, Note.Opened)] == ["Ada", "Grace", "Edsger"]
    assert [len(subjects) for subjects in asked] == [3]


def test_equal_texts_of_two_people_differ_in_the_store(notes: Platform) -> None:
    save(notes, "Ada")
    save(notes, "Ada")
    rows = rows_of(notes, "SELECT data FROM es.event WHERE version = 1")
    assert len({bytes(row[0]) for row in rows}) == 2


def test_a_destroyed_key_reads_erased_and_history_stays_whole(notes: Platform, owner: psycopg.Connection[Any]) -> None:
    note, other = save(notes, "Ada"), save(notes, "Bob")
    before = rows_of(notes, "SELECT position, data FROM es.event ORDER BY position")
    with notes.pool.connection() as connection:
        connection.execute(
            "UPDATE keys.subject SET wrapped_key = NULL, destroyed_at = now() WHERE subject_id = %s", (note.id,)
        )
    mapper = EventMapper(KINDS, fresh_keyring(notes))
    names = {
        e.originator_id: mapper.to_domain_event(e).author  # type: ignore[attr-defined]
        for stream in (note.id, other.id)
        for e in notes.history.types.select_events(stream, limit=1)
    }
    assert names == {note.id: ERASED, other.id: "Bob"}
    assert rows_of(notes, "SELECT position, data FROM es.event ORDER BY position") == before
    with pytest.raises(KeyDestroyed):
        fresh_keyring(notes).seal(note.id, "again", "x")


def test_every_process_forgets_a_destroyed_key_at_its_next_look(
    notes: Platform, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    subject, other = new_id(), new_id()
    rings = [fresh_keyring(notes) for _ in range(3)]
    sealed = [rings[0].seal(who, "Ada", "c") for who in (subject, other)]
    assert {ring.open(subject, sealed[0], "c") for ring in rings} == {"Ada"}
    rings[0].destroy(subject)
    assert rings[0].open(subject, sealed[0], "c") == ERASED
    clock.seconds += LOOK_S
    assert {ring.open(subject, sealed[0], "c") for ring in rings} == {ERASED}
    with pytest.raises(KeyDestroyed):
        rings[1].seal(subject, "more", "c")
    assert {ring.open(other, sealed[1], "c") for ring in rings} == {"Ada"}


def test_a_process_that_was_silent_for_long_forgets_every_key(
    notes: Platform, owner: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was destroyed meanwhile may be too long ago to be among what it asks for."""
    clock, subject, ring = Clock(monkeypatch), new_id(), fresh_keyring(notes)
    sealed = ring.seal(subject, "Ada", "c")
    fresh_keyring(notes).destroy(subject)
    owner.execute("UPDATE keys.subject SET destroyed_at = now() - interval '1 hour'")
    clock.seconds += LATELY_S
    assert ring.open(subject, sealed, "c") == ERASED


def test_no_key_is_used_while_the_store_cannot_be_asked(notes: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, subject, ring = Clock(monkeypatch), new_id(), fresh_keyring(notes)
    sealed = ring.seal(subject, "Ada", "c")
    monkeypatch.setattr(ring, "_pool", Away())
    assert ring.open(subject, sealed, "c") == "Ada"
    clock.seconds += LOOK_S
    with pytest.raises(psycopg.OperationalError):
        ring.open(subject, sealed, "c")


def test_a_key_is_destroyed_once(notes: Platform) -> None:
    subject, ring = new_id(), fresh_keyring(notes)
    ring.seal(subject, "Ada", "c")
    assert ring.destroy(subject) < ring.destroy(subject)
    assert ring.destroy(new_id()) < timedelta(seconds=5), "there is none, and there will be none"


def test_many_persons_have_keys_of_their_own_that_every_process_derives(notes: Platform) -> None:
    """The first to write makes them; whoever only reads makes none."""
    people = [new_id().bytes for _ in range(3)]
    assert fresh_keyring(notes).read_keys(people) == [None] * 3
    made = fresh_keyring(notes).write_keys([*people, people[0]])
    assert (len(set(made)), made[3], {len(key) for key in made}) == (3, made[0], {32})
    for ring in (fresh_keyring(notes), fresh_keyring(notes)):
        assert ring.read_keys(people) == ring.write_keys(people) == made[:3]
    sealed = fresh_keyring(notes).seal(UUID(bytes=people[0]), "Ada", "c")
    assert fresh_keyring(notes).open(UUID(bytes=people[0]), sealed, "c") == "Ada", "it is the person's one key"


def test_a_destroyed_key_is_read_by_nobody_and_what_is_written_instead_neither(
    notes: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, people = Clock(monkeypatch), [new_id().bytes, new_id().bytes]
    rings = [fresh_keyring(notes) for _ in range(2)]
    gone, stays = rings[0].write_keys(people)
    assert rings[1].read_keys(people) == [gone, stays]
    rings[0].destroy(UUID(bytes=people[0]))
    assert rings[0].read_keys(people) == [None, stays]
    clock.seconds += LOOK_S
    for ring in (*rings, fresh_keyring(notes)):
        assert ring.read_keys(people) == [None, stays]
        written = {*ring.write_keys(people), *ring.write_keys(people)}
        assert (len(written), stays in written, gone in written) == (3, True, False)


def test_more_persons_than_are_kept_or_asked_for_at_once_are_all_known(
    notes: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.keyring.DERIVED_MAX", 3)
    monkeypatch.setattr("runtime.keyring.PAGE", 2)
    people = [new_id().bytes for _ in range(5)]
    ring = fresh_keyring(notes)
    made = ring.write_keys(people)
    assert ring.read_keys(people[::-1]) == made[::-1]
    assert fresh_keyring(notes).read_keys(people) == made


class Clock:
    """What a keyring takes for the monotonic clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1000.0
        monkeypatch.setattr("runtime.keyring.time", self)

    def monotonic(self) -> float:
        return self.seconds


class Away:
    def connection(self) -> Any:
        raise psycopg.OperationalError("the server is away")


def test_ciphertext_moved_to_another_event_does_not_open(notes: Platform) -> None:
    note, other = save(notes, "Ada"), save(notes, "Bob")
    codec = notes.history.codec
    stolen = notes.history.types.select_events(note.id, limit=1)[0]
    with pytest.raises(InvalidTag):
        codec.to_domain_event(replace(stolen, originator_id=other.id))
    assert codec.to_domain_event(stolen).originator_id == note.id


def test_a_key_is_made_once_by_many_processes(notes: Platform) -> None:
    subject = new_id()
    rings = [fresh_keyring(notes) for _ in range(4)]
    sealed = [ring.seal(subject, f"text {n}", "c") for n, ring in enumerate(rings)]
    assert [fresh_keyring(notes).open(subject, text, "c") for text in sealed] == [f"text {n}" for n in range(4)]


@pytest.mark.parametrize(
    ("topic", "data", "version", "error"),
    [
        ("note.unknown", b"{}", 1, UnknownTopic),
        ("builtins:print", b"{}", 1, UnknownTopic),
        ("note.line_added", b"not json", 1, MapperDeserialisationError),
        ("note.line_added", b'{"timestamp": "2031-01-01T00:00:00Z"}', 1, MapperDeserialisationError),
        ("note.line_added", b'{"timestamp": "2031-01-01T00:00:00Z", "number": "7"}', 1, MapperDeserialisationError),
        ("note.line_added", b"{}", 99, UnknownTopic),
    ],
)
def test_bytes_that_are_no_event_of_ours_are_refused(
    notes: Platform, topic: str, data: bytes, version: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        notes.history.codec.event(topic, new_id(), 1, data, version)


class Memo(Aggregate):
    TOPIC = "memo"

    class Written(Aggregate.Event):
        TOPIC = "memo.written"
        class_version = 3
        text: str
        words: int

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            state["text"] = state.pop("body")

        @staticmethod
        def upcast_v2_v3(state: dict[str, Any]) -> None:
            state["words"] = len(state["text"].split())


def test_an_old_schema_is_brought_up_step_by_step(notes: Platform) -> None:
    mapper = EventMapper([Memo.Written], notes.keyring)
    old = b'{"timestamp": "2031-01-01T00:00:00Z", "body": "two words"}'
    read = mapper.event("memo.written", new_id(), 1, old, 1)
    assert (vars(read)["text"], vars(read)["words"]) == ("two words", 2)


def test_stored_bytes_are_plain_json(notes: Platform) -> None:
    stored: StoredEvent = notes.history.codec.to_stored_event(event(Note.LineAdded, new_id(), 2, number=3))
    assert stored.state == b'{"timestamp":"2031-01-01T12:00:00Z","number":3}'


def test_two_processes_that_meet_the_same_strangers_do_not_wait_for_each_other_in_a_circle(
    notes: Platform, owner: psycopg.Connection[Any]
) -> None:
    """Two edges hear of many new users at once: keys are made in one order."""
    first, *others = sorted(new_id().bytes for _ in range(30))
    insert = "INSERT INTO keys.subject (subject_id, wrapped_key) VALUES (%s, '')"
    with notes.pool.connection() as connection, ThreadPoolExecutor(1) as threads:
        with connection.transaction(force_rollback=True):
            connection.execute(insert, (UUID(bytes=first),))
            waiting = threads.submit(fresh_keyring(notes).write_keys, [*others, first])
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
            while owner.execute(waits).fetchone() != (1,):
                assert not waiting.done()
            connection.execute("SET LOCAL lock_timeout = '500ms'")
            connection.cursor().executemany(insert, [(UUID(bytes=one),) for one in others])
        assert len(set(waiting.result())) == 30
