"""What the application's own call finds undone, in a state before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skillrun.proof.rivals import Contents
from skillrun.proof.rows import Table


@dataclass(frozen=True)
class Undone:
    """One column of a row, as it is before the call, and as the call sets it."""

    table: Table
    where: Mapping[str, Any]
    column: str
    value: Any
    done: Any

    def is_done(self, contents: Contents) -> bool:
        """Whether the call has set it back."""
        row = contents.get(self.table.name, {}).get(tuple(self.where.values()), {})
        return self.column in row and bool(row[self.column] == self.done)
