"""What the store of a schedule holds besides what the examples' setup makes; see `changed_rows`."""

from __future__ import annotations

from dataclasses import dataclass

MANY, DONE, GIVEN_UP, BEGUN = "many", "done", "given-up", "begun"
"""More rows: of each table, those that other jobs have left that were done, given up, or died
before their first effect.
"""
FOREIGN, LONGER, CENTS = "foreign", "longer", "cents"
"""Another value in one column."""

MORE_ROWS = 1_050
"""More than a page of a thousand, and than a list of some hundreds."""
FEWER_ROWS = MORE_ROWS // 8
"""More than a page of a hundred: what a sweep that does much for each row ends with."""


@dataclass(frozen=True)
class World:
    """Other rows. `table` and `column`: where another value is; "" for a world of more rows, which
    are so many `rows`.
    """

    kind: str
    table: str = ""
    column: str = ""
    rows: int = MORE_ROWS

    def __str__(self) -> str:
        """`many`, `many/131` where they are fewer, `longer:letters.title`."""
        if self.column:
            return f"{self.kind}:{self.table}.{self.column}"
        if self.rows != MORE_ROWS:
            return f"{self.kind}/{self.rows}"
        return self.kind
