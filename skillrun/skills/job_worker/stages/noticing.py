"""For the stage tests: what can be broken in a job's handler, and what it means that its tests did
not notice.
"""

from __future__ import annotations

import ast
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.proof.breaking.edits import FileEdit, Span
from skillrun.skills.job_worker.stages.effects import adapter_names, effect_calls, handler_calls
from skillrun.skills.job_worker.stages.interface import JobCase
from skillrun.skills.job_worker.stages.testcases import TestCase, is_test_file, words_in
from skillrun.validations.consent import CommandPlan

if TYPE_CHECKING:
    from skillrun.contract.job import Effect, JobError, JobSpec
    from skillrun.proof.breaking.judge import Break, Trial
    from skillrun.proof.breaking.runs import Asked, Job, Ran, Records
    from skillrun.repo.python import Definition

DEFAULT_LIMIT_S = 600.0
_RUN_METHODS = ("run", "perform", "__call__", "handle")
_CONFIGURATION = ("pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
_PROJECT = (*_CONFIGURATION, "setup.py", "manage.py")
_RETRYING = {"retry", "Retry", "RetryTask"}
# Ignored by git, and imported all the same: `_version.py`.
_GENERATED = (".py", ".so")


def try_tests(
    case: JobCase, spec: JobSpec, handler: Definition, found: tuple[TestCase, ...], python: str
) -> Trial:
    """Runs the tests with the handler as it is and broken, each in a scratch copy. Repository code
    runs.
    """
    from skillrun.proof.breaking.judge import Expected, Trial, try_breaks
    from skillrun.proof.breaking.runs import run_forked, run_tests
    from skillrun.proof.breaking.scratch import LARGEST, size_of

    function = _function(case, handler)
    files = (*case.tree.files, *_generated(case))
    if function is None:
        return Trial(incomplete=f"{handler.name} has no method of its own that runs")
    if size_of(case.root, files) > LARGEST:
        return Trial(
            incomplete=(
                f"the repository is larger than {LARGEST // 1024**3} GB, so it was not copied"
            )
        )
    folder = _folder(case, found)
    job = _job(case, spec, function, files, folder, python)
    paths = tuple(sorted({os.path.relpath(test.path, folder or ".") for test in found}))
    expected = Expected(
        paths, frozenset(f"{test.path}::{test.name.replace('.', '::')}" for test in found)
    )

    def run(asked: Asked) -> Records:
        return run_tests(job, asked, _run_command(case, asked.broken.get("name", "as it is")))

    def forked(asked: Asked, breaks: list[Mapping[str, Any]]) -> list[Records] | None:
        return run_forked(
            job, asked, breaks, _run_command(case, f"as it is, and broken in {len(breaks)} ways")
        )

    limit = None
    if case.profile:
        limit = case.profile.validation_timeout
    return try_breaks(
        _breaks(case, spec, function), expected, limit or DEFAULT_LIMIT_S, run, forked
    )


def _run_command(case: JobCase, how: str) -> Any:
    from skillrun.validations.run import run_command

    say = case.on_output
    if say:
        say(f"tests of the handler, {how}")

    def run(command: str, folder: Path, env: Mapping[str, str], limit_s: float) -> Ran:
        return run_command(command, cwd=folder, env=env, timeout_s=limit_s, on_line=say)

    return run


def plan(python: str) -> CommandPlan:
    """What a person agrees to: the repository's tests."""
    purpose = "run the tests of the handler in a scratch copy: as it is, and broken in three ways"
    return CommandPlan(purpose, (shlex.join([python, "-m", "pytest"]),))


def target_python(case: JobCase, spec: JobSpec) -> str:
    """The interpreter: the spec's, the repository's venv, the one that is activated, else the
    current one.
    """
    from skillrun.validations.environment import find_python

    if spec.proof is not None and spec.proof.python:
        named = spec.proof.python
        if "/" in named:
            return str(case.root / named)
        return named
    return find_python(case.root)


def record_lookups(case: JobCase, records: Records) -> None:
    """What the tests read becomes what the stage depends on; everything, where other processes read
    too.
    """
    if records.spawned or not records.opened:
        case.tree.everything()
        return
    known = set(case.tree.files)
    for path in sorted(records.opened & known):
        case.tree.read(path)
    for name in _CONFIGURATION:
        case.tree.read(name)
        case.tree.read(f"{records.prefix}/{name}".lstrip("/"))
    case.tree.match("**/conftest.py")


# -- the job


def _job(
    case: JobCase,
    spec: JobSpec,
    function: Definition,
    files: tuple[str, ...],
    folder: str,
    python: str,
) -> Job:
    from skillrun.proof.breaking.runs import Job
    from skillrun.validations.environment import command_env

    failures = spec.failures
    effect = _effect(spec)
    edits = _edits(case, function, effect)
    return Job(
        root=case.root,
        files=files,
        edits=edits,
        modules=tuple(case.project.import_name(path) for path in edits),
        python=python,
        folder=folder,
        import_root=find_import_root(function),
        transient=_describe_errors(failures.transient if failures else ()),
        permanent=_describe_errors(failures.permanent if failures else ()),
        returns=effect.returns if effect else None,
        env={**_settings(case, spec, folder), **command_env(case.root)},
    )


def _settings(case: JobCase, spec: JobSpec, folder: str) -> dict[str, str]:
    """What the proof's environment says and nobody else does: plain values, and Django's
    settings.
    """
    given = {}
    if spec.proof:
        given = spec.proof.env
    plain = {name: value for name, value in given.items() if "{" not in value}
    for name in (*_CONFIGURATION, "conftest.py"):
        for path in (name, f"{folder}/{name}".lstrip("/")):
            if b"DJANGO_SETTINGS_MODULE" in (case.tree.read(path) or b""):
                # Pytest-django would take the environment's before its own.
                plain.pop("DJANGO_SETTINGS_MODULE", None)
                return plain
    return plain


def _function(case: JobCase, handler: Definition) -> Definition | None:
    """The function that runs; of a class, its method."""
    if not handler.is_class:
        return handler
    for name in _RUN_METHODS:
        method = case.project.member([handler], name)
        if method is not None:
            return method
    return None


def find_import_root(function: Definition) -> str:
    """The folder from which the handler's module is imported: "src" for "src/shop/tasks.py"."""
    path = function.path.removesuffix(".py").removesuffix("/__init__")
    name = function.module.name.replace(".", "/")
    if path.endswith(name):
        return path[: -len(name)].rstrip("/")
    return path.rpartition("/")[0]


def _folder(case: JobCase, found: tuple[TestCase, ...]) -> str:
    """Where the tests are run: the nearest folder above them that is a project of its own."""
    folder = found[0].path.rpartition("/")[0]
    known = set(case.tree.files)
    while folder and known.isdisjoint(f"{folder}/{name}" for name in _PROJECT):
        folder = folder.rpartition("/")[0]
    if all(test.path.startswith(f"{folder}/") for test in found):
        return folder
    return ""


def _generated(case: JobCase) -> tuple[str, ...]:
    """Python files that git ignores in folders that it does not ignore."""
    from skillrun.repo.git import git_output

    listing = git_output(
        case.root, "ls-files", "-z", "-o", "-i", "--exclude-standard", "--directory"
    )
    found = []
    for name in map(os.fsdecode, listing.split(b"\0")):
        if name.endswith(_GENERATED) and (case.root / name).is_file():
            found.append(name)
    return tuple(found)


# -- the breaks


def _effect(spec: JobSpec) -> Effect | None:
    """The first effect that the proof would stand in for."""
    effects = spec.effects or ()
    for e in effects:
        if e.mode == "stand_in":
            return e
    return next(iter(effects), None)


def _breaks(case: JobCase, spec: JobSpec, function: Definition) -> tuple[Break, ...]:
    retried = not (
        spec.retry is not None and (spec.retry.kind == "none" or spec.retry.max_attempts == 1)
    )
    return (_effect_dropped(case, spec, function), *(_retried(spec) if retried else _once(spec)))


def _effect_dropped(case: JobCase, spec: JobSpec, function: Definition) -> Break:
    from skillrun.proof.breaking.judge import Break

    effect = _effect(spec)
    name = "effect-dropped"
    if effect is None:
        return Break(name, "drops its effect", why_not="the spec declares no effect")
    words = f"drops its effect {effect.name}"
    if not _references(case, function, effect):
        why = f"no call of {effect.call} was found in the handler's code"
        return Break(name, words, why_not=why, is_unreadable=True)
    return Break(name, words, {"drop": True, "name": words})


def _retried(spec: JobSpec) -> Iterator[Break]:
    from skillrun.proof.breaking.judge import Break

    if spec.failures:
        transient = spec.failures.transient_names
        permanent = spec.failures.permanent_names
    else:
        transient = ()
        permanent = ()
    none = "the spec declares no {} error"
    words = "swallows transient errors"
    settings: dict[str, Any] = {"swallow": ["transient"], "name": words}
    yield Break(
        "transient-swallowed", words, settings, None if transient else none.format("transient")
    )
    words = "turns permanent errors into ones that are retried"
    settings = {"turn": ["permanent"], "name": words}
    if not permanent:
        missing = "permanent"
    elif not transient:
        missing = "transient"
    else:
        missing = None
    yield Break("permanent-retried", words, settings, none.format(missing) if missing else None)


def _once(spec: JobSpec) -> Iterator[Break]:
    """Nothing is retried: what could go unnoticed is that a failure is lost."""
    from skillrun.proof.breaking.judge import Break

    why = "the job is tried once"
    yield Break("transient-swallowed", "swallows transient errors", why_not=why)
    yield Break("permanent-retried", "retries permanent errors", why_not=why)
    words = "swallows its errors"
    settings = {"swallow": ["transient", "permanent"], "name": words}
    declared = spec.failures and (spec.failures.transient or spec.failures.permanent)
    yield Break(
        "failure-swallowed", words, settings, None if declared else "the spec declares no error"
    )


# -- where it is broken


def _edits(case: JobCase, function: Definition, effect: Effect | None) -> dict[str, FileEdit]:
    handlers = {function.path: {function.line}}
    helpers: dict[str, set[int]] = {}
    for helper in _retrying(case, function, effect):
        helpers.setdefault(helper.path, set()).add(helper.line)
    effects = {}
    if effect:
        effects = _references(case, function, effect)
    return {
        path: FileEdit(
            frozenset(handlers.get(path, ())),
            frozenset(helpers.get(path, ())),
            dict(effects.get(path, {})),
        )
        for path in sorted({*handlers, *helpers, *effects})
    }


def _references(case: JobCase, function: Definition, effect: Effect) -> dict[str, dict[Span, bool]]:
    """Path -> each expression that means the effect's adapter in the code that the handler runs,
    and if it is async.
    """
    is_async = _has_async_adapter(case, effect)
    found: dict[str, dict[Span, bool]] = {}
    for call in effect_calls(case, function, effect):
        awaited = isinstance(next(call.module.parents(call.node), None), ast.Await)
        found.setdefault(call.path, {})[Span.of(call.node.func)] = is_async or awaited
    inside = {id(part.node) for part in (function, *_reached(case, function))}
    for name in adapter_names(case, effect):
        for use in case.project.uses(name):
            if id(use.module.function_of(use.node)) in inside:
                found.setdefault(use.path, {}).setdefault(Span.of(use.node), is_async)
    kept = {}
    for path, spans in found.items():
        if not is_test_file(path):
            kept[path] = spans
    return kept


def _has_async_adapter(case: JobCase, effect: Effect) -> bool:
    for name in adapter_names(case, effect):
        definition = case.project.definition(name)
        if definition is not None and isinstance(definition.node, ast.AsyncFunctionDef):
            return True
    return False


def _reached(case: JobCase, function: Definition) -> list[Definition]:
    """The repository's functions that the handler calls."""
    names = set()
    for call in handler_calls(case, function):
        for name in call.via:
            names.add(name)
    functions = []
    for name in sorted(names):
        part = case.project.definition(name)
        if part is not None and not part.is_class and not is_test_file(part.path):
            functions.append(part)
    return functions


def _retrying(case: JobCase, function: Definition, effect: Effect | None) -> Iterator[Definition]:
    """Functions that the handler calls and that try again themselves when they catch an error."""
    if effect:
        adapters = adapter_names(case, effect)
    else:
        adapters = frozenset()
    for part in _reached(case, function):
        if part.dotted not in adapters and any(map(_tries_again, ast.walk(part.node))):
            yield part


def _tries_again(clause: ast.AST) -> bool:
    """An `except` clause that calls or raises what is called a retry."""
    if not isinstance(clause, ast.ExceptHandler):
        return False
    return any(isinstance(n, ast.Call | ast.Raise) and _says_retry(n) for n in ast.walk(clause))


def _says_retry(node: ast.Call | ast.Raise) -> bool:
    meant = node.func if isinstance(node, ast.Call) else node.exc
    return meant is not None and bool(words_in(meant) & _RETRYING)


def _describe_errors(errors: Iterable[JobError]) -> tuple[dict[str, Any], ...]:
    return tuple({"type": error.type, "args": list(error.args)} for error in errors)
