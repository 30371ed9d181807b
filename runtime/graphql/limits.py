"""How large a document may be; looked at before the schema is, so that an attack costs no more than reading it.

Fragments count wherever they are spread. A fragment is measured once, however often that is: a chain of fragments that
each spread the next twice would otherwise never end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import reduce
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    parse,
)

from runtime.graphql.errors import (
    InvalidDocument,
    MalformedDocument,
    TooDeep,
    TooManyAliases,
    TooManyFragments,
    TooManyRootFields,
    TooManyTokens,
    TooRepetitive,
)

MAX_TOKENS = 1_000
MAX_DEPTH = 10
MAX_ALIASES = 30
MAX_ROOT_FIELDS = 10
MAX_FRAGMENTS = 20
#: Validation compares every two fields of one name in one place.
MAX_REPEATS = 10
#: Directives that the language has: `@skip`, `@include`.
MAX_DIRECTIVES = 30
#: What describes the schema is nested deeply by nature, of a bounded size, and not there in production.
INTROSPECTION = frozenset({"__schema", "__type"})


class Size(NamedTuple):
    """What a selection asks for, with everything that it spreads: levels, renamed fields, fields of its own level."""

    depth: int = 0
    aliases: int = 0
    fields: int = 0

    def beside(self, other: Size) -> Size:
        return Size(max(self.depth, other.depth), self.aliases + other.aliases, self.fields + other.fields)


class Read(NamedTuple):
    """A document within the limits: its one operation and its fragments."""

    document: DocumentNode
    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDefinitionNode]


def read(text: str) -> Read:
    """The document; raises one of the refusals of `runtime.graphql.errors`."""
    document = _parsed(text)
    operation, fragments = _definitions(document)
    try:
        size = _Measure(fragments).of(operation.selection_set)
    except RecursionError:
        raise TooDeep("the document is nested too deeply") from None
    _check(size)
    return Read(document, operation, fragments)


def _parsed(text: str) -> DocumentNode:
    try:
        return parse(text, max_lexical_tokens=MAX_TOKENS, max_comments=MAX_TOKENS)
    except GraphQLSyntaxError as error:
        if "Document contains more than" in error.message:
            raise TooManyTokens(f"a document has at most {MAX_TOKENS} tokens") from None
        if "nested too deeply" in error.message:
            raise TooDeep("the document is nested too deeply") from None
        place = [{"line": one.line, "column": one.column} for one in error.locations or []]
        message = "the document is not GraphQL"
        raise MalformedDocument(message, [{"field": "query", "message": message, "locations": place}]) from None


def _definitions(document: DocumentNode) -> tuple[OperationDefinitionNode, dict[str, FragmentDefinitionNode]]:
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    fragments = [one for one in document.definitions if isinstance(one, FragmentDefinitionNode)]
    if len(operations) != 1 or len(operations) + len(fragments) != len(document.definitions):
        raise InvalidDocument("a document has one operation, and else fragments only")
    if operations[0].operation is not OperationType.QUERY:
        raise InvalidDocument("only queries can be asked here: commands go by REST")
    if len(fragments) > MAX_FRAGMENTS:
        raise TooManyFragments(f"a document has at most {MAX_FRAGMENTS} fragments")
    return operations[0], {one.name.value: one for one in fragments}


def _check(size: Size) -> None:
    if size.depth > MAX_DEPTH:
        raise TooDeep(f"fields are nested in at most {MAX_DEPTH} levels")
    if size.fields > MAX_ROOT_FIELDS:
        raise TooManyRootFields(f"a document has at most {MAX_ROOT_FIELDS} root fields")
    if size.aliases > MAX_ALIASES:
        raise TooManyAliases(f"a document has at most {MAX_ALIASES} aliases")


class _Measure:
    """Sizes of selections, of each fragment once."""

    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._known: dict[str, Size | None] = {}  # None while it is being measured

    def of(self, selections: SelectionSetNode | None) -> Size:
        if selections is None:
            return Size()
        _check_repeats(selections.selections)
        return reduce(Size.beside, map(self._one, selections.selections), Size())

    def _one(self, selection: SelectionNode) -> Size:
        if len(selection.directives or ()) > MAX_DIRECTIVES:
            raise TooRepetitive(f"a field has at most {MAX_DIRECTIVES} directives")
        if isinstance(selection, FieldNode):
            name, aliases = selection.name.value, int(selection.alias is not None)
            inner = Size() if name in INTROSPECTION else self.of(selection.selection_set)
            return Size(inner.depth + 1, inner.aliases + aliases, 1)
        if isinstance(selection, FragmentSpreadNode):
            return self._fragment(selection.name.value)
        return self.of(getattr(selection, "selection_set", None))

    def _fragment(self, name: str) -> Size:
        if name not in self._fragments:
            return Size()  # validation tells
        if name not in self._known:
            self._known[name] = None
            self._known[name] = self.of(self._fragments[name].selection_set)
        size = self._known[name]
        if size is None:
            raise TooDeep("a fragment spreads itself")
        return size


def _check_repeats(selections: Iterable[SelectionNode]) -> None:
    (_, most), *_ = Counter(_names(selections)).most_common(1) or [("", 0)]
    if most > MAX_REPEATS:
        raise TooRepetitive(f"a field is selected at most {MAX_REPEATS} times in one place")


def _names(selections: Iterable[SelectionNode]) -> Iterator[str]:
    """Under which names fields and fragments are put in one place; inline fragments are the same place."""
    for one in selections:
        if isinstance(one, FieldNode):
            yield (one.alias or one.name).value
        elif isinstance(one, FragmentSpreadNode):
            yield f"...{one.name.value}"
        else:
            yield "..."
