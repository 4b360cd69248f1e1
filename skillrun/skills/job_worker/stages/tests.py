"""Stage 8: the repository's tests cover the happy path, one retryable and one terminal failure, and
notice a break.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import Action, Evidence, Finding, Grade, StageResult, Status, status_of
from skillrun.runner.case import wait_for_consent
from skillrun.runner.coded import wording
from skillrun.runner.findings import blocker, error, note, warning
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.readings.effects import dotted
from skillrun.skills.job_worker.readings.foreign import attest_stage
from skillrun.skills.job_worker.readings.own_tests.noticing import (
    plan,
    record_lookups,
    target_python,
    try_tests,
)
from skillrun.skills.job_worker.readings.own_tests.testcases import (
    TestCase,
    tests_of,
    words_in,
    words_in_node,
)
from skillrun.skills.job_worker.readings.tables.uniqueness import tables
from skillrun.skills.job_worker.readings.unread import unread

if TYPE_CHECKING:
    from skillrun.contract.spec import JobSpec
    from skillrun.proof.breaking.judge import Noticing, Trial
    from skillrun.proof.breaking.runs import Ran
    from skillrun.repo.python import Definition

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
# Words of an assertion that a job was given up: dead_letters, retries_exhausted, given_up, failed.
_GIVEN_UP = re.compile(r"dead|exhaust|quarantin|give_?n?_?up|^failed$|^FAILURE$", re.IGNORECASE)
_CAME_THROUGH = ("SUCCESS", "successful")
_RAISING = {"raises", "assertRaises", "assertRaisesRegex"}
# The tests of a kind that are shown as evidence, the red tests that are told, and the characters of
# a run's output that are kept.
_TESTS_SHOWN = 2
_RED_SHOWN = 5
_TAIL_KEPT = 2000


def examine(case: JobCase) -> StageResult:
    """Reads the tests that run the handler. Where every kind of test is there, and the stages
    before have nothing open, it runs them again and again, each time with the handler broken in
    another way.
    """
    if case.language is not None:
        return attest_stage(case, case.language, ID)
    if (blind := unread(case, ID)) is not None:
        return blind
    spec, handler = case.spec, case.handler
    if spec is None or handler is None:
        finding = blocker(
            "tests.no-handler", "no handler to test yet", hint="the stage handler comes first"
        )
        return StageResult(status_of([finding]), None, (finding,), summary="no handler yet")
    found = tests_of(case, handler)
    covered = _sort_by_kind(case, spec, found)
    findings = [*_list_uncovered(spec, handler, covered, found), *case.rule_findings(ID)]
    read = _tell_reading(case, found, covered, findings)
    if read.status != Status.PASSED:
        return read
    if not case.clean:
        summary = f"{read.summary}; they meet a broken handler once the stages before are clean"
        return replace(read, status=Status.PENDING, summary=summary)
    return _run_tests(case, spec, handler, found, read)


def _tell_reading(
    case: JobCase,
    found: tuple[TestCase, ...],
    covered: dict[str, tuple[TestCase, ...]],
    findings: list[Finding],
) -> StageResult:
    """The result of the stage as far as the tests were read, with some tests as evidence."""
    evidence: list[Evidence] = []
    places: dict[str, list[str]] = {}
    for kind, tests in covered.items():
        places[kind] = [f"{test.path}:{test.line}" for test in tests]
        evidence += [_show_test(case, kind, test) for test in tests[:_TESTS_SHOWN]]
    grade = None
    if found:
        grade = Grade.STATIC
    return StageResult(
        status=status_of(findings),
        grade=grade,
        findings=tuple(findings),
        evidence=tuple(evidence),
        next=_list_steps(findings),
        summary=f"{len(found)} tests reach the handler; covered: {_name_kinds(covered)}",
        facts={"covered": places},
    )


def _show_test(case: JobCase, kind: str, test: TestCase) -> Evidence:
    """A test as evidence that a kind is covered."""
    digest, size = case.tree.sha256(test.path) or "", case.tree.size(test.path)
    detail = {"kind": kind, "test": test.name}
    return Evidence("file", test.path, digest, size, test.line, detail)


def _list_steps(findings: Iterable[Finding]) -> tuple[Action, ...]:
    """A step for each finding that stops the stage."""
    steps = []
    for finding in findings:
        if finding.severity in ("blocker", "error"):
            steps.append(Action(ID, "edit-code", f"{finding.message}: {finding.hint}"))
    return tuple(steps)


def _name_kinds(covered: dict[str, tuple[TestCase, ...]]) -> str:
    return ", ".join(kind for kind in KINDS if covered[kind]) or "nothing"


def _sort_by_kind(
    case: JobCase, spec: JobSpec, found: tuple[TestCase, ...]
) -> dict[str, tuple[TestCase, ...]]:
    """Kind -> the tests that cover it. A test without an assertion covers nothing."""
    transient: tuple[str, ...] = ()
    permanent: tuple[str, ...] = ()
    if spec.failures:
        transient = spec.failures.transient_names
        permanent = spec.failures.permanent_names
    dead_letter_words = _list_dead_letter_words(case, spec)
    covered: dict[str, list[TestCase]] = {kind: [] for kind in KINDS}
    for test in found:
        if not any(test.asserts()):
            continue
        finds_dead_letter = _asserts_any_of(test, dead_letter_words)
        if _is_retried(case, test, transient):
            covered["retryable"].append(test)
        if _is_ended(case, test, transient, permanent) or finds_dead_letter:
            covered["terminal"].append(test)
        meets_error = _names_error(case, test, (*transient, *permanent)) or test.words & _RAISING
        if not meets_error and not finds_dead_letter:
            covered["happy"].append(test)
    return {kind: tuple(tests) for kind, tests in covered.items()}


def _list_dead_letter_words(case: JobCase, spec: JobSpec) -> frozenset[str]:
    """The place of the dead letters, and the classes that stand for its table."""
    if spec.dead_letter is None or not spec.dead_letter.where:
        return frozenset()
    name = spec.dead_letter.where.split()[-1].rpartition(".")[2]
    words = {name}
    for table in tables(case.project, name):
        module = None
        if table.path.endswith(".py"):
            module = case.project.module(table.path)
        if module is None:
            continue
        for node in module.all_nodes:
            if isinstance(node, ast.ClassDef) and node.lineno == table.line:
                words.add(node.name)
    return frozenset(words)


def _asserts_any_of(test: TestCase, words: frozenset[str]) -> bool:
    """Whether an assertion says that one of these is there, whatever brought it about."""
    for asserted in test.asserts():
        if _is_absence(asserted):
            continue
        if not words.isdisjoint(words_in(asserted)):
            return True
    return False


def _is_retried(case: JobCase, test: TestCase, transient: tuple[str, ...]) -> bool:
    """Whether a test has a transient error, and does not end with the job given up."""
    # Celery's exception is expected; RQ's Retry(max=3), outside of an assertion, is only an option.
    if any("Retry" in words_in(asserted) for asserted in test.asserts()):
        return True
    if not _names_error(case, test, transient):
        return False
    came_through = not test.words.isdisjoint(_CAME_THROUGH)
    return came_through or not _is_given_up(test)


def _is_ended(
    case: JobCase, test: TestCase, transient: tuple[str, ...], permanent: tuple[str, ...]
) -> bool:
    """Whether a test has a permanent error, or a transient one until the job is given up."""
    if _names_error(case, test, permanent) or "MaxRetriesExceededError" in test.words:
        return True
    return _names_error(case, test, transient) and _is_given_up(test)


def _is_given_up(test: TestCase) -> bool:
    """Whether an assertion speaks of dead letters or failure; that there are none is the
    opposite.
    """
    for asserted in test.asserts():
        if not _is_absence(asserted) and any(map(_GIVEN_UP.search, words_in(asserted))):
            return True
    return False


def _is_absence(asserted: ast.AST) -> bool:
    """Whether it is asserted that something is not there: `not x`, `x == []`, `x is None`,
    `x != "dead"`, `assertEqual(x, [])`, `assert_not_called()`.
    """
    if isinstance(asserted, ast.UnaryOp) and isinstance(asserted.op, ast.Not):
        return True
    if isinstance(asserted, ast.Call):
        method = ast.unparse(asserted.func).rpartition(".")[2]
        if re.search(r"[nN]ot|False|None", method):
            return True
        return any(_is_nothing(argument) for argument in asserted.args)
    if not isinstance(asserted, ast.Compare):
        return False
    sides = (asserted.left, *asserted.comparators)
    compares_with_nothing = any(_is_nothing(side) for side in sides)
    # `state != "dead"` says that it is not dead, `letters != []` that there is one.
    if isinstance(asserted.ops[0], ast.NotEq | ast.IsNot | ast.NotIn):
        return not compares_with_nothing
    return isinstance(asserted.ops[0], ast.Eq | ast.Is) and compares_with_nothing


def _is_nothing(node: ast.expr) -> bool:
    """Whether it is an empty collection, "", 0, False or None, or one that holds nothing else:
    `[(0,)]` is a count's only row.
    """
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return all(_is_nothing(element) for element in node.elts)
    if isinstance(node, ast.Dict):
        return not node.keys
    return isinstance(node, ast.Constant) and not node.value


def _names_error(case: JobCase, test: TestCase, names: tuple[str, ...]) -> bool:
    """Whether a test names one of the errors, or a class derived from one."""
    errors = []
    for name in names:
        if re.split(r"[.:]", name)[-1] in test.words:
            return True
        if ":" in name or "." in name:
            errors.append(dotted(name))
        else:
            errors.append(f"builtins.{name}")
    for class_name in _list_classes(test):
        if any(case.project.is_subclass(class_name, error) for error in errors):
            return True
    return False


def _list_classes(test: TestCase) -> set[str]:
    """The full names of the classes that a test and what it uses name, as capitals tell."""
    classes = set[str]()
    for module, node in test.nodes:
        if not isinstance(node, ast.Name | ast.Attribute):
            continue
        if words_in_node(node)[0][:1].isupper():
            classes.add(module.resolve(node) or "")
    return classes - {""}


def _list_uncovered(
    spec: JobSpec,
    handler: Definition,
    covered: dict[str, tuple[TestCase, ...]],
    found: tuple[TestCase, ...],
) -> Iterator[Finding]:
    """A blocker for each kind that no test covers, at the first test that runs the handler."""
    place = {"path": handler.path, "line": handler.line}
    if found:
        place = {"path": found[0].path, "line": found[0].line}
    hints = {
        "happy": "run the handler once and assert what it did",
        "retryable": (
            f"let an adapter raise {_name_an_error(spec, 'transient')}, assert that it is retried"
            " and succeeds"
        ),
        "terminal": (
            f"let an adapter raise {_name_an_error(spec, 'permanent')}, assert one attempt and a"
            " dead letter"
        ),
    }
    never_retries = spec.retry is not None and spec.retry.kind == "none"
    for kind, words in KINDS.items():
        if covered[kind] or (kind == "retryable" and never_retries):
            continue
        yield blocker(f"tests.no-{kind}", f"no test covers {words}", hint=hints[kind], **place)


def _name_an_error(spec: JobSpec, which: str) -> str:
    """The first transient or permanent error of the spec, or "a transient error" where it has
    none.
    """
    names = ()
    if spec.failures:
        names = getattr(spec.failures, f"{which}_names", ())
    if names:
        return re.split(r"[.:]", names[0])[-1]
    return f"a {which} error"


# -- the tests run


def _run_tests(
    case: JobCase,
    spec: JobSpec,
    handler: Definition,
    found: tuple[TestCase, ...],
    read: StageResult,
) -> StageResult:
    """The stage's result with what the tests did when the handler was broken; blocked where nobody
    has agreed to run them.
    """
    python = target_python(case, spec)
    consent = plan(python)
    if not case.consent(consent):
        return wait_for_consent(ID, consent, "run the tests against a broken handler", read)
    trial = try_tests(case, spec, handler, found, python)
    if trial.baseline is not None:
        record_lookups(case, trial.baseline)
    findings = [*read.findings, *_judge_trial(handler, trial)]
    status = status_of(findings)
    settled = status == Status.PASSED and not trial.passing
    grade = Grade.STATIC
    if _was_all_tried(trial):
        grade = Grade.EXECUTED
    return replace(
        read,
        status=status,
        grade=grade,
        findings=tuple(findings),
        evidence=(*read.evidence, *_list_runs(trial)),
        next=_list_steps(findings),
        summary=f"{read.summary}{_name_noticed(trial)}",
        facts={
            **read.facts,
            "settled": settled,
            "breaks": {noticing.broken.id: noticing.state for noticing in trial.breaks},
        },
    )


def _was_all_tried(trial: Trial) -> bool:
    """Whether every break that applies was tried, and at least one does."""
    states = {noticing.state for noticing in trial.breaks}
    return bool(states & {"noticed", "missed"}) and "incomplete" not in states


def _judge_trial(handler: Definition, trial: Trial) -> Iterator[Finding]:
    """What is to be said of the tests as they are, then of each break of the handler."""
    at: dict[str, Any] = {"path": handler.path, "line": handler.line}
    unseen = "the tests were read, not seen to fail when the handler is broken"
    if trial.incomplete:
        yield warning("tests.incomplete", f"{unseen}: {trial.incomplete}", hint=trial.hint, **at)
    elif trial.red:
        for test, message in list(trial.red.items())[:_RED_SHOWN]:
            yield _tell_red(test, message)
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
                _tell_missed(noticing),
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


def _tell_missed(noticing: Noticing) -> str:
    """Which tests were still green although the handler was broken."""
    green = noticing.tests
    which = "".join(green)
    if len(green) > 1:
        which = f"{green[0]} and {len(green) - 1} more"
    not_met = ", and none of them meets it"
    if noticing.struck:
        not_met = ""
    return f"no test notices a handler that {noticing.broken.words}{not_met}; still green: {which}"


def _tell_red(test: str, message: str) -> Finding:
    """An error for a test that fails although nothing is broken yet."""
    return error(
        "tests.baseline-red",
        f"{test} fails before anything is broken: {message}",
        hint="make it pass; it ran in a copy of the files that git does not ignore",
        path=test.partition("::")[0],
    )


def _list_runs(trial: Trial) -> Iterator[Evidence]:
    """The runs of the tests as evidence: as the handler is, then with each break."""
    if trial.baseline is not None and trial.baseline.ran is not None:
        yield _show_run("as it is", trial.baseline.ran, "")
    for noticing in trial.breaks:
        if noticing.ran is not None:
            seen = f"{noticing.state}: {', '.join(noticing.tests[:3])}"
            yield _show_run(noticing.broken.id, noticing.ran, seen)


def _show_run(kind: str, ran: Ran, seen: str) -> Evidence:
    detail = {
        "kind": kind,
        "seen": seen,
        "duration_ms": ran.duration_ms,
        "tail": ran.tail[-_TAIL_KEPT:],
    }
    return Evidence("command", ran.command, ran.output_sha256, ran.output_size, None, detail)


def _name_noticed(trial: Trial) -> str:
    """The end of the summary that names the breaks which a test has noticed."""
    noticed = []
    for noticing in trial.breaks:
        if noticing.state == "noticed":
            noticed.append(noticing.broken.id)
    if not noticed:
        return ""
    return f"; seen to fail: {', '.join(noticed)}"
