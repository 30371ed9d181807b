"""Writes the corpus of a release: the stored bytes of every event type of `tests/history`, as this code writes them.

    python -m tests.golden.write tests/golden/0.1.0.ndjson

A corpus is written once, when its release is made, and never again: what it holds lies in somebody's store.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from domain import EVENTS
from runtime.keyring import PREFIX
from runtime.migrate import migrate
from runtime.platform import Platform
from runtime.secrets import Secrets
from runtime.settings import Settings
from tests.engines import start_postgres, start_valkey
from tests.history import write_history

#: Per type: enough to see a field with and without a value.
EXAMPLES = 2


class ReadableKeyring:
    """Stands for the data keys of persons, which a corpus has none of: `seal` only marks what is personal."""

    def seal(self, subject: UUID, text: str, context: str) -> str:
        return PREFIX + text

    def open(self, subject: UUID, sealed: str, context: str) -> str:
        return sealed.removeprefix(PREFIX)

    def fetch(self, subjects: Collection[UUID]) -> None:
        """There is nothing to look up."""


@dataclass(frozen=True)
class Golden:
    """A row of the log as some release wrote it, but for its ciphertext: what is personal is in clear, and marked."""

    topic: str
    schema_version: int
    stream_id: str
    version: int
    data: str  # JSON text, to the byte


def main() -> None:
    target = Path(sys.argv[1])
    with target.open("x") as file:
        file.writelines(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in collected())


def collected() -> list[Golden]:
    """Examples of every type, ordered by topic."""
    with TemporaryDirectory() as folder:
        postgres, valkey = start_postgres(Path(folder)), start_valkey(Path(folder))
        try:
            migrate(postgres.url())
            servers = {"database": {"url": postgres.url(user="tracker_app")}, "redis": {"url": valkey.url()}}
            settings = Settings.model_validate({"data_dir": folder, **servers})
            with Platform(settings, EVENTS, secrets=Secrets(b"j" * 32, b"s" * 32, b"k" * 32)) as platform:
                platform.history.codec._keyring = ReadableKeyring()
                write_history(platform)
                return sorted(_examples(platform), key=lambda one: (one.topic, one.stream_id, one.version))
        finally:
            valkey.stop()
            postgres.stop()


def _examples(platform: Platform) -> Iterator[Golden]:
    with platform.pool.connection() as connection:
        rows = connection.execute(
            "SELECT topic, schema_version, stream_id::text, version, data FROM ("
            " SELECT t.name AS topic, e.*,"
            " row_number() OVER (PARTITION BY e.type ORDER BY length(e.data) DESC, e.position) AS longest,"
            " row_number() OVER (PARTITION BY e.type ORDER BY length(e.data), e.position DESC) AS shortest"
            " FROM es.event e JOIN es.event_type t ON t.id = e.type) AS numbered"
            " WHERE longest = 1 OR shortest < %s ORDER BY 1",
            (EXAMPLES,),
        ).fetchall()
    for topic, schema_version, stream_id, version, data in rows:
        yield Golden(topic, schema_version, stream_id, version, bytes(data).decode())


if __name__ == "__main__":
    main()
