"""The errors of a job, its retries and its dead letters, as a spec says them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.registry import features_of
from skillrun.repo.uses import Place
from skillrun.skills.job_worker.overview.memories import is_dead_letter
from skillrun.skills.job_worker.overview.policy_words import is_bound_read

if TYPE_CHECKING:
    from skillrun.frameworks.interface import Policy
    from skillrun.repo.python import Definition, Project
    from skillrun.skills.job_worker.overview.handlers import FoundJob
    from skillrun.skills.job_worker.overview.memories import Memory

# Whatever is raised is one of these: they list nothing.
_EVERYTHING = frozenset({"Exception", "BaseException"})
# A spec needs one; below, no job is late by its own retries alone.
_SHORTEST_DELAY_S = 15 * 60
_ROUNDED_TO_S = 15 * 60


@dataclass(frozen=True)
class Failing:
    """Parts of a spec, with the place of each."""

    failures: dict[str, Any]
    retry: dict[str, Any] | None
    dead_letter: dict[str, Any] | None
    seen: dict[str, Place]
    # Raised by the code, and in no policy: nobody has said whether they pass.
    unsure: tuple[str, ...] = ()


def read_failing(
    project: Project,
    job: FoundJob,
    policy: Policy,
    bodies: Iterable[Definition],
    memories: Iterable[Memory],
) -> Failing:
    """What can be told; a part that cannot is None."""
    seen: dict[str, Place] = {}
    control = features_of(job.use.id).control
    transient = _list_errors(policy.retried, control)
    permanent = _list_errors(policy.not_retried, control)
    unsure: list[str] = []
    for name, place in _list_raised(project, bodies).items():
        if name in transient or name in permanent:
            continue
        is_retried = _is_one_of(project, name, transient)
        (transient if is_retried else permanent).append(name)
        if not is_retried:
            unsure.append(name)
        seen.setdefault("failures.transient" if is_retried else "failures.permanent", place)
    failures = {
        "transient": list(dict.fromkeys(transient)),
        "permanent": [name for name in dict.fromkeys(permanent) if name not in transient],
        "acceptable_delay": _choose_delay(policy),
    }
    for name, key in (("retried", "failures.transient"), ("not_retried", "failures.permanent")):
        listed = policy.sources.get(name)
        if listed is not None:
            seen[key] = listed
    bound = policy.sources.get("max_attempts") or job.registered
    if bound is not None:
        seen["retry"] = bound
    letter = _read_dead_letter(job, policy, memories)
    return Failing(failures, _read_retry(policy), letter, seen, tuple(unsure))


def _list_errors(paths: Iterable[str], control: str) -> list[str]:
    """Those of a policy that something outside of the process may raise. `control`: a pattern of
    what the library raises to steer itself.
    """
    found = []
    for path in paths:
        name = path.removeprefix("builtins:")
        if name not in _EVERYTHING and not re.fullmatch(control, name):
            found.append(name)
    return found


def _list_raised(project: Project, bodies: Iterable[Definition]) -> dict[str, Place]:
    """The exceptions of the repository that the job's code raises itself."""
    found: dict[str, Place] = {}
    for body in bodies:
        for node in ast.walk(body.node):
            raised = node.exc if isinstance(node, ast.Raise) else None
            maker = raised.func if isinstance(raised, ast.Call) else raised
            name = body.module.resolve(maker) if maker is not None else None
            known = project.definition(name) if name else None
            if known is not None and known.is_class and isinstance(node, ast.Raise):
                place = Place(body.path, node.lineno, body.module.line_text(node.lineno))
                found.setdefault(known.import_path, place)
    return found


def _is_one_of(project: Project, name: str, listed: Iterable[str]) -> bool:
    dotted = name.replace(":", ".")
    return any(project.is_subclass(dotted, other.replace(":", ".")) for other in listed)


def _choose_delay(policy: Policy) -> str:
    """The least that its own retries take, in quarters of an hour."""
    horizon = 0.0
    if policy.max_attempts is not None and is_bound_read(policy):
        horizon = sum(policy.backoff.delays(policy.max_attempts - 1))
    quarters = max(int(horizon / _ROUNDED_TO_S) + 1, _SHORTEST_DELAY_S // _ROUNDED_TO_S)
    return f"{quarters * _ROUNDED_TO_S // 60}m"


def _read_retry(policy: Policy) -> dict[str, Any] | None:
    if not is_bound_read(policy) or "backoff" in policy.unknown or policy.max_attempts is None:
        return None
    if policy.max_attempts == 1:
        return {"kind": "none", "reason": "as the code has it: nothing tries it again"}
    backoff = policy.backoff
    if backoff.waits:
        return None
    written: dict[str, Any] = {"kind": backoff.kind}
    if backoff.kind != "none":
        # As the spec means it: the longest that the first wait may be.
        written["base"] = f"{backoff.base_s * backoff.spread:g}s"
        written["jitter"] = backoff.jitter
    if backoff.kind == "exponential":
        written["factor"] = backoff.factor
        if backoff.cap_s is not None:
            written["cap"] = f"{backoff.cap_s:g}s"
    return {"max_attempts": policy.max_attempts, "backoff": written}


def _read_dead_letter(
    job: FoundJob, policy: Policy, memories: Iterable[Memory]
) -> dict[str, Any] | None:
    for memory in memories:
        kind, _, name = memory.what.partition(" ")
        if kind == "table" and is_dead_letter(name):
            return {"kind": "table", "where": name}
    if features_of(job.use.id).own_dead_letters:
        return {"kind": "framework"}
    return None
