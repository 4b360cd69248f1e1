"""The effective policy of a Huey task: how often it runs, how long it waits, and what is left of it
in the end.

Huey's rules (huey/api.py): `retries` 3 means four runs, 0 (the default) one; every exception is
retried; nothing is acknowledged, so a killed worker loses the job (`acks_late` and redelivery do
not exist).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from skillrun.frameworks.common.reading import import_paths, place_of
from skillrun.frameworks.huey.apps import setting
from skillrun.frameworks.huey.deadletter import find_record
from skillrun.frameworks.huey.deciding import own_wait
from skillrun.frameworks.huey.failures import bodies, guarded, outcome, raised
from skillrun.frameworks.huey.sends import find_messages
from skillrun.frameworks.huey.tasks import DEFAULTS, Option, Task, read_task
from skillrun.frameworks.interface import (
    Backoff,
    Policy,
)
from skillrun.repo.python import Definition, Module, Project, is_known
from skillrun.repo.syntax import is_constant
from skillrun.repo.uses import FrameworkUse, Place

AT_SITE = ("retries", "retry_delay", "retry_backoff", "timeout")
_NONE = Backoff("none")


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The policy of a handler, as code and configuration say; what cannot be read is named in
    `unknown`.
    """
    task = read_task(project, use, handler)
    options = {name: effective(project, task, name) for name in AT_SITE}
    sources: dict[str, Place | None] = {}
    unknown: dict[str, Place] = {}
    attempts = _count_attempts(project, task, options["retries"], sources, unknown)
    if attempts != 1:
        backoff = _read_backoff(project, use, task, options, sources, unknown)
    else:
        backoff = _NONE
    record = find_record(project, use, task)
    limit = _read_number(options["timeout"], "time_limit_s", sources, unknown)
    serializer = setting(project, use, task.owner, "serializer")
    sources |= {
        "dead_letter": record.place if record else None,
        "serializer": serializer.place if serializer else None,
    }
    sources["retried"] = sources["max_attempts"]
    if attempts != 1:
        # Huey retries by itself, and logs each failure itself.
        sources["autoretry"] = sources["max_attempts"]
    for place in task.unread:
        unknown.setdefault("options", place)
    return Policy(
        max_attempts=attempts,
        backoff=backoff,
        retried=("builtins:Exception",) if attempts != 1 else (),
        not_retried=_not_retried(project, task),
        time_limit_s=limit,
        serializer=_name_serializer(project, use, task),
        dead_letter=record.place if record else None,
        sources=sources,
        unknown=unknown,
    )


def overrides(project: Project, task: Task, name: str) -> list[Option | None]:
    """What each publishing call gives an option: `send(7, retries=5)`; None where it leaves it to
    the task.
    """
    found: list[Option | None] = []
    for send in find_messages(project, task):
        given = send.options.get(name)
        if given is None:
            found.append(None)
        else:
            found.append(Option(project.literal(*given), place_of(given[1], given[0])))
    return found


def effective(project: Project, task: Task, name: str) -> Option | None:
    """What holds for the message: the most that any publishing call asks for, else the task's
    own.
    """
    given = overrides(project, task, name)
    own = task.options.get(name)
    every = [one or own for one in given] or [own]
    return max(every, key=_size_of)


def _size_of(option: Option | None) -> float:
    value = 0
    if option:
        value = option.value
    if isinstance(value, int | float):
        return float(value)
    if is_known(value):
        return 0.0
    return float("inf")


def _count_attempts(
    project: Project,
    task: Task,
    option: Option | None,
    sources: dict[str, Place | None],
    unknown: dict[str, Place],
) -> int | None:
    if option:
        retries = option.value
        sources["max_attempts"] = option.place
    else:
        retries = DEFAULTS["retries"]
        sources["max_attempts"] = None
    is_endless = False
    for found in raised(project, task):
        if not found.endless:
            continue
        is_endless = True
        place = place_of(found.module, found.node)
        if not guarded(found) and not _counts_retries(project, task):
            sources["max_attempts"] = place
            return None
        unknown["max_attempts"] = place
    if not isinstance(retries, int) or isinstance(retries, bool):
        if option:
            unknown["max_attempts"] = option.place
        else:
            unknown["max_attempts"] = _place_of_task(task)
        written = getattr(retries, "default", None)
        return (written if isinstance(written, int) else 0) + 1
    if is_endless and _counts_retries(project, task):
        unknown["max_attempts"] = _place_of_task(task)
    return max(retries, 0) + 1


def _counts_retries(project: Project, task: Task) -> bool:
    """The code itself counts down or sets what is left, other than to zero."""
    return any(_sets_attribute(node, "retries") for node, _ in _list_nodes(project, task))


def _list_nodes(project: Project, task: Task) -> Iterator[tuple[ast.AST, Module]]:
    """Every node of the task, of what it calls, and of the decorator that makes it."""
    for part in (*bodies(project, task.handler), *([task.wrapper] if task.wrapper else [])):
        for node in ast.walk(part.node):
            yield (node, part.module)


def _sets_attribute(node: ast.AST, name: str) -> bool:
    """Other than to zero."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.AugAssign):
        targets = [node.target]
    elif isinstance(node, ast.Assign):
        targets = node.targets
        if is_constant(node.value, 0):
            return False
    return any(isinstance(target, ast.Attribute) and target.attr == name for target in targets)


def _read_backoff(
    project: Project,
    use: FrameworkUse,
    task: Task,
    options: dict[str, Option | None],
    sources: dict[str, Place | None],
    unknown: dict[str, Place],
) -> Backoff:
    delay = _read_number(options["retry_delay"], "backoff", sources, unknown)
    factor = _read_number(options["retry_backoff"], "backoff", sources, unknown)
    if "backoff" in unknown:
        return _NONE
    for found in raised(project, task):
        if found.endless:
            unknown["backoff"] = place_of(found.module, found.node)
            return _NONE
    retries = 0
    if options["retries"]:
        retries = options["retries"].value
    received = own_wait(project, use, task, retries if isinstance(retries, int) else 0)
    if received is not None:
        sources["backoff"] = received[1]
        if received[0] is None:
            unknown["backoff"] = received[1]
        return received[0] or _NONE
    base, times = delay or 0.0, factor or 0.0
    changed = []
    for one in _list_nodes(project, task):
        if _sets_attribute(one[0], "retry_delay"):
            changed.append(one)
    if changed:
        return _by_hand(project, changed, base, times, sources, unknown)
    return _by_options(base, times)


def _by_options(base: float, times: float) -> Backoff:
    """What Huey makes of its own options: every wait so many times as long as the one before."""
    if not base:
        return _NONE
    if times and times != 1:
        return Backoff("exponential", base, times)
    return Backoff("fixed", base)


def _by_hand(
    project: Project,
    changed: list[tuple[ast.AST, Module]],
    base: float,
    times: float,
    sources: dict[str, Place | None],
    unknown: dict[str, Place],
) -> Backoff:
    """`task.retry_delay *= 2` in the task, which takes hold before the first retry; also with
    `min(..., cap)`.
    """
    node, module = changed[0]
    place = place_of(module, node)
    read = _read_multiplication(project, node, module)
    is_conditional = module.above(node, ast.If) is not None
    if len(changed) > 1 or times or read is None or is_conditional:
        unknown["backoff"] = place
        return _NONE
    sources["backoff"] = place
    factor, cap = read
    first = base * factor
    if base:
        return Backoff("exponential", min(first, cap) if cap is not None else first, factor, cap)
    return _NONE


def _read_multiplication(
    project: Project, node: ast.AST, module: Module
) -> tuple[float, float | None] | None:
    """(factor, cap) of `x *= 2`, `x = x * 2`, `x = min(x * 2, 60)`."""
    cap: Any = None
    factor: ast.expr | None = None
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Mult):
        factor = node.value
    elif isinstance(node, ast.Assign):
        product, capped = _split_minimum(module, node.value)
        factor = _find_factor(product, ast.unparse(node.targets[0]))
        cap = None
        if capped is not None:
            cap = project.literal(capped, module)
    number = None
    if factor is not None:
        number = project.literal(factor, module)
    if not isinstance(number, int | float) or not isinstance(cap, int | float | None):
        return None
    return float(number), float(cap) if cap is not None else None


def _split_minimum(module: Module, value: ast.expr) -> tuple[ast.expr, ast.expr | None]:
    """(x * 2, 60) of `min(x * 2, 60)`; anything else has no cap."""
    if not isinstance(value, ast.Call) or module.resolve(value.func) != "builtins.min":
        return value, None
    if len(value.args) != 2:
        return value, None
    first, second = value.args
    if isinstance(second, ast.BinOp):
        first, second = second, first
    # Where both are products, neither is known to be the cap.
    if isinstance(second, ast.BinOp):
        return (value, None)
    return (first, second)


def _find_factor(product: ast.expr, target: str) -> ast.expr | None:
    """What the target is multiplied by."""
    if not isinstance(product, ast.BinOp) or not isinstance(product.op, ast.Mult):
        return None
    sides = []
    for side in (product.left, product.right):
        if ast.unparse(side) != target:
            sides.append(side)
    if len(sides) == 1:
        return sides[0]
    return None


def _read_number(
    option: Option | None, field: str, sources: dict[str, Place | None], unknown: dict[str, Place]
) -> float | None:
    if option:
        sources[field] = option.place
    else:
        sources[field] = sources.get(field)
    value = None
    if option:
        value = option.value
    if value is None or isinstance(value, int | float):
        if value is None:
            return None
        return float(value)
    if option:
        unknown[field] = option.place
    else:
        unknown[field] = Place("", 0)
    return None


def _not_retried(project: Project, task: Task) -> tuple[str, ...]:
    """Exceptions that a clause of the task takes and does not let through to a retry."""
    names: list[str] = []
    for clause in project.handlers(task.handler):
        if outcome(project, clause) in ("stops", "ends"):
            names += clause.exceptions
    return import_paths(project, names)


def _name_serializer(project: Project, use: FrameworkUse, task: Task) -> str:
    """Huey pickles (huey/serializer.py) unless the Huey object was given something else."""
    found = setting(project, use, task.owner, "serializer")
    if found is None or found.value is None:
        return "pickle"
    text = found.place.text
    if "SignedSerializer" in text:
        return "signed pickle"
    if "json" in text.lower():
        return "json"
    return "custom"


def _place_of_task(task: Task) -> Place:
    return task.registered or Place(task.handler.path, task.handler.line)
