"""What a proof of a run's job runs: its handler, its driver, the folders of its imports. And what a
person is asked before it runs.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from skillrun.core.errors import Blocked
from skillrun.frameworks.registry import features_of, list_proved
from skillrun.proof.judges.risks import RISKS
from skillrun.proof.result import Target
from skillrun.runner.options import check_contract_risks
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.readings.near_names import name_near
from skillrun.validations.consent import CommandPlan

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.repo.python import Definition


def proof_target(case: JobCase) -> Target:
    """The target of a proof of this job. Raises Blocked where the spec, the handler or an example
    is missing.
    """
    spec = case.spec
    if spec is None:
        raise Blocked(
            "there is no job spec to prove anything of", hint="write one with: skillrun spec init"
        )
    if case.language is not None:
        hint = "skillrun job-worker-orchestration asks for what somebody has to attest instead"
        raise Blocked(
            f"a proof runs Python, and {spec.handler} is {case.language.title}", hint=hint
        )
    if spec.handler is None:
        hint = "handler: package.module:function"
        raise Blocked(f"{spec.shown_path}:{spec.line()}: the spec names no handler", hint=hint)
    if not spec.examples:
        hint = "the first of payload.examples is the job that is delivered"
        raise Blocked(
            f"{spec.shown_path}:{spec.line('payload')}: payload.examples is empty", hint=hint
        )
    handler = find_handler(case)
    if handler is None:
        raise _explain_no_handler(case, spec, spec.handler)
    return Target(
        spec,
        case.root,
        _choose_driver(case, handler),
        _find_source_roots(case, spec),
        frozenset(list_contract_risks(case)),
    )


def list_contract_risks(case: JobCase) -> tuple[str, ...]:
    """The risks that the profile makes part of the contract. Raises Misuse where one of them is
    not known.
    """
    if not case.profile:
        return ()
    check_contract_risks(case.profile, RISKS)
    return case.profile.contract_risks


def find_handler(case: JobCase) -> Definition | None:
    """The definition of the spec's handler, also where it is a plain function that the framework in
    use knows nothing of. None where there is none.
    """
    spec = case.spec
    if spec is None or spec.handler is None:
        return None
    return case.handler or case.project.find(spec.handler)


def _explain_no_handler(case: JobCase, spec: JobSpec, name: str) -> Blocked:
    """The error for a spec whose `handler: package.module:function` leads nowhere."""
    module, _, function = name.partition(":")
    path = case.project.locate(module, anywhere=True)
    where = f"{spec.shown_path}:{spec.line('handler')}"
    if path in case.project.broken:
        reason = f"its module cannot be read: {case.project.broken[path]}"
        hint = (
            "mend it, or run skillrun on the Python that it is written for (this is"
            f" {platform.python_version()})"
        )
        return Blocked(f"{where}: handler: {reason}", hint=hint)
    hint = "handler: package.module:function"
    reason = f"there is no module {module} in this repository"
    if path:
        reason = f"{path} has no {function}"
        hint = name_near(case.project, name, f"correct handler:, or write {function} there")
    return Blocked(f"{where}: handler: {reason}", hint=hint)


def _choose_driver(case: JobCase, handler: Definition) -> str | None:
    """The id of the framework whose driver runs the handler, or None where it is called as a plain
    function. Raises Blocked for a framework that has no driver.
    """
    use = case.use
    if use is None or features_of(use.id).runs_in_place or case.handler is None:
        return None
    known = list_proved()
    if use.id in known:
        return use.id
    raise Blocked(
        f"{handler.path}:{handler.line}: a job of {use.id}, which the proof cannot run yet",
        hint=f"jobs of {', '.join(known)} and plain callables can be proved",
    )


def _list_publishers(spec: JobSpec) -> list[str]:
    """The import paths of the functions that publish the job: sweeps, what enqueues it, a relay."""
    publishers = []
    for sweep in spec.recovers:
        if sweep.call is not None:
            publishers.append(sweep.call)
    if spec.enqueue is not None:
        for path in (spec.enqueue.call, spec.enqueue.relay):
            if path is not None:
                publishers.append(path)
    return publishers


def _find_source_roots(case: JobCase, spec: JobSpec) -> tuple[str, ...]:
    """The folders that have to be on Python's path for the spec's import paths: `src`, say, or the
    folder of a nested service. The handler's folder is the first.
    """
    # "shop.tasks" of "shop.tasks:send_receipt".
    module = (spec.handler or "").partition(":")[0]
    handler_path = case.project.locate(module, anywhere=True)
    roots = [_find_import_root(handler_path, module)]
    for name in _list_import_paths(spec):
        module, colon, _ = name.partition(":")
        # Without a colon it is the name of a library's error, or of a builtin.
        if not colon:
            continue
        # Only where its import would find it anyway: a file somewhere must not come before a
        # library of that name.
        path = case.project.locate(module, near=handler_path)
        roots.append(_find_import_root(path, module))
    # Each folder once, in the order in which they were found.
    return tuple(dict.fromkeys(root for root in roots if root is not None))


def _list_import_paths(spec: JobSpec) -> list[str]:
    """The `module:name` of everything that the spec names: adapters, publishers and errors. Of a
    library's error and of a builtin there is only the name.
    """
    paths = [effect.call for effect in spec.effects or ()]
    paths += _list_publishers(spec)
    if spec.failures:
        paths += [*spec.failures.transient_names, *spec.failures.permanent_names]
    return paths


def _find_import_root(path: str | None, module: str) -> str | None:
    """The folder in which `import module` finds the file at this path, or None where it would not:
    `src/shop/tasks.py` and `shop.tasks` give `src`.
    """
    if path is None:
        return None
    parts = module.split(".")
    as_file = "/".join(parts) + ".py"
    as_package = "/".join([*parts, "__init__.py"])
    for end in (as_file, as_package):
        if path == end or path.endswith(f"/{end}"):
            root = path.removesuffix(end).rstrip("/")
            return root or "."
    return None


def consent_plan(target: Target) -> CommandPlan:
    """What a person is asked to agree to: the setup command, and that the handler runs."""
    spec = target.spec
    commands = [f"{spec.handler}   under fault injection, many times"]
    if spec.proof and spec.proof.setup:
        commands.insert(0, spec.proof.setup)
    return CommandPlan("prove the job in a scratch folder", tuple(commands))
