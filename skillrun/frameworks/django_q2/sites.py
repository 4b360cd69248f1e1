"""Where a function is handed to Django Q2, and with which options.

Sources: django_q/tasks.py (`async_task`, `schedule`, `async_iter`, `AsyncTask`, `Iter`, `Chain`),
django_q/models.py (`Schedule`); `async_` is what Django Q called it before 0.9.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from skillrun.frameworks.common.reading import held_value, in_tests, options_of, place_of
from skillrun.frameworks.interface import Place
from skillrun.repo.python import Definition, Module, Project

ENQUEUE = ("async_task", "async_", "async_iter", "AsyncTask", "Async", "Iter")
SCHEDULE = "schedule"
# What async_task and schedule keep for themselves: the function never sees an argument of that
# name.
OPTIONS = frozenset(
    {
        *(
            "hook",
            "group",
            "save",
            "sync",
            "cached",
            "ack_failure",
            "iter_count",
            "iter_cached",
            "chain",
            "broker",
        ),
        *("cluster", "timeout", "task_name", "q_options"),
    }
)
SCHEDULE_OPTIONS = frozenset(
    {
        *("name", "hook", "schedule_type", "minutes", "repeats", "next_run", "cron", "cluster"),
        *("intended_date_kwarg", "q_options"),
    }
)
_ROWS = (
    "Schedule",
    "Schedule.objects.create",
    "Schedule.objects.get_or_create",
    "Schedule.objects.update_or_create",
)
_CHAINS = ("Chain", "async_chain")
_PARTIAL = "functools.partial"
_WORDS = (*ENQUEUE, SCHEDULE, "Schedule", *_CHAINS)


@dataclass(frozen=True)
class Site:
    """A call that publishes the handler; `direct`: its own arguments are the function's, none of a
    helper around it.
    """

    kind: str  # enqueue | schedule
    how: str
    module: Module
    call: ast.Call
    style: str  # async_task | schedule | row | other
    options: dict[str, ast.expr] = field(default_factory=dict)
    source: Module | None = None  # the file of the options
    unread: bool = False
    direct: bool = True

    @property
    def place(self) -> Place:
        """Where it stands."""
        return place_of(self.module, self.call)

    @property
    def in_tests(self) -> bool:
        """In a test of the repository."""
        return in_tests(self.module.path)

    def option(self, name: str) -> tuple[ast.expr, Module] | None:
        """An option's expression and its file."""
        node = self.options.get(name)
        return (node, self.source or self.module) if node is not None else None


def find_sites(project: Project, handler: Definition) -> tuple[Site, ...]:
    """Every place, those in tests included, in order of path and line."""
    return project.remember(
        ("django-q2.sites", handler.dotted), lambda: tuple(_sites(project, handler))
    )


def real_sites(project: Project, handler: Definition) -> tuple[Site, ...]:
    """Those outside tests."""
    return tuple(site for site in find_sites(project, handler) if not site.in_tests)


def _sites(project: Project, handler: Definition) -> Iterator[Site]:
    for module, call, style in published(project):
        for node in _functions(module, call, style):
            if means(project, node, module, handler):
                yield _site(project, module, call, style)
            elif isinstance(node, ast.Name):
                yield from _through(project, module, call, style, node.id, handler)


def published(project: Project) -> Iterator[tuple[Module, ast.Call, str]]:
    """(file, call, style) of every call of Django Q2 that publishes something."""
    modules = {module.path: module for word in _WORDS for module in project.modules_with(word)}
    for path in sorted(modules):
        for node in ast.walk(modules[path].tree):
            style = style_of(project, modules[path], node) if isinstance(node, ast.Call) else None
            if style is not None and isinstance(node, ast.Call):
                yield modules[path], node, style


def style_of(project: Project, module: Module, call: ast.Call) -> str | None:
    """What kind of publish a call is; None where it is none. A migration's Schedule is what
    `apps.get_model` gives.
    """
    func = called(module, call)
    origin = project.origin(module.resolve(func) or "")
    last = origin.rpartition(".")[2]
    written = ast.unparse(func)
    if origin.startswith("django_q.") and last in (*ENQUEUE, SCHEDULE, *_CHAINS):
        return (
            "async_task"
            if last in ("async_task", "async_")
            else last
            if last == SCHEDULE
            else "other"
        )
    in_chain = last == "append" and ".Chain()" in origin
    if in_chain or (origin.startswith("django_q.models.") and origin.endswith(_ROWS)):
        return "other" if in_chain else "row"
    return "row" if written in _ROWS and _named(call, "func") is not None else None


def called(module: Module, call: ast.Call) -> ast.expr:
    """What a call calls; of `partial(async_task, ...)`, what it will."""
    return call.args[0] if call.args and module.resolve(call.func) == _PARTIAL else call.func


def _functions(module: Module, call: ast.Call, style: str) -> Iterator[ast.expr]:
    """What stands for the function: the first argument or `func`; in a chain, the first of each
    tuple.
    """
    named = _named(call, "func")
    given = call.args if called(module, call) is call.func else call.args[1:]
    first = named or (given[0] if given and style != "row" else None)
    if isinstance(first, ast.List | ast.Tuple):
        yield from (
            one.elts[0] for one in first.elts if isinstance(one, ast.Tuple | ast.List) and one.elts
        )
    elif first is not None:
        yield first


def _named(call: ast.Call, name: str) -> ast.expr | None:
    """A keyword, also one in the `defaults` of `update_or_create`."""
    found = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
    defaults = next((keyword.value for keyword in call.keywords if keyword.arg == "defaults"), None)
    if found is None and isinstance(defaults, ast.Dict):
        pairs = zip(defaults.keys, defaults.values, strict=True)
        found = next((v for k, v in pairs if isinstance(k, ast.Constant) and k.value == name), None)
    return found


def means(project: Project, node: ast.expr, module: Module, handler: Definition) -> bool:
    """The function itself, or its dotted path as text."""
    name = module.resolve(node)
    if name and project.origin(name) == handler.dotted:
        return True
    text = project.literal(node, module)
    return isinstance(text, str) and project.origin(text) == handler.dotted


def _site(project: Project, module: Module, call: ast.Call, style: str) -> Site:
    options, unread = options_of(project, call, module)
    inner = options.get("q_options")
    held = held_value(project, inner, module) if inner is not None else None
    if held is not None and isinstance(held[0], ast.Dict):
        pairs = zip(held[0].keys, held[0].values, strict=True)
        options |= {str(key.value): value for key, value in pairs if isinstance(key, ast.Constant)}
    for name in ("hook", "func", "kwargs"):
        if style == "row" and (node := _named(call, name)) is not None:
            options[name] = node
    kind = "schedule" if style in (SCHEDULE, "row") else "enqueue"
    func = called(module, call)
    how = f"{ast.unparse(func)}(...)"
    return Site(kind, how, module, call, style, options, module, unread, direct=func is call.func)


def _through(
    project: Project,
    module: Module,
    call: ast.Call,
    style: str,
    parameter: str,
    handler: Definition,
) -> Iterator[Site]:
    """`def enqueue(func, *args): async_task(func, *args, ...)`: whoever calls it says the
    function.
    """
    around = module.function_of(call)
    own = project.define(module, around) if around is not None else None
    if own is None or parameter not in own.parameters:
        return
    inner = _site(project, module, call, style)
    position = [name for name in own.parameters if name not in ("self", "cls")].index(parameter)
    for use in project.uses(own.dotted):
        above = next(use.module.parents(use.node), None)
        if not isinstance(above, ast.Call) or above.func is not use.node:
            continue
        named = next((k.value for k in above.keywords if k.arg == parameter), None)
        given = named or (above.args[position] if position < len(above.args) else None)
        if given is not None and means(project, given, use.module, handler):
            how = f"{ast.unparse(above.func)}(...)"
            yield Site(
                inner.kind,
                how,
                use.module,
                above,
                style,
                inner.options,
                module,
                inner.unread,
                direct=False,
            )
