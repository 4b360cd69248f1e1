"""How a rule about a job library is declared, and how a library lists its own.

A rule is a function with the decorator `rule`; its docstring begins with the reason. The modules
are imported when the rules are asked for, so that whoever asks for none pays nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import ModuleType
from typing import Literal

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.unfollowed import find_unfollowed
from skillrun.frameworks.interface import Job, NotRead, Reading, Rule, RuleStage

Find = Callable[[Job], Iterable[Finding]]


def rule(
    id: str, *, stage: RuleStage, source: str, rests_on: Literal["handler", "setup"] = "handler"
) -> Callable[[Find], Rule]:
    """Makes a function a rule.

    The id is "<library>.<slug>", or the slug alone for a rule that several libraries take as it is.
    """

    def declare(find: Find) -> Rule:
        return Rule(id, stage, read_reason(find), source, find, rests_on)

    return declare


def read_rule(rule: Rule, job: Job) -> Reading:
    """What a rule says of a job.

    An error that rests on the handler needs everything around it to be understood: else it is not
    read, and the first construct that was not followed is named.
    """
    findings: list[Finding] = []
    not_read: list[NotRead] = []
    unfollowed = find_unfollowed(job.project, job.use, job.handler)
    for finding in rule.find(job):
        in_doubt = finding.severity == Severity.ERROR and rule.rests_on == "handler"
        if in_doubt and unfollowed:
            not_read.append(NotRead(rule.id, unfollowed[0].because, unfollowed[0].place))
        else:
            findings.append(finding)
    return Reading(tuple(findings), tuple(not_read))


def read_reason(find: Callable[..., Iterable[Finding]]) -> str:
    """The first paragraph of the docstring, on one line."""
    paragraph, _, _ = (inspect.getdoc(find) or "").partition("\n\n")
    return " ".join(paragraph.split())


def collect_rules(library: str, *modules: ModuleType) -> tuple[Rule, ...]:
    """The rules of these modules in their order, those that are shared under the library's name."""
    found = []
    for module in modules:
        for held in vars(module).values():
            # One rule, or those that `declare_send_rules` made.
            for value in held if isinstance(held, tuple) else (held,):
                if not isinstance(value, Rule):
                    continue
                named = "." in value.id
                found.append(value if named else replace(value, id=f"{library}.{value.id}"))
    return tuple(found)
