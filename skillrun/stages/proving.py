"""What the proof needs to know of a job, found in its repository: the driver, the source roots, and who must agree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skillrun.errors import Blocked
from skillrun.proof.prove import Target
from skillrun.stages.interface import Case, CommandPlan

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.repo.python import Definition

_PLAIN = ("apscheduler", "plain-cron")
_PROBES = Path(__file__).resolve().parent.parent / "frameworks"


def proof_target(case: Case) -> Target:
    """What `prove` takes. Raises Blocked where a decision or the work is missing."""
    spec = case.spec
    if spec is None:
        raise Blocked("there is no job spec to prove anything of", hint="write one with: skillrun spec init")
    if spec.handler is None:
        hint = "handler: package.module:function"
        raise Blocked(f"{spec.shown_path}:{spec.line()}: the spec names no handler", hint=hint)
    if not spec.examples:
        hint = "the first of payload.examples is the job that is delivered"
        raise Blocked(f"{spec.shown_path}:{spec.line('payload')}: payload.examples is empty", hint=hint)
    handler = find_handler(case)
    if handler is None:
        raise _no_handler(case, spec, spec.handler)
    return Target(spec, case.root, _driver(case, handler), _source_roots(case, spec))


def find_handler(case: Case) -> Definition | None:
    """The handler, also where it is a plain function that the framework in use knows nothing of."""
    spec = case.spec
    if spec is None or spec.handler is None:
        return None
    return case.handler or case.project.find(spec.handler)


def _no_handler(case: Case, spec: JobSpec, name: str) -> Blocked:
    module, _, function = name.partition(":")
    path = case.project.locate(module)
    said = f"{path} has no {function}" if path else f"there is no module {module} in this repository"
    where = f"{spec.shown_path}:{spec.line('handler')}"
    return Blocked(f"{where}: handler: {said}", hint="handler: package.module:function")


def _driver(case: Case, handler: Definition) -> str | None:
    """The id of the framework whose probe runs the handler; None for a plain callable. Raises Blocked for no probe."""
    use = case.use
    if use is None or use.id in _PLAIN or case.handler is None:
        return None
    if (_PROBES / use.id / "probe.py").is_file():
        return use.id
    hint = f"jobs of {', '.join(sorted(_probes()))} and plain callables can be proved"
    raise Blocked(f"{handler.path}:{handler.line}: a job of {use.id}, which the proof cannot run yet", hint=hint)


def _probes() -> list[str]:
    return [path.parent.name for path in _PROBES.glob("*/probe.py")]


def _source_roots(case: Case, spec: JobSpec) -> tuple[str, ...]:
    """The folders that the import paths of the spec begin in, the handler's first: src layouts, nested services."""
    failures = spec.failures
    names = [spec.handler or "", *(effect.call for effect in spec.effects or ())]
    names += [spec.enqueue.call] if spec.enqueue else []
    names += [*failures.transient_names, *failures.permanent_names] if failures else []
    roots = [_root_of(case, name.partition(":")[0]) for name in names if ":" in name]
    return tuple(dict.fromkeys(root for root in roots if root is not None))


def _root_of(case: Case, module: str) -> str | None:
    path = case.project.locate(module)
    if path is None:
        return None
    parts = module.split(".")
    for end in ("/".join(parts) + ".py", "/".join([*parts, "__init__.py"])):
        if path == end or path.endswith(f"/{end}"):
            return path[: -len(end)].rstrip("/") or "."
    return None


def consent_plan(case: Case, target: Target) -> CommandPlan:
    """What a person agrees to: the setup command, and that the handler runs."""
    from skillrun.canonical import sha256

    spec, handler = target.spec, find_handler(case)
    setup = [spec.proof.setup] if spec.proof and spec.proof.setup else []
    files = {spec.shown_path: spec.sha256}
    if handler is not None:
        content = case.tree.read(handler.path)
        files[handler.path] = sha256(content) if content is not None else ""
    return CommandPlan(
        "prove the job in a scratch folder", (*setup, f"{spec.handler}   under fault injection, many times"), files
    )
