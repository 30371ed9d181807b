"""Which events are there, and what do they say? Writes docs/events.md: `python -m runtime.catalogue`."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from domain.base import Aggregate
from runtime.codec import EventShape

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "events.md"
CHANGELOG = ROOT / "CHANGELOG.md"
COMMAND = "python -m runtime.catalogue"
#: The section of what no release has yet.
UNRELEASED = "Unreleased"

_HEAD = f"""# Events

Every event that the store can hold, written by `{COMMAND}`; a test fails when this page is
out of date.

A topic outlives every release: it names the event in the store, in exports and in the audit log. `payload` of an
export, and `data` of the store, have the fields below as JSON:

| type | in JSON |
|---|---|
| `UUID` | its text, lower case |
| `datetime` | ISO 8601, UTC |
| `int`, `bool`, `str`, `list[…]` | number, boolean, string, array |
| `Personal` | text that names or traces a person |
| `… \\| None` | or null |

Personal text is ciphertext in the store, null in an export unless it is permitted, and reads `erased` once the person's
key is destroyed.

Besides its fields every event has: its stream and version there, `timestamp` (when it was decided), its position in
the one order of the site, when it was recorded, the actor, the command, correlation and causation, and the origin: api,
cli, edge, policy or seed.

An event is kept in the schema version in which it was written, and raised to the newest when it is read. The release
that brought each version is the one whose section *Events* of the changelog names the topic.
"""


@dataclass(frozen=True)
class Field:
    """One field as its class declares it; `note` is the comment beside it."""

    type: str
    note: str


@dataclass(frozen=True)
class Declared:
    """What the source says of a class: its own docstring, and its fields by name."""

    doc: str
    fields: Mapping[str, Field]


def catalogue(aggregates: Iterable[type[Aggregate]], changelog: str) -> str:
    """The page for these aggregates; `changelog` is the text from which releases are read."""
    listed = sorted(aggregates, key=lambda aggregate: aggregate.TOPIC)
    released = releases(changelog)
    lines = [_HEAD]
    for aggregate in listed:
        lines += _section(aggregate, released)
    return "\n".join(lines).rstrip() + "\n"


def releases(changelog: str) -> dict[str, list[str]]:
    """For each topic the releases that name it under *Events*, oldest first."""
    found: dict[str, list[str]] = {}
    for section in reversed(re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]):
        name = section.split("\n", 1)[0].strip()
        events = re.search(r"^### Events\n(.*?)(?=^### |\Z)", section, re.MULTILINE | re.DOTALL)
        for topic in dict.fromkeys(re.findall(r"`([a-z_]+\.[a-z_]+)`", events[1] if events else "")):
            found.setdefault(topic, []).append(name)
    return found


def _section(aggregate: type[Aggregate], released: Mapping[str, list[str]]) -> Iterator[str]:
    declared = _declarations(aggregate)
    yield f"## {aggregate.TOPIC}\n"
    yield f"{_text(declared[aggregate.__qualname__].doc)}\n"
    for kind in vars(aggregate).values():
        if isinstance(kind, type) and issubclass(kind, Aggregate.Event) and hasattr(kind, "TOPIC"):
            yield from _entry(EventShape(kind), declared[kind.__qualname__], released.get(kind.TOPIC, []))


def _entry(shape: EventShape, declared: Declared, released: list[str]) -> Iterator[str]:
    yield f"### `{shape.topic}`\n"
    if declared.doc:
        yield f"{_text(declared.doc)}\n"
    names = [name for name in shape.names if name != "timestamp"]
    yield from _table({name: declared.fields[name] for name in names}) if names else ["No fields.\n"]
    yield from _versions(shape, released)
    yield ""


def _table(fields: Mapping[str, Field]) -> Iterator[str]:
    """The third column stands only where the source says more of a field than its name and type."""
    noted = any(field.note for field in fields.values())
    yield "| field | type | meaning |\n|---|---|---|" if noted else "| field | type |\n|---|---|"
    for name, field in fields.items():
        yield f"| `{name}` | `{_cell(field.type)}` |" + (f" {_cell(field.note)} |" if noted else "")
    yield ""


def _versions(shape: EventShape, released: list[str]) -> Iterator[str]:
    """A line for each schema version: which release brought it, and how an older event is raised to it."""
    for version in range(1, shape.version + 1):
        release = released[version - 1] if version <= len(released) else UNRELEASED
        upcast = getattr(shape.kind, f"upcast_v{version - 1}_v{version}", None)
        how = f": {_text(inspect.getdoc(upcast) or '')}" if upcast else ""
        yield f"- Version {version}: {release}{how}"


def _declarations(aggregate: type[Aggregate]) -> dict[str, Declared]:
    """The aggregate and its nested classes by qualified name, as their module's source declares them."""
    source = inspect.getsource(aggregate)
    lines = source.splitlines()
    (tree,) = ast.parse(source).body
    assert isinstance(tree, ast.ClassDef)
    nested = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    prefix = aggregate.__qualname__
    return {prefix: _declared(tree, lines)} | {f"{prefix}.{node.name}": _declared(node, lines) for node in nested}


def _declared(node: ast.ClassDef, lines: list[str]) -> Declared:
    fields = {
        one.target.id: Field(ast.unparse(one.annotation), _comment(lines[(one.end_lineno or one.lineno) - 1], one))
        for one in node.body
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
    }
    return Declared(ast.get_docstring(node) or "", fields)


def _comment(line: str, node: ast.AnnAssign) -> str:
    """What stands behind the declaration on its line."""
    rest = line.encode()[node.end_col_offset or 0 :].decode()
    return rest.partition("#")[2].strip()


def _text(doc: str) -> str:
    """A docstring's paragraphs, each on one line."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in doc.split("\n\n"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Importing `domain.base` imports the package, and with it every aggregate there is."""
    DOCUMENT.write_text(catalogue(Aggregate.__subclasses__(), CHANGELOG.read_text()))


if __name__ == "__main__":
    main()
