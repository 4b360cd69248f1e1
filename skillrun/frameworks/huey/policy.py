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
from skillrun.frameworks.interface import Backoff, Policy
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
    backoff = _NONE
    retried: tuple[str, ...] = ()
    if attempts != 1:
        backoff = _read_backoff(project, use, task, options, sources, unknown)
        retried = ("builtins:Exception",)
    limit = _read_number(options["timeout"], "time_limit_s", sources, unknown)
    dead_letter, serialized_at = None, None
    record = find_record(project, use, task)
    if record:
        dead_letter = record.place
    serializer = setting(project, use, task.owner, "serializer")
    if serializer:
        serialized_at = serializer.place
    sources |= {"dead_letter": dead_letter, "serializer": serialized_at}
    sources["retried"] = sources["max_attempts"]
    if attempts != 1:
        # Huey retries by itself, and logs each failure itself.
        sources["autoretry"] = sources["max_attempts"]
    for place in task.unread:
        unknown.setdefault("options", place)
    return Policy(
        max_attempts=attempts,
        backoff=backoff,
        retried=retried,
        not_retried=_list_not_retried(project, task),
        time_limit_s=limit,
        serializer=_name_serializer(project, use, task),
        dead_letter=dead_letter,
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
    of_task = task.options.get(name)
    of_messages = [override or of_task for override in overrides(project, task, name)]
    return max(of_messages or [of_task], key=_size_of)


def _size_of(option: Option | None) -> float:
    """How much an option asks for: nothing where it is not given, and more than any number where
    it cannot be read.
    """
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
    """The number of runs, one more than `retries`; None where the task tries again without an end.
    Fills `sources`, and `unknown` where the number may be another.
    """
    retries, place = DEFAULTS["retries"], None
    if option:
        retries, place = option.value, option.place
    sources["max_attempts"] = place
    is_endless = False
    # What a task raises may ask for another run, whatever `retries` says.
    for found in raised(project, task):
        if not found.endless:
            continue
        is_endless = True
        raised_at = place_of(found.module, found.node)
        if not guarded(found) and not _counts_retries(project, task):
            sources["max_attempts"] = raised_at
            return None
        unknown["max_attempts"] = raised_at
    if not isinstance(retries, int) or isinstance(retries, bool):
        unknown["max_attempts"] = place or _place_of_task(task)
        # `int(os.environ.get("RETRIES", 3))`: what it is where nothing else is said.
        written = getattr(retries, "default", None)
        if not isinstance(written, int):
            return 1
        return written + 1
    if is_endless and _counts_retries(project, task):
        unknown["max_attempts"] = _place_of_task(task)
    return max(retries, 0) + 1


def _counts_retries(project: Project, task: Task) -> bool:
    """Whether the code itself counts down or sets what is left, other than to zero."""
    return any(_sets_attribute(node, "retries") for node, _ in _list_nodes(project, task))


def _list_nodes(project: Project, task: Task) -> Iterator[tuple[ast.AST, Module]]:
    """Every node of the task, of what it calls, and of the decorator that makes it."""
    functions = list(bodies(project, task.handler))
    if task.wrapper:
        functions.append(task.wrapper)
    for function in functions:
        for node in ast.walk(function.node):
            yield node, function.module


def _sets_attribute(node: ast.AST, name: str) -> bool:
    """`task.retries -= 1`, `task.retries = 5`; to set it to zero ends the job."""
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
    """The waits before the retries. Fills `sources`, and `unknown` where they cannot be read."""
    delay = _read_number(options["retry_delay"], "backoff", sources, unknown)
    factor = _read_number(options["retry_backoff"], "backoff", sources, unknown)
    if "backoff" in unknown:
        return _NONE
    for found in raised(project, task):
        if found.endless:
            unknown["backoff"] = place_of(found.module, found.node)
            return _NONE
    retries = 0
    if options["retries"] and isinstance(options["retries"].value, int):
        retries = options["retries"].value
    asked = own_wait(project, use, task, retries)
    if asked is not None:
        backoff, place = asked
        sources["backoff"] = place
        if backoff is None:
            unknown["backoff"] = place
        return backoff or _NONE
    base, times = delay or 0.0, factor or 0.0
    changes = []
    for node, module in _list_nodes(project, task):
        if _sets_attribute(node, "retry_delay"):
            changes.append((node, module))
    if changes:
        return _read_changed_delay(project, changes, base, times, sources, unknown)
    # Huey's own options: every wait so many times as long as the one before.
    if not base:
        return _NONE
    if times and times != 1:
        return Backoff("exponential", base, times)
    return Backoff("fixed", base)


def _read_changed_delay(
    project: Project,
    changes: list[tuple[ast.AST, Module]],
    base: float,
    times: float,
    sources: dict[str, Place | None],
    unknown: dict[str, Place],
) -> Backoff:
    """The waits of a task that changes its own delay, `task.retry_delay *= 2` or with `min(...,
    cap)`, which takes hold before the first retry. Several changes, one under a condition, and one
    beside Huey's own factor are not read.
    """
    node, module = changes[0]
    place = place_of(module, node)
    multiplied = _read_multiplication(project, node, module)
    is_conditional = module.above(node, ast.If) is not None
    if len(changes) > 1 or times or multiplied is None or is_conditional:
        unknown["backoff"] = place
        return _NONE
    sources["backoff"] = place
    if not base:
        return _NONE
    factor, cap = multiplied
    first = base * factor
    if cap is not None:
        first = min(first, cap)
    return Backoff("exponential", first, factor, cap)


def _read_multiplication(
    project: Project, node: ast.AST, module: Module
) -> tuple[float, float | None] | None:
    """(factor, cap) of `x *= 2`, `x = x * 2`, `x = min(x * 2, 60)`."""
    cap: Any = None
    multiplier: ast.expr | None = None
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Mult):
        multiplier = node.value
    elif isinstance(node, ast.Assign):
        product, limit = _split_minimum(module, node.value)
        multiplier = _find_factor(product, ast.unparse(node.targets[0]))
        if limit is not None:
            cap = project.literal(limit, module)
    if multiplier is None:
        return None
    factor = project.literal(multiplier, module)
    if not isinstance(factor, int | float) or not isinstance(cap, int | float | None):
        return None
    if cap is not None:
        cap = float(cap)
    return float(factor), cap


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
        return value, None
    return first, second


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
    """The number of an option, None where it is not given. Fills `sources`, which keeps what
    another option of the same field has said, and `unknown` where it cannot be read.
    """
    if option is None:
        sources.setdefault(field, None)
        return None
    sources[field] = option.place
    if isinstance(option.value, int | float):
        return float(option.value)
    if option.value is not None:
        unknown[field] = option.place
    return None


def _list_not_retried(project: Project, task: Task) -> tuple[str, ...]:
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
