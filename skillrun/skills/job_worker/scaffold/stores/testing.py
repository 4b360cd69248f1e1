"""What a job's tests need of its store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from skillrun.frameworks.pieces import Symbol


@dataclass(frozen=True)
class Testing:
    """`fixtures`: the templates of the fixtures and of `dead()`; none where a job has no store.

    `needed`: what they import, `for_pytest` and `for_unittest` what one manner alone does;
    `values`: what they are
    given, as `store`. `case`: the class of test cases that the store wants; `only_cases`: nothing
    else will do.
    """

    fixtures: tuple[str, ...] = ()
    needed: tuple[Symbol | str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    for_pytest: tuple[str, ...] = ()
    for_unittest: tuple[str, ...] = ()
    case: Symbol | None = None
    only_cases: bool = False

    def __add__(self, other: Testing) -> Testing:
        """Both, one after the other: a job may have a memory in one place and dead letters in
        another.
        """
        return Testing(
            (*self.fixtures, *other.fixtures),
            (*self.needed, *other.needed),
            {**self.values, **other.values},
            (*self.for_pytest, *other.for_pytest),
            (*self.for_unittest, *other.for_unittest),
            self.case or other.case,
            self.only_cases or other.only_cases,
        )
