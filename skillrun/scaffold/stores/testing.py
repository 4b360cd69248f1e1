"""What a job's tests need of its store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from skillrun.frameworks.pieces import Symbol


@dataclass(frozen=True)
class Testing:
    """`fixtures`: the templates of the fixtures and of `dead()`; none where a job has no store.

    `needed`: what they import; `values`: what they are given, as `store`.
    """

    fixtures: tuple[str, ...] = ()
    needed: tuple[Symbol | str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)

    def __add__(self, other: Testing) -> Testing:
        """Both, one after the other: a job may have a memory in one place and dead letters in another."""
        return Testing(
            (*self.fixtures, *other.fixtures), (*self.needed, *other.needed), {**self.values, **other.values}
        )
