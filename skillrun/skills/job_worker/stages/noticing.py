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

    function = _find_running_function(case, handler)
    files = (*case.tree.files, *_list_generated(case))
    if function is None:
        return Trial(incomplete=f"{handler.name} has no method of its own that runs")
    if size_of(case.root, files) > LARGEST:
        size = f"{LARGEST // 1024**3} GB"
        return Trial(incomplete=f"the repository is larger than {size}, so it was not copied")
    folder = _find_project_folder(case, found)
    job = _make_job(case, spec, function, files, folder, python)
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
    breaks = _list_breaks(case, spec, function)
    return try_breaks(breaks, expected, limit or DEFAULT_LIMIT_S, run, forked)


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


def _make_job(
    case: JobCase,
    spec: JobSpec,
    function: Definition,
    files: tuple[str, ...],
    folder: str,
    python: str,
) -> Job:
    from skillrun.proof.breaking.runs import Job
    from skillrun.validations.environment import command_env

    transient: tuple[JobError, ...] = ()
    permanent: tuple[JobError, ...] = ()
    if spec.failures:
        transient, permanent = spec.failures.transient, spec.failures.permanent
    effect = _choose_effect(spec)
    returns = None
    if effect:
        returns = effect.returns
    edits = _list_edits(case, function, effect)
    return Job(
        root=case.root,
        files=files,
        edits=edits,
        modules=tuple(case.project.import_name(path) for path in edits),
        python=python,
        folder=folder,
        import_root=find_import_root(function),
        transient=_describe_errors(transient),
        permanent=_describe_errors(permanent),
        returns=returns,
        env={**_list_settings(case, spec, folder), **command_env(case.root)},
    )


def _list_settings(case: JobCase, spec: JobSpec, folder: str) -> dict[str, str]:
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


def _find_running_function(case: JobCase, handler: Definition) -> Definition | None:
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


def _find_project_folder(case: JobCase, found: tuple[TestCase, ...]) -> str:
    """Where the tests are run: the nearest folder above them that is a project of its own."""
    folder = found[0].path.rpartition("/")[0]
    known = set(case.tree.files)
    while folder and known.isdisjoint(f"{folder}/{name}" for name in _PROJECT):
        folder = folder.rpartition("/")[0]
    if all(test.path.startswith(f"{folder}/") for test in found):
        return folder
    return ""


def _list_generated(case: JobCase) -> tuple[str, ...]:
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


def _choose_effect(spec: JobSpec) -> Effect | None:
    """The first effect that the proof would stand in for; else the first."""
    effects = spec.effects or ()
    for effect in effects:
        if effect.mode == "stand_in":
            return effect
    return next(iter(effects), None)


def _list_breaks(case: JobCase, spec: JobSpec, function: Definition) -> tuple[Break, ...]:
    dropped = _drop_effect(case, spec, function)
    if spec.retry is not None and (spec.retry.kind == "none" or spec.retry.max_attempts == 1):
        return (dropped, *_break_single_try(spec))
    return (dropped, *_break_retries(spec))


def _drop_effect(case: JobCase, spec: JobSpec, function: Definition) -> Break:
    from skillrun.proof.breaking.judge import Break

    effect = _choose_effect(spec)
    name = "effect-dropped"
    if effect is None:
        return Break(name, "drops its effect", why_not="the spec declares no effect")
    words = f"drops its effect {effect.name}"
    if not _find_references(case, function, effect):
        why = f"no call of {effect.call} was found in the handler's code"
        return Break(name, words, why_not=why, is_unreadable=True)
    return Break(name, words, {"drop": True, "name": words})


def _break_retries(spec: JobSpec) -> Iterator[Break]:
    from skillrun.proof.breaking.judge import Break

    no_transient: str | None = "the spec declares no transient error"
    no_permanent: str | None = "the spec declares no permanent error"
    if spec.failures and spec.failures.transient:
        no_transient = None
    if spec.failures and spec.failures.permanent:
        no_permanent = None
    words = "swallows transient errors"
    settings: dict[str, Any] = {"swallow": ["transient"], "name": words}
    yield Break("transient-swallowed", words, settings, no_transient)
    words = "turns permanent errors into ones that are retried"
    settings = {"turn": ["permanent"], "name": words}
    yield Break("permanent-retried", words, settings, no_permanent or no_transient)


def _break_single_try(spec: JobSpec) -> Iterator[Break]:
    """Nothing is retried: what could go unnoticed is that a failure is lost."""
    from skillrun.proof.breaking.judge import Break

    why = "the job is tried once"
    yield Break("transient-swallowed", "swallows transient errors", why_not=why)
    yield Break("permanent-retried", "retries permanent errors", why_not=why)
    words = "swallows its errors"
    settings = {"swallow": ["transient", "permanent"], "name": words}
    why_not: str | None = "the spec declares no error"
    if spec.failures and (spec.failures.transient or spec.failures.permanent):
        why_not = None
    yield Break("failure-swallowed", words, settings, why_not)


# -- where it is broken


def _list_edits(case: JobCase, function: Definition, effect: Effect | None) -> dict[str, FileEdit]:
    """Path -> where it is edited: the handler, helpers that try again, and the effect's calls."""
    handlers = {function.path: {function.line}}
    helpers: dict[str, set[int]] = {}
    for helper in _find_retrying_helpers(case, function, effect):
        helpers.setdefault(helper.path, set()).add(helper.line)
    effects: dict[str, dict[Span, bool]] = {}
    if effect:
        effects = _find_references(case, function, effect)
    edits = {}
    for path in sorted({*handlers, *helpers, *effects}):
        own, called = frozenset(handlers.get(path, ())), frozenset(helpers.get(path, ()))
        edits[path] = FileEdit(own, called, dict(effects.get(path, {})))
    return edits


def _find_references(
    case: JobCase, function: Definition, effect: Effect
) -> dict[str, dict[Span, bool]]:
    """Path -> each expression that means the effect's adapter in the code that the handler runs,
    and if it is async.
    """
    is_async = _has_async_adapter(case, effect)
    found: dict[str, dict[Span, bool]] = {}
    for call in effect_calls(case, function, effect):
        awaited = isinstance(next(call.module.parents(call.node), None), ast.Await)
        found.setdefault(call.path, {})[Span.of(call.node.func)] = is_async or awaited
    inside = {id(part.node) for part in (function, *_list_reached(case, function))}
    for name in adapter_names(case, effect):
        for use in case.project.uses(name):
            if id(use.module.function_of(use.node)) in inside:
                found.setdefault(use.path, {}).setdefault(Span.of(use.node), is_async)
    return {path: spans for path, spans in found.items() if not is_test_file(path)}


def _has_async_adapter(case: JobCase, effect: Effect) -> bool:
    for name in adapter_names(case, effect):
        definition = case.project.definition(name)
        if definition is not None and isinstance(definition.node, ast.AsyncFunctionDef):
            return True
    return False


def _list_reached(case: JobCase, function: Definition) -> list[Definition]:
    """The repository's functions that the handler calls."""
    names: set[str] = set()
    for call in handler_calls(case, function):
        names.update(call.via)
    functions = []
    for name in sorted(names):
        part = case.project.definition(name)
        if part is not None and not part.is_class and not is_test_file(part.path):
            functions.append(part)
    return functions


def _find_retrying_helpers(
    case: JobCase, function: Definition, effect: Effect | None
) -> Iterator[Definition]:
    """Functions that the handler calls and that try again themselves when they catch an error."""
    adapters: frozenset[str] = frozenset()
    if effect:
        adapters = adapter_names(case, effect)
    for part in _list_reached(case, function):
        if part.dotted not in adapters and any(map(_tries_again, ast.walk(part.node))):
            yield part


def _tries_again(clause: ast.AST) -> bool:
    """An `except` clause that calls or raises what is called a retry."""
    if not isinstance(clause, ast.ExceptHandler):
        return False
    return any(isinstance(n, ast.Call | ast.Raise) and _says_retry(n) for n in ast.walk(clause))


def _says_retry(node: ast.Call | ast.Raise) -> bool:
    meant = node.exc if isinstance(node, ast.Raise) else node.func
    return meant is not None and bool(words_in(meant) & _RETRYING)


def _describe_errors(errors: Iterable[JobError]) -> tuple[dict[str, Any], ...]:
    return tuple({"type": error.type, "args": list(error.args)} for error in errors)
