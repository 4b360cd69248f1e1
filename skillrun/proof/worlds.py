"""What the store of a schedule holds besides what the examples' setup makes; see `changed_rows`."""

from __future__ import annotations

from dataclasses import dataclass

MANY, DONE, GIVEN_UP, BEGUN = "many", "done", "given-up", "begun"
"""More rows: of each table, those that other jobs have left that were done, given up, or died before
their first effect.
"""
FOREIGN, LONGER, CENTS = "foreign", "longer", "cents"
"""Another value in one column."""


@dataclass(frozen=True)
class World:
    """Other rows. `table` and `column`: where another value is; "" for a world of more rows."""

    kind: str
    table: str = ""
    column: str = ""

    def __str__(self) -> str:
        if self.column:
            return f"{self.kind}:{self.table}.{self.column}"
        return self.kind
