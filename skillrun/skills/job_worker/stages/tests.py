"""Stage 8: the repository's tests cover the happy path, one retryable and one terminal failure, and
notice a break.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import Action, Evidence, Finding, Grade, StageResult, Status, status_of
from skillrun.runner.case import wait_for_consent
from skillrun.runner.coded import wording
from skillrun.runner.findings import blocker, error, note, warning
from skillrun.skills.job_worker.stages.effects import dotted
from skillrun.skills.job_worker.stages.interface import JobCase
from skillrun.skills.job_worker.stages.noticing import (
    plan,
    record_lookups,
    target_python,
    try_tests,
)
from skillrun.skills.job_worker.stages.testcases import TestCase, tests_of, words_in, words_in_node
from skillrun.skills.job_worker.stages.testcases import is_test_file as is_test_file
from skillrun.skills.job_worker.stages.uniqueness import tables
from skillrun.skills.job_worker.stages.unread import unread

if TYPE_CHECKING:
    from skillrun.contract.spec import JobSpec
    from skillrun.proof.breaking.judge import Noticing, Trial
    from skillrun.proof.breaking.runs import Ran
    from skillrun.repo.python import Definition, Module

ID = "tests"
TITLE = "Add tests"
ANSWERS = wording(r"\badd\b.*\btests?\b|^\W*tests?\b")
READS = ("failures", "handler", "enqueue", "job", "retry", "dead_letter", "effects", "proof")
COSTLY = False

KINDS = {
    "happy": "the happy path",
    "retryable": "one retryable failure",
    "terminal": "one terminal failure, or the last attempt",
}
_GIVEN_UP = re.compile(r"dead|exhaust|quarantin|give_?n?_?up|^failed$|^FAILURE$", re.IGNORECASE)
_CAME_THROUGH = ("SUCCESS", "successful")


def examine(case: JobCase) -> StageResult:
    """Reads the tests; where these are complete and all before is clean, runs them with the handler
    broken.
    """
    if (blind := unread(case, ID)) is not None:
        return blind
    spec, handler = case.spec, case.handler
    if spec is None or handler is None:
        finding = blocker(
            "tests.no-handler", "no handler to test yet", hint="the stage handler comes first"
        )
        return StageResult(status_of([finding]), None, (finding,), summary="no handler yet")
    found = tests_of(case, handler)
    covered = {kind: _covering(case, spec, kind, found) for kind in KINDS}
    findings = [*_uncovered(spec, handler, covered, found), *case.rule_findings(ID)]
    read = _read(case, found, covered, findings)
    if read.status != Status.PASSED:
        return read
    if not case.clean:
        summary = f"{read.summary}; they meet a broken handler once the stages before are clean"
        return replace(read, status=Status.PENDING, summary=summary)
    return _run(case, spec, handler, found, read)


def _read(
    case: JobCase,
    found: tuple[TestCase, ...],
    covered: dict[str, tuple[TestCase, ...]],
    findings: list[Finding],
) -> StageResult:
    evidence: list[Evidence] = []
    places: dict[str, list[str]] = {}
    for kind, tests in covered.items():
        places[kind] = [f"{test.path}:{test.line}" for test in tests]
        evidence += [_show_test(case, kind, test) for test in tests[:2]]
    return StageResult(
        status=status_of(findings),
        grade=Grade.STATIC if found else None,
        findings=tuple(findings),
        evidence=tuple(evidence),
        next=_actions(findings),
        summary=f"{len(found)} tests reach the handler; covered: {_kinds(covered)}",
        facts={"covered": places},
    )


def _show_test(case: JobCase, kind: str, test: TestCase) -> Evidence:
    digest, size = case.tree.sha256(test.path) or "", case.tree.size(test.path)
    detail = {"kind": kind, "test": test.name}
    return Evidence("file", test.path, digest, size, test.line, detail)


def _actions(findings: Iterable[Finding]) -> tuple[Action, ...]:
    made = []
    for finding in findings:
        if finding.severity in ("blocker", "error"):
            made.append(Action(ID, "edit-code", f"{finding.message}: {finding.hint}"))
    return tuple(made)


def _kinds(covered: dict[str, tuple[TestCase, ...]]) -> str:
    return ", ".join(kind for kind in KINDS if covered[kind]) or "nothing"


def _covering(
    case: JobCase, spec: JobSpec, kind: str, found: tuple[TestCase, ...]
) -> tuple[TestCase, ...]:
    failures = spec.failures
    if failures:
        transient = failures.transient_names
        permanent = failures.permanent_names
    else:
        transient = ()
        permanent = ()
    kept = _dead_letter_words(case, spec)

    def covers(test: TestCase) -> bool:
        if kind == "retryable":
            return _is_retried(case, test, transient)
        if kind == "terminal":
            return _ends(case, test, transient, permanent) or _is_kept(test, kept)
        return not (
            _names_error(case, test, (*transient, *permanent))
            or test.words & _RAISING
            or _is_kept(test, kept)
        )

    return tuple(test for test in found if any(test.asserts()) and covers(test))


_RAISING = {"raises", "assertRaises", "assertRaisesRegex"}


def _dead_letter_words(case: JobCase, spec: JobSpec) -> frozenset[str]:
    """The place of the dead letters, and the classes that stand for its table."""
    if spec.dead_letter is None or not spec.dead_letter.where:
        return frozenset()
    name = spec.dead_letter.where.split()[-1].rpartition(".")[2]
    found = {name}
    for table in tables(case.project, name):
        module = None
        if table.path.endswith(".py"):
            module = case.project.module(table.path)
        if module is not None:
            for node in module.all_nodes:
                if isinstance(node, ast.ClassDef) and node.lineno == table.line:
                    found.add(node.name)
    return frozenset(found)


def _is_kept(test: TestCase, kept: frozenset[str]) -> bool:
    """An assertion says that a dead letter is there, whatever brought it about."""
    words = []
    for asserted in test.asserts():
        if not _is_absence(asserted):
            words.append(words_in(asserted))
    return not kept.isdisjoint(itertools.chain.from_iterable(words))


def _is_retried(case: JobCase, test: TestCase, transient: tuple[str, ...]) -> bool:
    """It has a transient error, and does not end with the job given up."""
    if any("Retry" in words_in(asserted) for asserted in test.asserts()):
        # Celery's exception is expected; RQ's Retry(max=3) is only an option.
        return True
    came_through = bool(test.words & set(_CAME_THROUGH))
    return _names_error(case, test, transient) and (came_through or not _is_given_up(test))


def _ends(
    case: JobCase, test: TestCase, transient: tuple[str, ...], permanent: tuple[str, ...]
) -> bool:
    """It has a permanent error, or a transient one until the job is given up."""
    if _names_error(case, test, permanent) or "MaxRetriesExceededError" in test.words:
        return True
    return _names_error(case, test, transient) and _is_given_up(test)


def _is_given_up(test: TestCase) -> bool:
    """An assertion speaks of dead letters or failure; that there are none is the opposite."""
    for asserted in test.asserts():
        if not _is_absence(asserted) and any(map(_GIVEN_UP.search, words_in(asserted))):
            return True
    return False


def _is_absence(asserted: ast.AST) -> bool:
    """`not x`, `x == []`, `x is None`, `x != "dead"`, `assertEqual(x, [])`,
    `assert_not_called()`.
    """
    if isinstance(asserted, ast.UnaryOp) and isinstance(asserted.op, ast.Not):
        return True
    if isinstance(asserted, ast.Call):
        absent = re.search(r"[nN]ot|False|None", ast.unparse(asserted.func).rpartition(".")[2])
        return bool(absent) or any(map(_is_nothing, asserted.args))
    if not isinstance(asserted, ast.Compare):
        return False
    nothing = any(map(_is_nothing, (asserted.left, *asserted.comparators)))
    if isinstance(asserted.ops[0], ast.NotEq | ast.IsNot | ast.NotIn):
        return not nothing  # `state != "dead"`
    return isinstance(asserted.ops[0], ast.Eq | ast.Is) and nothing


def _is_nothing(node: ast.expr) -> bool:
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return not node.elts
    if isinstance(node, ast.Dict):
        return not node.keys
    return isinstance(node, ast.Constant) and not node.value


def _names_error(case: JobCase, test: TestCase, names: tuple[str, ...]) -> bool:
    """It names one of the errors, or a class derived from one."""
    wanted = []
    for name in names:
        if re.split(r"[.:]", name)[-1] in test.words:
            return True
        wanted.append(dotted(name) if ":" in name or "." in name else f"builtins.{name}")
    classes = filter(None, {_class_name(module, node) for module, node in test.nodes})
    return any(itertools.starmap(case.project.is_subclass, itertools.product(classes, wanted)))


def _class_name(module: Module, node: ast.AST) -> str | None:
    if not isinstance(node, ast.Name | ast.Attribute) or not words_in_node(node)[0][:1].isupper():
        return None
    return module.resolve(node)


def _uncovered(
    spec: JobSpec,
    handler: Definition,
    covered: dict[str, tuple[TestCase, ...]],
    found: tuple[TestCase, ...],
) -> Iterator[Finding]:
    never_retries = spec.retry is not None and spec.retry.kind == "none"
    for kind, words in KINDS.items():
        if covered[kind] or (kind == "retryable" and never_retries):
            continue
        if found:
            place = {"path": found[0].path, "line": found[0].line}
        else:
            place = {"path": handler.path, "line": handler.line}
        hints = {
            "happy": "run the handler once and assert what it did",
            "retryable": (
                f"let an adapter raise {_first(spec, 'transient')}, assert that it is retried and"
                " succeeds"
            ),
            "terminal": (
                f"let an adapter raise {_first(spec, 'permanent')}, assert one attempt and a dead"
                " letter"
            ),
        }
        yield blocker(f"tests.no-{kind}", f"no test covers {words}", hint=hints[kind], **place)


def _first(spec: JobSpec, which: str) -> str:
    names = ()
    if spec.failures:
        names = getattr(spec.failures, f"{which}_names", ())
    if names:
        return re.split(r"[.:]", names[0])[-1]
    return f"a {which} error"


# -- the tests run


def _run(
    case: JobCase,
    spec: JobSpec,
    handler: Definition,
    found: tuple[TestCase, ...],
    read: StageResult,
) -> StageResult:
    """What was read, with what the tests did when the handler was broken."""
    python = target_python(case, spec)
    consent = plan(python)
    if not case.consent(consent):
        return wait_for_consent(ID, consent, "run the tests against a broken handler", read)
    trial = try_tests(case, spec, handler, found, python)
    if trial.baseline is not None:
        record_lookups(case, trial.baseline)
    findings = [*read.findings, *_findings(handler, trial)]
    status = status_of(findings)
    settled = status == Status.PASSED and not trial.passing
    return replace(
        read,
        status=status,
        grade=Grade.EXECUTED if _seen(trial) else Grade.STATIC,
        findings=tuple(findings),
        evidence=(*read.evidence, *_commands(trial)),
        next=_actions(findings),
        summary=f"{read.summary}{_noticed_words(trial)}",
        facts={
            **read.facts,
            "settled": settled,
            "breaks": {n.broken.id: n.state for n in trial.breaks},
        },
    )


def _seen(trial: Trial) -> bool:
    """Every break that applies was tried, and at least one does."""
    states = {noticing.state for noticing in trial.breaks}
    return bool(states & {"noticed", "missed"}) and "incomplete" not in states


def _findings(handler: Definition, trial: Trial) -> Iterator[Finding]:
    at: dict[str, Any] = {"path": handler.path, "line": handler.line}
    unseen = "the tests were read, not seen to fail when the handler is broken"
    if trial.incomplete:
        yield warning("tests.incomplete", f"{unseen}: {trial.incomplete}", hint=trial.hint, **at)
    elif trial.red:
        yield from (_red(test, message) for test, message in list(trial.red.items())[:5])
    elif not trial.reaching:
        hint = "let a test run the handler itself, without the broker, and assert what it did"
        yield blocker(
            "tests.not-reached",
            "the tests ran, and none of them reached the handler",
            hint=hint,
            **at,
        )
    for noticing in trial.breaks:
        if noticing.state == "missed":
            yield error(
                f"tests.missed-{noticing.broken.id}",
                _missed(noticing),
                hint=_HINTS[noticing.broken.id],
                **at,
            )
        elif noticing.state == "incomplete":
            message = (
                f"not seen whether the tests notice a handler that {noticing.broken.words}:"
                f" {noticing.why}"
            )
            yield warning("tests.incomplete", message, **at)
        elif noticing.state == "not_applicable":
            yield note(
                "tests.not-applicable", f"not tried, {noticing.broken.words}: {noticing.why}", **at
            )


_HINTS = {
    "effect-dropped": (
        "assert that the effect took place: what the adapter was called with, or what it left"
        " behind"
    ),
    "transient-swallowed": (
        "let the adapter raise a transient error, and assert another attempt or the retry"
    ),
    "permanent-retried": (
        "let the adapter raise a permanent error, and assert one attempt or a dead letter"
    ),
    "failure-swallowed": (
        "let the adapter raise a declared error, and assert that it comes out or leaves a dead"
        " letter"
    ),
}


def _missed(noticing: Noticing) -> str:
    green = noticing.tests
    if len(green) > 1:
        which = f"{green[0]} and {len(green) - 1} more"
    else:
        which = "".join(green)
    met = ", and none of them meets it"
    if noticing.struck:
        met = ""
    return f"no test notices a handler that {noticing.broken.words}{met}; still green: {which}"


def _red(test: str, message: str) -> Finding:
    return error(
        "tests.baseline-red",
        f"{test} fails before anything is broken: {message}",
        hint="make it pass; it ran in a copy of the files that git does not ignore",
        path=test.partition("::")[0],
    )


def _commands(trial: Trial) -> Iterator[Evidence]:
    if trial.baseline is not None and trial.baseline.ran is not None:
        yield _show_run("as it is", trial.baseline.ran, "")
    for noticing in trial.breaks:
        if noticing.ran is not None:
            seen = f"{noticing.state}: {', '.join(noticing.tests[:3])}"
            yield _show_run(noticing.broken.id, noticing.ran, seen)


def _show_run(kind: str, ran: Ran, seen: str) -> Evidence:
    detail = {"kind": kind, "seen": seen, "duration_ms": ran.duration_ms, "tail": ran.tail[-2000:]}
    return Evidence("command", ran.command, ran.output_sha256, ran.output_size, None, detail)


def _noticed_words(trial: Trial) -> str:
    noticed = []
    for n in trial.breaks:
        if n.state == "noticed":
            noticed.append(n.broken.id)
    if not noticed:
        return ""
    return f"; seen to fail: {', '.join(noticed)}"
