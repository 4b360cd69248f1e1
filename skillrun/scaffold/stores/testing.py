"""What a job's tests need of its store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from skillrun.frameworks.pieces import Symbol


@dataclass(frozen=True)
class Testing:
    """`fixture`: the template of the fixture and of `dead()`; "" where a job has no store.

    `needed`: what that imports; `values`: what that template is given, as `store`.
    """

    fixture: str = ""
    needed: tuple[Symbol | str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
