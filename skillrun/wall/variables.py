"""Whether a job is proved, too, with the values that a new variable of its environment may have.

A proof runs with the variables of `proof.env`. A branch that makes an effect depend on a further
one is proved for the case that nobody sets it, and production is where somebody does. What the code
compares the variable with says which values make a difference.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from skillrun.core.verdict import Finding, Severity
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.asked import read_asked
from skillrun.wall.gaming.making import quoted
from skillrun.wall.gaming.watching import list_new_decisions
from skillrun.wall.gaming.workers import list_variables
from skillrun.wall.proved import proved_stages, say_why_not
from skillrun.wall.sources import CommitSources
from skillrun.wall.verification import Job
from skillrun.wall.watched.decisions import Decision, find_decisions
from skillrun.wall.watched.flow import FoundSign
from skillrun.wall.watched.signs import Kind

RULE = "verify.not-proved-with"
HELP = {
    RULE: (
        "An effect that newly depends on a variable of the environment is proved with the values"
        " that the code compares it with, besides the case that nobody sets it; and with the value"
        " that a branch gives one where workers are deployed. With each of them the job has to be"
        " proved as the spec asks."
    )
}
_HINT = (
    "let the job keep its promises with every value (an error, or a retry, instead of going on"
    " without the effect); where one is never set, a person says what production has, in proof.env"
    " of the base's spec"
)
# A mode or a flag is a word; a longer text is a message, which no environment is set to.
_LONGEST_VALUE = 100
# A switch that is read as a truth, or compared with what cannot be told.
_SWITCHED = ("1", "0")
# Each is a proof of its own, which takes as long as HEAD's.
_MOST_PROOFS = 4

ProveWith = Callable[[File, Mapping[str, str]], Job]
"""Runs HEAD's job as far as a proof speaks of it, with these variables besides the spec's."""


@dataclass(frozen=True)
class Setting:
    """A value of a variable, and the place that asks for it, or gives it."""

    name: str
    value: str
    path: str
    line: int


def judge_settings(job: Job, spec: File, diff: Diff, prove_with: ProveWith) -> Job:
    """The job, no success where it is not proved with such a value. Costs nothing where the branch
    adds no such variable, or the job fails anyway.
    """
    if job.proof is None or not job.is_passing:
        return job
    settings = list_settings(replace(diff, specs=(spec,)))
    finding = _find_unproved(job, spec, settings, prove_with)
    if finding is None:
        return job
    proof = replace(job.proof, findings=(*job.proof.findings, finding))
    return replace(job, proof=proof, outcome="partial")


def _find_unproved(
    job: Job, spec: File, settings: list[Setting], prove_with: ProveWith
) -> Finding | None:
    """The first that is not proved is enough: each further one takes as long as HEAD's proof."""
    wanted = set(proved_stages(job))
    for number, setting in enumerate(settings):
        if not setting.name.isidentifier():
            said = "which variable it is cannot be told, and so it was not tried"
            return _describe(setting, said)
        if number == _MOST_PROOFS:
            return _describe(setting, f"it was not tried, {_MOST_PROOFS} others were")
        other = prove_with(spec, {setting.name: setting.value})
        if not wanted <= set(proved_stages(other)):
            return _describe(setting, say_why_not(other))
    return None


def list_settings(diff: Diff) -> list[Setting]:
    """What has to be tried, each once, in the order of the code."""
    found: dict[tuple[str, str], Setting] = {}
    for decision in list_new_decisions(diff):
        if not decision.is_watching:
            for setting in _list_asked(diff.after, decision):
                found.setdefault((setting.name, setting.value), setting)
    for setting in _list_deployed(diff):
        found.setdefault((setting.name, setting.value), setting)
    return list(found.values())


def _list_deployed(diff: Diff) -> Iterator[Setting]:
    """The new values of variables in files of the deployment, where an effect depends on them: the
    base was proved with what the code says where nobody sets them.
    """
    changed = {}
    for file in diff.deployment:
        for setting in _list_changed_values(file):
            changed[setting.name] = setting
    if not changed:
        return
    asked: set[str] = set()
    for decision in find_decisions(read_asked(diff, diff.after)):
        asked |= {seen.sign.name for seen in decision.seen if seen.sign.kind is Kind.VARIABLE}
    for name in sorted(asked & changed.keys()):
        yield changed[name]


def _list_changed_values(file: File) -> Iterator[Setting]:
    """Those that are written out: what the shell puts in is not known here."""
    old = dict(list_variables(file.old))
    for name, (line, value) in list_variables(file.new):
        is_same = name in old and old[name][1] == value
        if value and not is_same and not re.search(r"[${]", value):
            yield Setting(name, value, file.path, line)


def _list_asked(sources: CommitSources, decision: Decision) -> Iterator[Setting]:
    for seen in sorted(decision.seen, key=lambda seen: (seen.path, seen.line)):
        if seen.sign.kind is Kind.VARIABLE:
            for value in _list_values(sources, decision, seen):
                yield Setting(seen.sign.name, value, decision.path, decision.line)


def _list_values(sources: CommitSources, decision: Decision, seen: FoundSign) -> Iterator[str]:
    texts = [*_list_constants(_parse_condition(decision.text))]
    texts += _list_constants(_statement_at(sources, seen.path, seen.line))
    compared = [text for text in dict.fromkeys(texts) if text != seen.sign.name]
    yield from compared
    yield from (value for value in _SWITCHED if value not in compared)


def _parse_condition(text: str) -> ast.AST | None:
    try:
        return ast.parse(text)
    except SyntaxError:
        return None


def _statement_at(sources: CommitSources, path: str, line: int) -> ast.AST | None:
    """The smallest statement that begins in a line, or around it, without a block of its own."""
    tree = _parse_condition(sources.texts.get(path, ""))
    smallest: ast.AST | None = None
    for node in ast.walk(tree or ast.Module([], [])):
        if not isinstance(node, ast.stmt) or not hasattr(node, "lineno"):
            continue
        is_around = node.lineno <= line <= (node.end_lineno or node.lineno)
        if is_around and not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.With | ast.Try):
            smallest = node
    if isinstance(smallest, ast.If | ast.While):
        return smallest.test
    return smallest


def _list_constants(node: ast.AST | None) -> Iterator[str]:
    """The texts and numbers in it, as the environment would have them."""
    for inner in ast.walk(node or ast.Module([], [])):
        if not isinstance(inner, ast.Constant) or isinstance(inner.value, bool):
            continue
        if (
            isinstance(inner.value, str)
            and len(inner.value) < _LONGEST_VALUE
            and "\0" not in inner.value
        ):
            yield inner.value
        elif isinstance(inner.value, int | float):
            yield str(inner.value)


def _describe(setting: Setting, why: str) -> Finding:
    said = quoted(f"{setting.name}={setting.value}")
    message = f"with {said}, on which an effect depends, the job is not proved: {why}"
    return Finding(RULE, Severity.ERROR, message, setting.path, setting.line, _HINT)
