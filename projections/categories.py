"""The tree of categories as it is shown."""

from __future__ import annotations

from domain.categories import Category
from runtime.db import Writer
from runtime.facts import Fact
from runtime.projection import Projection

categories = Projection("categories", "category", stream="category_id")


@categories.on(Category.Defined)
def defined(fact: Fact[Category.Defined], db: Writer) -> None:
    db.execute(
        "INSERT INTO category (category_id, slug, name, parent, rank) VALUES (%s, %s, %s, %s, %s)",
        (fact.stream_id, fact.event.slug, fact.event.name, fact.event.parent, fact.event.rank),
    )
