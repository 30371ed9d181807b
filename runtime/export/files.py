"""Rows into files of a bounded size, Parquet or NDJSON, with a manifest by which anybody can verify them later."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import msgspec

MANIFEST = "manifest.json"
#: Of the manifest's own form.
FORM = 1
#: A row group is written when it has so many rows, or so many bytes of JSON.
GROUP_ROWS = 50_000
GROUP_BYTES = 32 * 2**20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Row = tuple[Any, ...]


class ExportRefused(Exception):
    """The export cannot be written; `str(error)` is one line that says why."""


class ExportDamaged(Exception):
    """The files are not those that were exported; `str(error)` names the first one."""


class FileFormat(StrEnum):
    PARQUET = "parquet"
    NDJSON = "ndjson"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Values are: int, str, UUIDs as 16 bytes, times as UTC microseconds, JSON as text in bytes."""

    name: str
    kind: Literal["int", "text", "uuid", "time", "json"]


@dataclass(frozen=True)
class Written:
    """One file; `first` and `last` are the keys of its first and last row: positions, or edge, segment and place."""

    name: str
    rows: int
    bytes: int
    sha256: str
    first: list[Any]
    last: list[Any]


@dataclass(frozen=True)
class Manifest:
    """What an export holds: it lies beside the files, and is written last."""

    what: str  # events, announces
    file_format: str
    created_at: str
    #: What was asked for, and from what it was read.
    about: dict[str, Any]
    columns: list[str]
    rows: int
    first: list[Any]
    last: list[Any]
    files: list[Written] = field(default_factory=list)
    form: int = FORM


class _Sink(Protocol):
    def write(self, rows: Sequence[Row]) -> None: ...

    def close(self) -> None: ...


class Export:
    """Takes rows in the order of their keys, which are the first `key` columns. Left by an error it leaves no files."""

    def __init__(
        self, directory: Path, what: str, columns: Sequence[Column], file_format: FileFormat, *, key: int, per_file: int
    ) -> None:
        """`directory` must be empty or not there yet. Raises `ExportRefused`."""
        if per_file < 1:
            raise ExportRefused("a file takes at least 1 row")
        self._sink_of = _parquet_sink if file_format is FileFormat.PARQUET else _NdjsonSink
        if file_format is FileFormat.PARQUET:
            _pyarrow()
        self._directory, self._what, self._columns, self._format = directory, what, tuple(columns), file_format
        self._key, self._per_file = key, per_file
        self._files: list[Written] = []
        self._sink: _Sink | None = None
        self._rows, self._first, self._last = 0, (), ()  # type: tuple[int, Row, Row]
        _make_empty(directory)

    def add(self, rows: Sequence[Row]) -> None:
        while rows:
            room = self._per_file - self._rows
            self._put(rows[:room])
            rows = rows[room:]
            if self._rows == self._per_file:
                self._close()

    def finish(self, about: dict[str, Any]) -> Manifest:
        """Writes the manifest; `about` says what was asked for."""
        self._close()
        files = self._files
        manifest = Manifest(
            self._what,
            str(self._format),
            datetime.now(UTC).isoformat(timespec="seconds"),
            about,
            [column.name for column in self._columns],
            sum(one.rows for one in files),
            files[0].first if files else [],
            files[-1].last if files else [],
            files,
        )
        part = self._directory / f"{MANIFEST}.part"
        part.write_text(json.dumps(asdict(manifest), indent=1) + "\n")
        os.replace(part, self._directory / MANIFEST)
        return manifest

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if kind is None:
            return
        if self._sink is not None:
            with suppress(OSError):
                self._sink.close()
        for path in (self._path(), *(self._directory / one.name for one in self._files)):
            path.unlink(missing_ok=True)
        if isinstance(error, OSError):  # the disk is full, say
            raise ExportRefused(f"{self._directory}: {error.strerror or error}") from error

    def _path(self) -> Path:
        return self._directory / f"{self._what}-{len(self._files) + 1:06}.{self._format}"

    def _put(self, rows: Sequence[Row]) -> None:
        if self._sink is None:
            self._sink, self._first = self._sink_of(self._path(), self._columns), rows[0][: self._key]
        self._sink.write(rows)
        self._rows += len(rows)
        self._last = rows[-1][: self._key]

    def _close(self) -> None:
        sink, self._sink = self._sink, None
        if sink is None:
            return
        sink.close()
        path = self._path()
        self._files.append(
            Written(path.name, self._rows, path.stat().st_size, _sha256(path), list(self._first), list(self._last))
        )
        self._rows = 0


def verify(directory: Path) -> Manifest:
    """What the manifest says, once every file is what it says. Raises `ExportDamaged`."""
    manifest = _read_manifest(directory)
    for one in manifest.files:
        path = directory / one.name
        if not path.is_file():
            raise ExportDamaged(f"{one.name} is missing")
        if (path.stat().st_size, _sha256(path)) != (one.bytes, one.sha256):
            raise ExportDamaged(f"{one.name} was changed")
    if unknown := sorted(
        {path.name for path in directory.iterdir()} - {MANIFEST, *(one.name for one in manifest.files)}
    ):
        raise ExportDamaged(f"{unknown[0]} is not in the manifest")
    if not _adds_up(manifest):
        raise ExportDamaged(f"{MANIFEST} does not add up")
    return manifest


def fingerprint(directory: Path) -> str:
    """The SHA-256 of the manifest: kept elsewhere, it vouches for all of the export."""
    return _sha256(directory / MANIFEST)


def as_json(columns: Sequence[Column], row: Row) -> bytes:
    """The row as one JSON object."""
    return msgspec.json.encode(
        {column.name: _plain(column.kind, value) for column, value in zip(columns, row, strict=True)}
    )


def microseconds(at: datetime) -> int:
    """UTC microseconds since 1970, as `Column` has times."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def _plain(kind: str, value: Any) -> Any:
    if value is None or kind in {"int", "text"}:
        return value
    if kind == "json":
        return msgspec.Raw(value)
    return _uuid_text(value) if kind == "uuid" else (_EPOCH + timedelta(microseconds=value)).isoformat()


def _uuid_text(value: bytes) -> str:
    """What `str(UUID(bytes=value))` gives, in a quarter of the time."""
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class _NdjsonSink:
    """One JSON object a line."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._file = path.open("xb")

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._file.write(as_json(self._columns, row) + b"\n")

    def close(self) -> None:
        with self._file:
            self._file.flush()
            os.fsync(self._file.fileno())


class _ParquetSink:
    """Row groups of bounded size, compressed with zstd."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        pa, parquet = _pyarrow()
        types = {
            "int": pa.int64(),
            "text": pa.string(),
            "uuid": pa.uuid(),
            "time": pa.timestamp("us", tz="UTC"),
            "json": pa.json_(),
        }
        self._pa, self._path = pa, path
        self._schema = pa.schema([(column.name, types[column.kind]) for column in columns])
        self._json = [n for n, column in enumerate(columns) if column.kind == "json"]
        self._waiting: list[Row] = []
        self._waiting_bytes = 0
        self._writer = parquet.ParquetWriter(str(path), self._schema, compression="zstd")

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._waiting.append(row)
            self._waiting_bytes += sum(len(row[n]) for n in self._json)
            if len(self._waiting) >= GROUP_ROWS or self._waiting_bytes >= GROUP_BYTES:
                self._write_group()

    def close(self) -> None:
        if self._waiting:
            self._write_group()
        self._writer.close()
        handle = os.open(self._path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)

    def _write_group(self) -> None:
        columns = zip(*self._waiting, strict=True)
        arrays = [self._array(type_, values) for type_, values in zip(self._schema.types, columns, strict=True)]
        self._writer.write_table(self._pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=GROUP_ROWS)
        self._waiting, self._waiting_bytes = [], 0

    def _array(self, type_: Any, values: Row) -> Any:
        pa = self._pa
        if not isinstance(type_, pa.BaseExtensionType):
            return pa.array(values, type_)
        return pa.ExtensionArray.from_storage(type_, pa.array(values, type_.storage_type))


def _parquet_sink(path: Path, columns: Sequence[Column]) -> _Sink:
    return _ParquetSink(path, columns)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ExportRefused("Parquet needs the extra `analysts`: pip install 'tracker-platform[analysts]'") from None
    return pyarrow, pyarrow.parquet


def _make_empty(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(directory.iterdir()):
            raise ExportRefused(f"{directory} is not empty")
    except OSError as error:
        raise ExportRefused(f"{directory}: {error.strerror}") from None


def _read_manifest(directory: Path) -> Manifest:
    try:
        manifest = msgspec.json.decode((directory / MANIFEST).read_bytes(), type=Manifest)
    except OSError as error:
        raise ExportDamaged(f"{directory / MANIFEST}: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ExportDamaged(f"{MANIFEST} is none: {error}") from None
    if manifest.form != FORM:
        raise ExportDamaged(f"{MANIFEST} is of form {manifest.form}, not {FORM}")
    if any(Path(one.name).name != one.name for one in manifest.files):
        raise ExportDamaged(f"{MANIFEST} names files elsewhere")
    return manifest


def _adds_up(manifest: Manifest) -> bool:
    """Rows and keys of the files are those of the whole, and no file begins before the one before it ended."""
    files = manifest.files
    keys = [key for one in files for key in (one.first, one.last)]
    ends = (keys[0], keys[-1]) if keys else ([], [])
    return (
        manifest.rows == sum(one.rows for one in files)
        and (manifest.first, manifest.last) == ends
        and all(before < after or before == after for before, after in zip(keys, keys[1:], strict=False))
        and all(one.last < two.first for one, two in zip(files, files[1:], strict=False))
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
