"""Stage 8: the repository's tests cover the happy path, one retryable and one terminal failure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.stages.interface import Case, blocker, note, wording
from skillrun.verdict import Action, Evidence, Finding, Grade, StageResult, status_of

if TYPE_CHECKING:
    from skillrun.contract.spec import JobSpec
    from skillrun.repo.python import Definition

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
_TEST_FILE = re.compile(r"(^|/)(test_[^/]*|[^/]*_tests?|tests?)\.py$|(^|/)tests?/[^/]*\.py$")
_EXHAUSTED = ("MaxRetriesExceededError", "max_retries", "dead_letter", "dead_jobs", "dead", "exhaust")
_ASSERTS = re.compile(r"\bassert\b|\.assert\w+\(|\braises\(|assertRaises")


@dataclass(frozen=True)
class TestCase:
    """A test function that reaches the handler, and what its text names."""

    __test__ = False

    path: str
    line: int
    name: str
    text: str


def examine(case: Case) -> StageResult:
    """Reads the tests; whether they fail when the behaviour is broken is for the proof to show."""
    spec, handler = case.spec, case.handler
    if spec is None or handler is None:
        finding = blocker("tests.no-handler", "no handler to test yet", hint="the stage handler comes first")
        return StageResult(status_of([finding]), None, (finding,), summary="no handler yet")
    found = _tests_of(case, handler)
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


def is_test_file(path: str) -> bool:
    """By the names that pytest and unittest look for."""
    return bool(_TEST_FILE.search(path))


def _tests_of(case: Case, handler: Definition) -> tuple[TestCase, ...]:
    """The test functions that name the handler, its task, or something that enqueues it."""
    names = {handler.name.rpartition(".")[2]} | _enqueuers(case)
    paths = {path for name in names for path in case.tree.search(name, ".py") if is_test_file(path)}
    return tuple(test for path in sorted(paths) for test in _reaching(case, path, names))


def _enqueuers(case: Case) -> set[str]:
    """Functions of the application that publish the job: a test may call these instead."""
    found = set()
    for wiring in case.wiring:
        module = case.project.module(wiring.place.path)
        if wiring.in_tests or module is None:
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _holds(node, wiring.place.line):
                found.add(node.name)
    return found


def _holds(node: ast.FunctionDef | ast.AsyncFunctionDef, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def _reaching(case: Case, path: str, names: set[str]) -> Iterator[TestCase]:
    module = case.project.module(path)
    if module is None:
        return
    functions = {n.name: n for n in ast.walk(module.tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    for name, node in functions.items():
        if name.startswith("test"):
            text = "\n".join(_with_helpers(node, functions))
            if any(re.search(rf"\b{re.escape(word)}\b", text) for word in names):
                yield TestCase(path, node.lineno, name, text)


def _with_helpers(node: ast.AST, functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef]) -> list[str]:
    """The source of a test, and of the helpers and fixtures of its file that it names, directly or not."""
    waiting, seen, texts = [node], {getattr(node, "name", "")}, []
    while waiting:
        current = waiting.pop()
        texts.append(ast.unparse(current))
        words = {n.id for n in ast.walk(current) if isinstance(n, ast.Name)}
        words |= {n.arg for n in ast.walk(current) if isinstance(n, ast.arg)}
        for word in sorted(words & functions.keys() - seen):
            seen.add(word)
            waiting.append(functions[word])
    return texts


def _covering(case: Case, spec: JobSpec, kind: str, found: tuple[TestCase, ...]) -> tuple[TestCase, ...]:
    transient = _exception_words(spec.failures.transient_names if spec.failures else ())
    permanent = _exception_words(spec.failures.permanent_names if spec.failures else ())
    asserting = [test for test in found if _ASSERTS.search(test.text)]
    if kind == "retryable":
        return tuple(t for t in asserting if _has_word(t.text, transient) or _has_word(t.text, {"Retry"}))
    if kind == "terminal":
        return tuple(t for t in asserting if _has_word(t.text, permanent) or any(w in t.text for w in _EXHAUSTED))
    failing = transient | permanent | {"raises", "assertRaises"}
    return tuple(t for t in asserting if not _has_word(t.text, failing))


def _exception_words(names: tuple[str, ...]) -> set[str]:
    return {re.split(r"[.:]", name)[-1] for name in names}


def _has_word(text: str, words: set[str]) -> bool:
    return any(re.search(rf"\b{re.escape(word)}\b", text) for word in words)


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
