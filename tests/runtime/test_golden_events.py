"""What past releases stored: today's code reads every byte of it, as what it was.

How to change an event: docs/decisions/0017-golden-events.md.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from domain import EVENTS
from domain.announce_rules import NO_RATIO_RULE, AnnounceRules
from runtime.codec import EventMapper, UnknownTopic
from runtime.facts import FactLog
from runtime.platform import Platform
from runtime.store import new_id
from tests.given import ACTOR, projected, rows_of
from tests.golden.write import Golden, ReadableKeyring
from tests.runtime.notes import Note

FOLDER = Path(__file__).parent.parent / "golden"
CORPORA = sorted(FOLDER.glob("*.ndjson"))
MAPPER = EventMapper(EVENTS, ReadableKeyring())
#: Event types younger than the newest corpus: the next release's corpus has them.
SINCE = frozenset(
    {
        "achievement.awarded",
        "achievement.counted",
        "achievement.opened",
        "achievement.revoked",
        "achievement.uncounted",
        "achievement_catalogue.opened",
        "achievement_catalogue.rule_changed",
        "achievement_catalogue.rule_defined",
        "achievement_catalogue.rule_withdrawn",
        "edge_journal.addresses_encrypted",
        "erasure.retention_ended",
        "torrent_fills.noted",
        "torrent_fills.opened",
        "banned_names.allowed",
        "banned_names.banned",
        "banned_names.opened",
        "email_change.asked",
        "email_change.cancelled",
        "email_change.confirmed",
        "email_change.settled",
        "email_change.undone",
        "application.approved",
        "application.filed",
        "application.rejected",
        "invite.accepted",
        "invite.expired",
        "invite.revoked",
        "invite.sent",
        "invite.sent_again",
        "invite_allowance.granted",
        "invite_allowance.month_credited",
        "invite_allowance.opened",
        "invite_allowance.refunded",
        "invite_allowance.spent",
        "user.email_changed",
        "user.email_restored",
        "user.password_reset",
        "user.renamed",
        "privacy.chosen",
        "privacy.opened",
        "erasure.begun",
        "erasure.completed",
        "erasure_proposal.approved",
        "erasure_proposal.declined",
        "erasure_proposal.made",
        "export.built",
        "export.opened",
        "export.requested",
        "user.erased",
        "feed_key.reset",
        "inactivity.warned",
        "parking.opened",
        "parking.parked",
        "parking.unparked",
        "reenable_request.approved",
        "reenable_request.filed",
        "reenable_request.rejected",
        "user.recovery_codes_replaced",
        "warnings.expired",
        "warnings.given",
        "warnings.lifted",
        "warnings.opened",
        "intervention.made",
        "group.criteria_removed",
        "group.criteria_set",
        "group.level_changed",
        "group.monthly_invites_changed",
        "group.redesignated",
        "group.renamed",
        "rights.class_locked",
        "rights.class_unlocked",
        "rights.exception_expired",
        "rights.exception_withdrawn",
        "rights.opened",
        "rights.permission_denied",
        "rights.permission_granted",
        "rights.secondary_group_expired",
        "rights.secondary_group_given",
        "rights.secondary_group_taken",
        "profile.avatar_chosen",
        "profile.avatar_removed",
        "profile.cleared",
        "profile.described",
        "profile.opened",
        "link_group.dissolved",
        "link_group.formed",
        "link_group.joined",
        "link_group.left",
        "look.taken",
        "staff_notes.opened",
        "staff_notes.written",
        "relations.blocked",
        "relations.followed",
        "relations.friend_added",
        "relations.friend_noted",
        "relations.friend_removed",
        "relations.opened",
        "relations.unblocked",
        "relations.unfollowed",
    }
)


def golden(path: Path) -> list[Golden]:
    return [Golden(**json.loads(line)) for line in path.read_text().splitlines()]


def read(row: Golden) -> Any:
    return MAPPER.event(row.topic, UUID(row.stream_id), row.version, row.data.encode(), row.schema_version)


@pytest.mark.parametrize("path", CORPORA, ids=lambda path: path.stem)
def test_every_stored_event_of_a_release_reads_as_what_it_was(path: Path) -> None:
    for row in golden(path):
        event = read(row)
        again = MAPPER.to_stored_event(event)
        assert (again.topic, str(again.originator_id), again.originator_version) == (
            row.topic,
            row.stream_id,
            row.version,
        )
        if row.schema_version == MAPPER.schema_version(row.topic):
            assert again.state.decode() == row.data
        else:
            assert MAPPER.to_domain_event(dataclasses.replace(again)) == event


@pytest.mark.parametrize("path", CORPORA, ids=lambda path: path.stem)
def test_no_stored_field_is_lost(path: Path) -> None:
    """A field that the class no longer has would be dropped silently: an upcast has to say where it went."""
    for row in golden(path):
        if row.schema_version == MAPPER.schema_version(row.topic):
            assert set(json.loads(row.data)) == set(MAPPER.shape(type(read(row))).names), row.topic


def test_the_newest_corpus_has_every_event_type_but_the_named_ones() -> None:
    stored = {row.topic for row in golden(CORPORA[-1])}
    assert stored | SINCE == {kind.TOPIC for kind in EVENTS}
    assert not stored & SINCE


def test_announce_rules_of_the_first_schema_have_no_ratio_rule() -> None:
    row = next(row for row in golden(FOLDER / "0.1.0.ndjson") if row.topic == "announce_rules.changed")
    before = json.loads(row.data)
    del before["required_ratio_percent"], before["ratio_counts_from_bytes"]
    event = read(dataclasses.replace(row, schema_version=1, data=json.dumps(before)))
    assert (event.required_ratio_percent, event.ratio_counts_from_bytes) == NO_RATIO_RULE
    assert event.refused_ports == before["refused_ports"]
    assert isinstance(event, AnnounceRules.Changed)


def test_bytes_of_a_newer_schema_are_refused_and_not_guessed() -> None:
    row = next(row for row in golden(CORPORA[-1]) if row.topic == "announce_rules.changed")
    with pytest.raises(UnknownTopic, match="newer"):
        read(dataclasses.replace(row, schema_version=99))


def test_a_topic_in_a_row_imports_no_code(notes: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own mapper would import the module that the row names: here that is a file that leaves a trace."""
    trace = tmp_path / "imported"
    (tmp_path / "hostile_topic.py").write_text(f"open({str(trace)!r}, 'w').close()\nclass Event: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    note = Note.open(new_id())
    notes.store(ACTOR).save(note)
    append_row(notes, note.id, 2, "hostile_topic:Event", b'{"timestamp":"2031-01-01T12:00:00Z"}')
    with pytest.raises(UnknownTopic):
        notes.history.aggregate(Note, note.id)
    with pytest.raises(UnknownTopic):
        list(FactLog(notes.history).stream(note.id))
    projected(notes, notes.followers[0])  # reads the topics that it declares
    assert rows_of(notes, "SELECT count(*) FROM read.note") == [(1,)]
    assert not trace.exists()


def test_neither_does_a_dotted_path_to_a_class_that_is_loaded_already(notes: Platform) -> None:
    note = Note.open(new_id())
    notes.store(ACTOR).save(note)
    append_row(notes, note.id, 2, f"{Note.__module__}:Note.Closed", b'{"timestamp":"2031-01-01T12:00:00Z"}')
    with pytest.raises(UnknownTopic):
        notes.history.aggregate(Note, note.id)


def append_row(platform: Platform, stream_id: UUID, version: int, topic: str, data: bytes) -> None:
    """A row as somebody with the application's password could append it."""
    type_id, command = platform.history.types.type_id(topic), new_id()
    with platform.pool.connection() as connection:
        connection.execute(
            "SELECT es.append(%s, '', '', %s, %s, %s, 'api', NULL, NULL, %s, %s, %s, %s, %s)",
            (command, command, command, ACTOR, [stream_id], [version], [type_id], [1], [data]),
        )
