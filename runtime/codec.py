"""Events to JSON bytes and back: the library's mapper with typed decoding, registered topics and personal fields.

A topic in a row never imports code: it resolves only to an event class that `domain` has declared. What a class says of
its fields (types, which are `Personal`) is worked out once per class.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, NotRequired, TypedDict, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import JSONTranscoder, Mapper, MapperDeserialisationError, StoredEvent

from domain.base import PERSONAL, Aggregate, Created
from runtime.keyring import PREFIX, Keyring

_ENVELOPE = {"originator_id", "originator_version", "originator_topic", "originator_id_type"}

#: The event of a stream from its version, its bytes and their schema version.
EventReader = Callable[[UUID, int, bytes, int], Aggregate.Event]


class UnknownTopic(MapperDeserialisationError):
    """A stored event of a type that this version of the platform does not know."""


class EventShape:
    """How one event class is written: what decodes its fields, and which of them are personal."""

    def __init__(self, kind: type[Aggregate.Event]) -> None:
        hints = get_type_hints(kind, include_extras=True)
        names = [f.name for f in dataclasses.fields(kind) if f.name not in _ENVELOPE]
        defaults = {f.name: f.default for f in dataclasses.fields(kind) if f.default is not dataclasses.MISSING}
        self.kind = kind
        self.topic: str = kind.TOPIC
        self.version: int = getattr(kind, "class_version", 1)
        self.personal = tuple(name for name in names if _is_personal(hints[name]))
        self.aggregate_topic = self.topic.partition(".")[0] if issubclass(kind, Created) else None
        self.names = names
        self._defaults = defaults
        self._type: Any = TypedDict(  # type: ignore[misc]
            kind.__name__, {name: NotRequired[hints[name]] if name in defaults else hints[name] for name in names}
        )
        self._decode: Callable[[bytes], dict[str, Any]] = msgspec.json.Decoder(self._type).decode

    def reader(self) -> EventReader:
        """Makes events of stored bytes of any schema version up to ours, personal fields as they are stored; raises
        `UnknownTopic` or `MapperDeserialisationError`.

        Every fact that is read comes through here, so what is known of the class is looked up once.
        """
        kind, version, count, opening = self.kind, self.version, len(self.names), self.aggregate_topic
        decode, new, put = self._decode, object.__new__, object.__setattr__

        def read(stream_id: UUID, stream_version: int, data: bytes, schema_version: int) -> Aggregate.Event:
            try:
                state = decode(data) if schema_version == version else self._upcast(data, schema_version)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                where = f"{self.topic} {stream_id}/{stream_version}"
                raise MapperDeserialisationError(f"{where}: {error}") from error
            if len(state) != count:
                state = {**self._defaults, **state}
            state["originator_id"] = stream_id
            state["originator_version"] = stream_version
            if opening:
                state["originator_topic"] = opening
            event: Aggregate.Event = new(kind)
            put(event, "__dict__", state)  # frozen, and its fields are of their types: there is nothing to check
            return event

        return read

    def _upcast(self, data: bytes, schema_version: int) -> dict[str, Any]:
        if schema_version > self.version:
            raise UnknownTopic(f"{self.topic} of schema version {schema_version}, newer than {self.version}")
        state: dict[str, Any] = msgspec.json.decode(data)
        for version in range(schema_version, self.version):
            getattr(self.kind, f"upcast_v{version}_v{version + 1}")(state)
        upcast: dict[str, Any] = msgspec.convert(state, self._type)
        return upcast


class EventMapper(Mapper[UUID]):
    """The library's mapper seam: `to_stored_event` and `to_domain_event` over registered shapes."""

    def __init__(self, kinds: Iterable[type[Aggregate.Event]], keyring: Keyring) -> None:
        super().__init__(JSONTranscoder())
        self._keyring = keyring
        self._by_kind = {kind: EventShape(kind) for kind in kinds}
        self._by_topic = {shape.topic: shape for shape in self._by_kind.values()}
        self._personal = {kind for kind, shape in self._by_kind.items() if shape.personal}

    @property
    def topics(self) -> list[str]:
        return list(self._by_topic)

    @property
    def aggregates_without_personal_text(self) -> dict[type[Aggregate], list[str]]:
        """The aggregates none of whose events names or traces a person, with the topics of their events. Logs are not
        among them: they have no first event that makes a thing."""
        shapes: dict[type[Aggregate], list[EventShape]] = {}
        for shape in self._by_kind.values():
            shapes.setdefault(_aggregate(shape.kind), []).append(shape)
        return {
            kind: [shape.topic for shape in of_kind]
            for kind, of_kind in shapes.items()
            if any(shape.aggregate_topic for shape in of_kind) and not any(shape.personal for shape in of_kind)
        }

    def shape(self, kind: type[Any]) -> EventShape:
        return self._by_kind[kind]

    def has_personal_text(self, topics: Collection[str] | None) -> bool:
        """Whether events of some of these topics may have, None for all there are."""
        personal = {self._by_kind[kind].topic for kind in self._personal}
        return bool(personal) if topics is None else not personal.isdisjoint(topics)

    def schema_version(self, topic: str) -> int:
        return self._by_topic[topic].version

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        shape = self._by_kind[type(domain_event)]  # type: ignore[index]
        state = {name: getattr(domain_event, name) for name in shape.names}
        for name in shape.personal:
            if state[name] is not None:
                state[name] = self._keyring.seal(_subject(domain_event), state[name], _context(domain_event, name))
        return StoredEvent(
            originator_id=domain_event.originator_id,
            originator_version=domain_event.originator_version,
            topic=shape.topic,
            state=msgspec.json.encode(state),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        assert isinstance(stored_event.originator_id, UUID)
        return self.event(
            stored_event.topic,
            stored_event.originator_id,
            stored_event.originator_version,
            stored_event.state,
            getattr(stored_event, "schema_version", 1),
        )

    def event(self, topic: str, stream_id: UUID, version: int, data: bytes, schema_version: int) -> Aggregate.Event:
        """The event that a row holds; raises `UnknownTopic` or `MapperDeserialisationError`."""
        event = self.sealed_reader(topic)(stream_id, version, data, schema_version)
        self._open(event)
        return event

    def sealed_reader(self, topic: str) -> EventReader:
        """The same for many rows of one topic, personal fields as they are stored: `open_all` opens them. Raises
        `UnknownTopic`."""
        shape = self._by_topic.get(topic)
        if shape is None:
            raise UnknownTopic(f"no event class has the topic {topic!r}")
        return shape.reader()

    def open_all(self, events: Iterable[Aggregate.Event]) -> None:
        """Open the personal fields of events; the keys of all persons are looked up together."""
        personal = [event for event in events if type(event) in self._personal]
        if len(personal) > 1:
            self._keyring.fetch({_subject(event) for event in personal if next(self._sealed(event), None)})
        for event in personal:
            self._open(event)

    def _open(self, event: Aggregate.Event) -> None:
        state = vars(event)
        for name in self._sealed(event):
            state[name] = self._keyring.open(_subject(event), state[name], _context(event, name))

    def _sealed(self, event: Aggregate.Event) -> Iterator[str]:
        """The fields that hold ciphertext."""
        state = vars(event)
        for name in self._by_kind[type(event)].personal:
            if state[name] is not None and state[name].startswith(PREFIX):
                yield name


def _aggregate(kind: type[Aggregate.Event]) -> type[Aggregate]:
    """The class that an event class is nested in."""
    found: type[Aggregate] = vars(sys.modules[kind.__module__])[kind.__qualname__.partition(".")[0]]
    return found


def _is_personal(hint: object) -> bool:
    return PERSONAL in getattr(hint, "__metadata__", ()) or (
        get_origin(hint) is not None and any(_is_personal(arg) for arg in get_args(hint))
    )


def _subject(event: Any) -> UUID:
    subject = getattr(event, type(event).SUBJECT)
    assert isinstance(subject, UUID)
    return subject


def _context(event: Any, field: str) -> str:
    return f"{event.originator_id}/{event.originator_version}/{field}"
