"""Jobs that are treated another way because of their number, or of the hour, by chance, by a file
or by an error's words: a proof meets a few numbers and one hour, and says nothing of the others.
"""

from __future__ import annotations

import ast
import contextlib
from collections import Counter
from collections.abc import Iterator

from skillrun.contract.duration import parse_duration
from skillrun.core.verdict import Finding
from skillrun.repo.python import Project
from skillrun.repo.source import Module, last_word
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.asked import read_asked
from skillrun.wall.gaming.key_fields import read_key_fields
from skillrun.wall.gaming.making import found, quoted
from skillrun.wall.gaming.specs import at
from skillrun.wall.sources import CommitSources
from skillrun.wall.watched.decisions import Decision, find_decisions
from skillrun.wall.watched.effects import Effects
from skillrun.wall.watched.key_tests import KeyTest, KeyTests

ID = "special-cases"
HELP = (
    "What a proof shows of some jobs holds for all only where all are treated alike. Found, in code "
    "that a handler reaches and newly: a condition on which an effect or a write depends and that "
    "singles out values of a key field: a remainder, a hash, a list of numbers (error), a text "
    "(warning); or that asks for a day or an hour that is written out, for chance, for a file "
    "that is the same for all jobs, or for what an error says (error; warning where the job is only "
    "put off, and no longer than its spec accepts)."
)
_HINT = (
    "treat all jobs alike, or decide by what a row says of the job; where it is meant, a person has"
    " to decide that"
)


_UNVARIED_HINT = (
    "do it for every job, and try again later where it cannot be done now; where"
    " it is meant, a person has to decide that"
)
_WORDS_HINT = (
    "tell errors by their class, or by a code that they carry; where it is meant, a person has to"
    " decide that"
)
_WAITS = ("countdown", "delay", "eta", "defer", "defer_by", "seconds", "schedule_in", "when")
# Who calls these has the job done later, and who raises those that are classes.
_LATER = {
    *("retry", "apply_async", "reschedule", "enqueue_in", "enqueue_at", "defer", "schedule"),
    *("Retry", "RetryTask", "JobRetry", "TaskRetry", "RetryException"),
}


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each condition that the base has not."""
    # Of a first job nothing is taken away: whoever reviews it sees what it is.
    is_first = not any(spec.old_document is not None for spec in diff.specs)
    yield from _find_by_key(diff, is_first=is_first)
    yield from _find_unvaried(diff, is_first=is_first)


# -- by what is the same for all deliveries of a proof


def _find_unvaried(diff: Diff, *, is_first: bool) -> Iterator[Finding]:
    now = _list_unvaried(diff, diff.after)
    if not now:
        return
    known = Counter(decision.identity for decision in _list_unvaried(diff, diff.before))
    for decision in now:
        known[decision.identity] -= 1
        if known[decision.identity] >= 0:
            continue
        seen = min(decision.seen, key=lambda one: (one.path, one.line, one.sign.name))
        said = (
            f"{quoted(decision.text)} depends on {quoted(seen.sign.name)} and decides about"
            f" {decision.about}: {seen.sign.why}"
        )
        is_harmless = is_first or (not decision.is_by_words and _is_put_off(diff, decision))
        hint = _hint_at(decision)
        place = _file_at(diff, decision.path)
        yield found(ID, place, decision.line, said, is_error=not is_harmless, hint=hint)


def _hint_at(decision: Decision) -> str:
    if decision.is_by_words:
        return _WORDS_HINT
    return _UNVARIED_HINT


def _is_put_off(diff: Diff, decision: Decision) -> bool:
    """Whether a job is only done later, and no later than its spec accepts."""
    if decision.about.split()[-1].rpartition(".")[2] not in _LATER:
        return False
    accepted = _find_least_delay(diff)
    if accepted is None:
        return True
    waits = _list_waits(diff, decision)
    for wait in waits:
        if wait is None or wait > accepted:
            return False
    return bool(waits)


def _find_least_delay(diff: Diff) -> float | None:
    """Seconds that the strictest of HEAD's specs accepts; None where no spec says."""
    delays = []
    for file in diff.specs:
        if file.new_document is None:
            continue
        accepted = at(file.new_document.value, "failures", "acceptable_delay")
        with contextlib.suppress(ValueError):
            delays.append(parse_duration(str(accepted)))
    return min(delays, default=None)


def _list_waits(diff: Diff, decision: Decision) -> list[float | None]:
    """The seconds of the wait that a decision leads to; None for one that cannot be told."""
    project = diff.after.project
    module = project.module(decision.path)
    if module is None:
        return []
    for node in module.all_nodes:
        is_later = isinstance(node, ast.Call) and last_word(node.func) in _LATER
        if isinstance(node, ast.Call) and is_later and node.lineno >= decision.line:
            return list(_read_waits(project, module, node))
    return []


def _read_waits(project: Project, module: Module, call: ast.Call) -> Iterator[float | None]:
    # Dramatiq counts in milliseconds.
    per_second = 1
    if (module.resolve(call.func) or "").startswith("dramatiq."):
        per_second = 1000
    for keyword in call.keywords:
        if keyword.arg not in _WAITS:
            continue
        value = project.literal(keyword.value, module)
        if isinstance(value, int | float):
            yield value / per_second
        else:
            yield None


def _list_unvaried(diff: Diff, sources: CommitSources) -> list[Decision]:
    unvaried = []
    for decision in find_decisions(read_asked(diff, sources)):
        if decision.is_unvaried:
            unvaried.append(decision)
    return unvaried


# -- by the key


def _find_by_key(diff: Diff, *, is_first: bool) -> Iterator[Finding]:
    now = _find_tests(diff, diff.after)
    if not now:
        return
    known = Counter(test.identity for test in _find_tests(diff, diff.before))
    for test in now:
        known[test.identity] -= 1
        if known[test.identity] >= 0:
            continue
        said = (
            f"{quoted(test.text)} treats some jobs another way by their key, and decides about"
            f" {test.about}"
        )
        is_error = not (test.is_word or is_first)
        place = _file_at(diff, test.path)
        yield found(ID, place, test.line, said, is_error=is_error, hint=_HINT)


def _find_tests(diff: Diff, sources: CommitSources) -> list[KeyTest]:
    """Both sides are asked about the handlers and keys of both, so that what moved is known
    again.
    """
    fields: set[str] = set()
    for file in diff.specs:
        for document in (file.old_document, file.new_document):
            fields |= read_key_fields(document.value if document is not None else None)
    if not fields:
        return []
    asked = read_asked(diff, sources)
    project = sources.project
    reach = sources.reach_from(asked.handlers)
    effects = Effects(reach, frozenset(project.origin(name) for name in asked.effects))
    effects.settle()
    return KeyTests(reach, effects, frozenset(fields)).find()


def _file_at(diff: Diff, path: str) -> File:
    for file in diff.files:
        if file.path == path:
            return file
    text = diff.after.texts.get(path)
    return File(path, path, text, text)
