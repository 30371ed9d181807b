"""What a writer knows of one table that nobody else writes: rows that are yet to be written, and rows that it knows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from psycopg import Connection

from runtime.gathering.keys import Key, values_of
from runtime.gathering.plans import Plan, Row
from runtime.gathering.shapes import Shape

#: Rows of a table that are remembered after they were written, and such that are not there; what is older is asked
#: for again.
KNOWN_ROWS = 100_000

#: A row as a statement inserts it, which is made one by its columns when anybody looks at it.
Inserted = tuple[Plan, Sequence[object]]


class Gathered:
    """The rows of one table; `complete` says whether one that is neither new nor remembered does not exist."""

    def __init__(self, shape: Shape, *, complete: bool = True) -> None:
        self.shape = shape
        self.new: dict[Key, Row | Inserted] = {}
        self.changed: dict[Key, Row] = {}
        #: Changes of rows that are not known: what a statement said of a row, and again, as if it had said it at once.
        self.folded: dict[Key, tuple[Plan, Row]] = {}
        #: Whether changes are folded: not where they are asked for before they are written.
        self.folds = True
        self._written: dict[Key, Row | Inserted] = {}
        self._absent: set[Key] = set()
        self.complete = complete
        #: Whether anybody has asked for a row by its key.
        self.asked = False

    @classmethod
    def of(cls, connection: Connection[Any], schema: str, table: str) -> Gathered:
        """An empty table, as the catalogue describes it."""
        return cls(Shape.of(connection, schema, table))

    def has(self, key: Key) -> bool:
        """Whether the row is known."""
        return key in self.new or key in self._written

    def row(self, key: Key) -> Row | None:
        """The row as far as it is known."""
        rows = self.new
        held = rows.get(key)
        if held is None:
            rows = self._written
            held = rows.get(key)
        if isinstance(held, tuple):
            plan, params = held
            held = rows[key] = plan.row(params)
        return held

    def fold(self, key: Key, plan: Plan, params: Sequence[object]) -> bool:
        """Take a change of a row that is not known; returns False for one that cannot be folded into the one that is
        pending."""
        if not self.folds or key in self.new or key in self.changed or not plan.adds_integers(params):
            return False
        pending = self.folded.get(key)
        if pending is None:
            self.folded[key] = (plan, plan.row(params))
            return True
        if pending[0] is not plan:
            return False
        plan.apply(pending[1], params)
        return True

    def change(self, key: Key, row: Row, plan: Plan, params: Sequence[object]) -> None:
        """Change a row that is known; raises `Unclear`."""
        plan.apply(row, params)
        if key not in self.new:
            changes = {one.column: row[one.column] for one in plan.assigned}
            self.changed.setdefault(key, {}).update(changes)

    def miss(self, key: Key) -> None:
        """PostgreSQL has no such row."""
        if len(self._absent) >= KNOWN_ROWS:
            self._absent.clear()
        self._absent.add(key)

    def is_absent(self, key: Key) -> bool:
        """Whether there is certainly no row but those that are pending."""
        return self.complete or key in self._absent

    def remember(self, key: Key, row: Row) -> Row:
        """Takes a row that PostgreSQL has given; returns what is known of it from now on."""
        kept = {column: value for column, value in row.items() if column not in self.shape.generated}
        self._written[key] = kept
        return kept

    def forget(self) -> None:
        """Somebody else writes this table; what is pending has been written before."""
        self.new, self.changed, self.folded, self._written = {}, {}, {}, {}
        self._absent, self.complete = set(), False

    def new_rows(self) -> Iterator[tuple[Sequence[str], list[Sequence[object]]]]:
        """Rows to insert, by the columns that they have."""
        groups: defaultdict[Sequence[str], list[Sequence[object]]] = defaultdict(list)
        for row in self.new.values():
            if isinstance(row, tuple):
                plan, params = row
                groups[plan.columns].append(plan.line(params))
            else:
                groups[tuple(row)].append(list(row.values()))
        yield from groups.items()

    def changed_rows(self) -> Iterator[tuple[Sequence[str], list[Sequence[object]]]]:
        """Changes to make, each with its key first, by the columns that they have."""
        groups: defaultdict[Sequence[str], list[Sequence[object]]] = defaultdict(list)
        for key, row in self.changed.items():
            groups[(*self.shape.key, *row)].append([*values_of(key, self.shape.kinds), *row.values()])
        yield from groups.items()

    def folded_rows(self) -> Iterator[tuple[Plan, list[Row]]]:
        """Folded changes, each with its key, by the statement that said them."""
        groups: defaultdict[Plan, list[Row]] = defaultdict(list)
        for key, (plan, row) in self.folded.items():
            keyed = dict(zip(self.shape.key, values_of(key, self.shape.kinds), strict=True))
            groups[plan].append(keyed | row)
        yield from groups.items()

    def written(self) -> None:
        """All that was pending is in the table now."""
        if self.asked or self.complete:
            self._written.update(self.new)
            self._absent.difference_update(self.new)
        else:
            self._absent = set()
        self.new, self.changed, self.folded = {}, {}, {}
        surplus = len(self._written) - KNOWN_ROWS
        if surplus > 0:
            self.complete = False
            gone = list(self._written)[:surplus] if self.asked else list(self._written)
            for key in gone:
                del self._written[key]
