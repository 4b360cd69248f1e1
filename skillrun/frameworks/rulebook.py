"""How a rule about a job library is declared, and how a library lists its own.

A rule is a function with the decorator `rule`; its docstring begins with the reason. The modules
are imported when the rules are asked for, so that whoever asks for none pays nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import ModuleType

from skillrun.core.verdict import Finding
from skillrun.frameworks.interface import Job, Rule, RuleStage


def rule(
    id: str, *, stage: RuleStage, source: str
) -> Callable[[Callable[[Job], Iterable[Finding]]], Rule]:
    """Makes a function a rule.

    The id is "<library>.<slug>", or the slug alone for a rule that several libraries take as it is.
    """

    def declare(find: Callable[[Job], Iterable[Finding]]) -> Rule:
        return Rule(id, stage, _read_reason(find), source, find)

    return declare


def _read_reason(find: Callable[[Job], Iterable[Finding]]) -> str:
    """The first paragraph of the docstring, on one line."""
    paragraph, _, _ = (inspect.getdoc(find) or "").partition("\n\n")
    return " ".join(paragraph.split())


def collect_rules(library: str, *modules: ModuleType) -> tuple[Rule, ...]:
    """The rules of these modules in their order, those that are shared under the library's name."""
    found = []
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, Rule):
                named = "." in value.id
                found.append(value if named else replace(value, id=f"{library}.{value.id}"))
    return tuple(found)
