"""Stage 8: the repository's tests cover the happy path, one retryable and one terminal failure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.stages.effects import dotted
from skillrun.stages.interface import Case, blocker, note, wording
from skillrun.stages.testcases import TestCase, tests_of, words_in, words_in_node
from skillrun.stages.testcases import is_test_file as is_test_file
from skillrun.stages.uniqueness import tables
from skillrun.verdict import Action, Evidence, Finding, Grade, StageResult, status_of

if TYPE_CHECKING:
    from skillrun.contract.spec import JobSpec
    from skillrun.repo.python import Definition, Module

ID = "tests"
TITLE = "Add tests"
ANSWERS = wording(r"\badd\b.*\btests?\b|^\W*tests?\b")
READS = ("failures", "handler", "enqueue", "job", "retry")
COSTLY = False

KINDS = {
    "happy": "the happy path",
    "retryable": "one retryable failure",
    "terminal": "one terminal failure, or the last attempt",
}
_GIVEN_UP = re.compile(r"dead|exhaust|quarantin|give_?n?_?up|^failed$|^FAILURE$", re.IGNORECASE)
_CAME_THROUGH = ("SUCCESS", "successful")


def examine(case: Case) -> StageResult:
    """Reads the tests; whether they fail when the behaviour is broken is for the proof to show."""
    spec, handler = case.spec, case.handler
    if spec is None or handler is None:
        finding = blocker("tests.no-handler", "no handler to test yet", hint="the stage handler comes first")
        return StageResult(status_of([finding]), None, (finding,), summary="no handler yet")
    found = tests_of(case, handler)
    covered = {kind: _covering(case, spec, kind, found) for kind in KINDS}
    findings = [*_uncovered(spec, handler, covered, found)]
    findings += [_unproven(covered)] if any(covered.values()) else []
    findings += case.rule_findings(ID)
    return StageResult(
        status=status_of(findings),
        grade=Grade.STATIC if found else None,
        findings=tuple(findings),
        evidence=tuple(
            Evidence(
                "file",
                t.path,
                case.tree.sha256(t.path) or "",
                case.tree.size(t.path),
                t.line,
                {"kind": kind, "test": t.name},
            )
            for kind, tests in covered.items()
            for t in tests[:2]
        ),
        next=tuple(Action(ID, "edit-code", f"{f.message}: {f.hint}") for f in findings if f.severity == "blocker"),
        summary=f"{len(found)} tests reach the handler; covered: {_kinds(covered)}",
        facts={"covered": {kind: [f"{t.path}:{t.line}" for t in tests] for kind, tests in covered.items()}},
    )


def _kinds(covered: dict[str, tuple[TestCase, ...]]) -> str:
    return ", ".join(kind for kind in KINDS if covered[kind]) or "nothing"


def _covering(case: Case, spec: JobSpec, kind: str, found: tuple[TestCase, ...]) -> tuple[TestCase, ...]:
    failures = spec.failures
    transient = failures.transient_names if failures else ()
    permanent = failures.permanent_names if failures else ()
    asserting = [test for test in found if any(test.asserts())]
    kept = _dead_letter_words(case, spec)
    if kind == "retryable":
        return tuple(t for t in asserting if _is_retried(case, t, transient))
    if kind == "terminal":
        return tuple(t for t in asserting if _ends(case, t, transient, permanent) or _is_kept(t, kept))
    raising = {"raises", "assertRaises", "assertRaisesRegex", "Retry"}
    return tuple(
        t
        for t in asserting
        if not _names_error(case, t, (*transient, *permanent)) and not t.words() & raising and not _is_kept(t, kept)
    )


def _dead_letter_words(case: Case, spec: JobSpec) -> frozenset[str]:
    """The place of the dead letters, and the classes that stand for its table."""
    place = spec.dead_letter.where if spec.dead_letter and spec.dead_letter.where else None
    if place is None:
        return frozenset()
    name = place.split()[-1].rpartition(".")[2]
    found = {name}
    for table in tables(case.project, name):
        module = case.project.module(table.path) if table.path.endswith(".py") else None
        classes = (n for n in ast.walk(module.tree) if isinstance(n, ast.ClassDef)) if module else ()
        found |= {node.name for node in classes if node.lineno == table.line}
    return frozenset(found)


def _is_kept(test: TestCase, kept: frozenset[str]) -> bool:
    """An assertion says that a dead letter is there, whatever brought it about."""
    return any(not _is_absence(asserted) and kept & words_in(asserted) for asserted in test.asserts())


def _is_retried(case: Case, test: TestCase, transient: tuple[str, ...]) -> bool:
    """It has a transient error, and does not end with the job given up."""
    if "Retry" in test.words():
        return True
    came_through = bool(test.words() & set(_CAME_THROUGH))
    return _names_error(case, test, transient) and (came_through or not _is_given_up(test))


def _ends(case: Case, test: TestCase, transient: tuple[str, ...], permanent: tuple[str, ...]) -> bool:
    """It has a permanent error, or a transient one until the job is given up."""
    if _names_error(case, test, permanent) or "MaxRetriesExceededError" in test.words():
        return True
    return _names_error(case, test, transient) and _is_given_up(test)


def _is_given_up(test: TestCase) -> bool:
    """An assertion speaks of dead letters or failure; that there are none is the opposite."""
    return any(
        _GIVEN_UP.search(word)
        for asserted in test.asserts()
        if not _is_absence(asserted)
        for word in words_in(asserted)
    )


def _is_absence(asserted: ast.AST) -> bool:
    """`not x`, `x == []`, `x == 0`, `x is None`, `assertEqual(x, [])`, `assert_not_called()`."""
    if isinstance(asserted, ast.UnaryOp) and isinstance(asserted.op, ast.Not):
        return True
    if isinstance(asserted, ast.Call):
        absent = re.search(r"[nN]ot|False|None", ast.unparse(asserted.func).rpartition(".")[2])
        return bool(absent) or any(_is_nothing(argument) for argument in asserted.args)
    if not isinstance(asserted, ast.Compare):
        return False
    equal = isinstance(asserted.ops[0], ast.Eq | ast.Is)
    return equal and any(_is_nothing(side) for side in (asserted.left, *asserted.comparators))


def _is_nothing(node: ast.expr) -> bool:
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return not node.elts
    if isinstance(node, ast.Dict):
        return not node.keys
    return isinstance(node, ast.Constant) and not node.value


def _names_error(case: Case, test: TestCase, names: tuple[str, ...]) -> bool:
    """It names one of the errors, or a class derived from one."""
    if {re.split(r"[.:]", name)[-1] for name in names} & test.words():
        return True
    wanted = [dotted(name) if ":" in name or "." in name else f"builtins.{name}" for name in names]
    classes = {name for module, node in test.nodes() if (name := _class_name(module, node))}
    return any(case.project.is_subclass(name, of) for name in classes for of in wanted)


def _class_name(module: Module, node: ast.AST) -> str | None:
    if not isinstance(node, ast.Name | ast.Attribute) or not words_in_node(node)[0][:1].isupper():
        return None
    return module.resolve(node)


def _uncovered(
    spec: JobSpec, handler: Definition, covered: dict[str, tuple[TestCase, ...]], found: tuple[TestCase, ...]
) -> Iterator[Finding]:
    never_retries = spec.retry is not None and spec.retry.kind == "none"
    for kind, words in KINDS.items():
        if covered[kind] or (kind == "retryable" and never_retries):
            continue
        place = (
            {"path": found[0].path, "line": found[0].line} if found else {"path": handler.path, "line": handler.line}
        )
        hints = {
            "happy": "run the handler once and assert what it did",
            "retryable": f"let an adapter raise {_first(spec, 'transient')}, assert that it is retried and succeeds",
            "terminal": f"let an adapter raise {_first(spec, 'permanent')}, assert one attempt and a dead letter",
        }
        yield blocker(f"tests.no-{kind}", f"no test covers {words}", hint=hints[kind], **place)


def _first(spec: JobSpec, which: str) -> str:
    names = getattr(spec.failures, f"{which}_names", ()) if spec.failures else ()
    return re.split(r"[.:]", names[0])[-1] if names else f"a {which} error"


def _unproven(covered: dict[str, tuple[TestCase, ...]]) -> Finding:
    first = next(test for tests in covered.values() for test in tests)
    return note(
        "tests.read-only",
        "the tests were read, not yet seen to fail when the behaviour is broken",
        path=first.path,
        line=first.line,
    )
