"""For the stage tests: what can be broken in a job's handler, and what it means that its tests did
not notice.
"""

from __future__ import annotations

import ast
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.proof.breaking.edits import FileEdit, Span
from skillrun.repo.places import is_taken_for_tests
from skillrun.repo.syntax import find_nodes
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.readings.effects import adapter_names, effect_calls, handler_calls
from skillrun.skills.job_worker.readings.own_tests.testcases import TestCase, words_in
from skillrun.validations.consent import CommandPlan

if TYPE_CHECKING:
    from skillrun.contract.job import Effect, JobError, JobSpec
    from skillrun.proof.breaking.judge import Break, Trial
    from skillrun.proof.breaking.runs import Asked, Job, Ran, Records
    from skillrun.repo.python import Definition

# Each run of the tests may take so long where the profile says nothing.
DEFAULT_LIMIT_S = 600.0
# How the libraries that have jobs as classes call the method that runs.
_RUN_METHODS = ("run", "perform", "__call__", "handle")
_CONFIGURATION = ("pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
# A folder with one of these is a project of its own.
_PROJECT = (*_CONFIGURATION, "setup.py", "manage.py")
_RETRYING = {"retry", "Retry", "RetryTask"}
# Ignored by git, and imported all the same: `_version.py`.
_GENERATED = (".py", ".so")


def try_tests(
    case: JobCase, spec: JobSpec, handler: Definition, found: tuple[TestCase, ...], python: str
) -> Trial:
    """Runs the tests in a scratch copy of the repository, with the handler as it is and then broken
    in each way, and returns what they noticed. Repository code runs.
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
    paths = {os.path.relpath(test.path, folder or ".") for test in found}
    names = {f"{test.path}::{test.name.replace('.', '::')}" for test in found}
    expected = Expected(tuple(sorted(paths)), frozenset(names))

    def run_once(asked: Asked) -> Records:
        return run_tests(job, asked, _make_runner(case, asked.broken.get("name", "as it is")))

    def run_all_forked(asked: Asked, breaks: list[Mapping[str, Any]]) -> list[Records] | None:
        how = f"as it is, and broken in {len(breaks)} ways"
        return run_forked(job, asked, breaks, _make_runner(case, how))

    limit = None
    if case.profile:
        limit = case.profile.validation_timeout
    breaks = _list_breaks(case, spec, function)
    return try_breaks(breaks, expected, limit or DEFAULT_LIMIT_S, run_once, run_all_forked)


def _make_runner(case: JobCase, how: str) -> Callable[[str, Path, Mapping[str, str], float], Ran]:
    """Says how the tests are run now, and returns the function that runs their command."""
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
    """The interpreter that runs the tests: the one that the spec names, or else the one that
    `find_python` finds for the repository.
    """
    from skillrun.validations.environment import find_python

    if spec.proof is not None and spec.proof.python:
        named = spec.proof.python
        if "/" in named:
            return str(case.root / named)
        return named
    return find_python(case.root)


def record_lookups(case: JobCase, records: Records) -> None:
    """Makes the files that the tests have read look-ups of the stage; every file, where other
    processes may have read some, too.
    """
    if records.spawned or not records.opened:
        case.tree.hash_everything()
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
    """What a run of the tests needs to know: files, where they are edited, interpreter, errors,
    environment.
    """
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
    """The variables of the proof's environment that the tests need as well, without those that are
    filled in for a proof (`{database}`).
    """
    if spec.proof is None:
        settings = {}
    else:
        settings = {name: value for name, value in spec.proof.env.items() if "{" not in value}
    for name in (*_CONFIGURATION, "conftest.py"):
        for path in (name, f"{folder}/{name}".lstrip("/")):
            if b"DJANGO_SETTINGS_MODULE" in (case.tree.read(path) or b""):
                # Pytest-django would take the environment's before its own.
                settings.pop("DJANGO_SETTINGS_MODULE", None)
                return settings
    return settings


def _find_running_function(case: JobCase, handler: Definition) -> Definition | None:
    """The function that a worker runs: the handler, or the method of a handler that is a class."""
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
    """The folder in which the tests are run: the nearest one above the first test that is a project
    of its own, or the repository's where not all of them lie in that.
    """
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

    # -o -i: untracked and ignored; --directory: an ignored folder is one entry, and not listed.
    listing = git_output(
        case.root, "ls-files", "-z", "-o", "-i", "--exclude-standard", "--directory"
    )
    generated = []
    for name in map(os.fsdecode, listing.split(b"\0")):
        if name.endswith(_GENERATED) and (case.root / name).is_file():
            generated.append(name)
    return tuple(generated)


# -- the breaks


def _choose_effect(spec: JobSpec) -> Effect | None:
    """The first effect that the proof would stand in for; else the first."""
    effects = spec.effects or ()
    for effect in effects:
        if effect.mode == "stand_in":
            return effect
    return next(iter(effects), None)


def _list_breaks(case: JobCase, spec: JobSpec, function: Definition) -> tuple[Break, ...]:
    """The ways to break the handler: the effect is dropped, and errors are treated wrongly."""
    dropped = _drop_effect(case, spec, function)
    if spec.retry is not None and (spec.retry.kind == "none" or spec.retry.max_attempts == 1):
        return (dropped, *_break_single_try(spec))
    return (dropped, *_break_retries(spec))


def _drop_effect(case: JobCase, spec: JobSpec, function: Definition) -> Break:
    """The handler that leaves out its effect."""
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
    """The handler that loses transient errors, and the one that retries permanent errors."""
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
    """The handler that swallows its errors. Where nothing is retried, only the loss of a failure
    could go unnoticed.
    """
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
    references: dict[str, dict[Span, bool]] = {}
    if effect:
        references = _find_references(case, function, effect)
    edits = {}
    for path in sorted({*handlers, *helpers, *references}):
        edits[path] = FileEdit(
            frozenset(handlers.get(path, ())),
            frozenset(helpers.get(path, ())),
            dict(references.get(path, {})),
        )
    return edits


def _find_references(
    case: JobCase, function: Definition, effect: Effect
) -> dict[str, dict[Span, bool]]:
    """Path -> {where an expression means the effect's adapter: whether it is async}, in the code
    that the handler runs.
    """
    is_async = _has_async_adapter(case, effect)
    references: dict[str, dict[Span, bool]] = {}
    for call in effect_calls(case, function, effect):
        is_awaited = isinstance(next(call.module.parents(call.node), None), ast.Await)
        references.setdefault(call.path, {})[Span.of(call.node.func)] = is_async or is_awaited
    reached = {id(part.node) for part in (function, *_list_reached(case, function))}
    # An adapter that is handed on, `retry(mailer.send, ...)`, is no call of it.
    for name in adapter_names(case, effect):
        for use in case.project.uses(name):
            if id(use.module.function_of(use.node)) in reached:
                references.setdefault(use.path, {}).setdefault(Span.of(use.node), is_async)
    return {path: spans for path, spans in references.items() if not is_taken_for_tests(path)}


def _has_async_adapter(case: JobCase, effect: Effect) -> bool:
    """Whether the effect's adapter is an `async def`, under one of its names."""
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
        if part is not None and not part.is_class and not is_taken_for_tests(part.path):
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
        if part.dotted in adapters:
            continue
        if any(_tries_again(clause) for clause in find_nodes(part.node, ast.ExceptHandler)):
            yield part


def _tries_again(clause: ast.ExceptHandler) -> bool:
    """Whether an `except` clause calls or raises what is called a retry."""
    for node in ast.walk(clause):
        meant = None
        if isinstance(node, ast.Raise):
            meant = node.exc
        elif isinstance(node, ast.Call):
            meant = node.func
        if meant is not None and words_in(meant) & _RETRYING:
            return True
    return False


def _describe_errors(errors: Iterable[JobError]) -> tuple[dict[str, Any], ...]:
    """The errors as the runs of the tests take them, to raise and to recognise them."""
    return tuple({"type": error.type, "args": list(error.args)} for error in errors)
