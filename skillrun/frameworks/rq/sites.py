"""Where a function is handed to RQ, and with which options: that is where its retries and callbacks
are said.

Sources: rq/queue.py (`enqueue`, `enqueue_call`, `enqueue_at`, `enqueue_in`, `prepare_data`,
`parse_args`), rq/decorators.py, rq/cron.py, rq_scheduler/scheduler.py, django_rq/decorators.py,
flask_rq.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from skillrun.frameworks.common.reading import in_tests, options_of, place_of
from skillrun.frameworks.interface import Place, Wiring
from skillrun.repo.python import Definition, Module, Project, Use

# method -> position of the function among its arguments
ENQUEUE = {
    "enqueue": 0,
    "enqueue_call": 0,
    "enqueue_at": 1,
    "enqueue_in": 1,
    "prepare_data": 0,
    "create_job": 0,
}
_ELSEWHERE = {"schedule": 1, "cron": 1, "create": 0}  # rq_scheduler's, and Job.create
_FUNCTION = ("func", "f", "func_name")
DECORATORS = frozenset(
    {
        *(
            "rq.decorators.job",
            "rq.job.job",
            "django_rq.job",
            "django_rq.decorators.job",
            "flask_rq.job",
        ),
        *(
            "rq.decorators.job.job",
            "flask_rq2.RQ.job",
            "flask_rq2.RQ().job",
            "flask_rq.RQ.job",
            "flask_rq.RQ().job",
        ),
    }
)
Decorator = tuple[ast.expr, Module]  # and the file that it stands in
_OF_A_TASK = {
    "delay": "enqueue",
    "enqueue": "enqueue",
    "queue": "enqueue",
    "schedule": "schedule",
    "cron": "schedule",
}


@dataclass(frozen=True)
class Site:
    """One place that enqueues or schedules the handler.

    `style` is queue (options stand in the call), task (`send.delay()`: they stand in the
    decorator), cron or scheduler
    (neither takes a Retry), value (handed on: what becomes of it cannot be read).
    """

    kind: str  # enqueue | schedule
    style: str
    how: str
    module: Module
    node: ast.expr
    options: dict[str, ast.expr] = field(default_factory=dict)
    holder: Module | None = None  # the file in which the options stand
    unread: bool = False  # some options come from where they cannot be read

    @property
    def place(self) -> Place:
        """Where it stands."""
        return place_of(self.module, self.node)

    @property
    def in_tests(self) -> bool:
        """It is only a test's."""
        return in_tests(self.module.path)

    @property
    def direct(self) -> bool:
        """The call itself is RQ's, not a helper of the repository around it."""
        return self.how.startswith(".")

    @property
    def wirings(self) -> Iterator[Wiring]:
        """As the stages see it; a job with `repeat` is enqueued and scheduled."""
        yield Wiring(self.kind, self.place, self.how, self.in_tests)
        if self.kind == "enqueue" and "repeat" in self.options:
            yield Wiring("schedule", self.place, f"{self.how} with repeat", self.in_tests)

    @property
    def source(self) -> Module:
        """The file in which the options stand."""
        return self.holder or self.module

    def option(self, *names: str) -> ast.expr | None:
        """The expression given for an option, by any of its names; None where it is left to the
        default.
        """
        found = next((self.options[name] for name in names if name in self.options), None)
        return None if isinstance(found, ast.Constant) and found.value is None else found


def find_sites(project: Project, handler: Definition) -> tuple[Site, ...]:
    """Every site in order of path and line; calls of the handler by itself left out."""
    return project.remember(
        ("rq.sites", handler.path, handler.name), lambda: tuple(_find(project, handler))
    )


def real_sites(project: Project, handler: Definition) -> tuple[Site, ...]:
    """Those outside the tests."""
    return tuple(site for site in find_sites(project, handler) if not site.in_tests)


def _find(project: Project, handler: Definition) -> Iterator[Site]:
    every = list(_all(project, handler))
    if all(site.in_tests for site in every):
        every += _handed_on(project, handler)
    found: dict[tuple[str, int, str], Site] = {}
    for site in every:
        found.setdefault((site.place.path, site.place.line, site.kind), site)
    yield from (found[key] for key in sorted(found))


def _all(project: Project, handler: Definition) -> Iterator[Site]:
    decorator = job_decorator(project, handler)
    for use in project.uses(handler.dotted):
        if handler.node not in use.module.parents(use.node):
            yield from _by_object(project, use, decorator)
    for variable, made in _made_by_call(project, handler):
        for use in project.uses(variable):
            yield from _by_object(project, use, made)
    for name in (handler.dotted, handler.import_path):
        yield from _by_name(project, name)


def scheduled_publishers(project: Project, handler: Definition) -> Iterator[Wiring]:
    """A schedule calls the function that enqueues the handler, or one that calls that: RQ's takes
    no retries itself.
    """
    for site in real_sites(project, handler):
        around = site.module.function_of(site.node) if site.kind == "enqueue" else None
        own = project.define(site.module, around) if around is not None else None
        for function in (own, *_callers(project, own)) if own is not None else ():
            for found in _calls_with(project, function):
                if found.kind == "schedule":
                    yield Wiring(
                        "schedule", found.place, f"{found.how} of {function.name}", found.in_tests
                    )


def _callers(project: Project, function: Definition) -> Iterator[Definition]:
    """The functions that call one."""
    for use in project.uses(function.dotted):
        above, caller = next(use.module.parents(use.node), None), use.module.function_of(use.node)
        if caller is not None and isinstance(above, ast.Call) and above.func is use.node:
            yield project.define(use.module, caller)


def _calls_with(project: Project, function: Definition) -> Iterator[Site]:
    """The calls that are given a function."""
    for use in project.uses(function.dotted):
        above = next(use.module.parents(use.node), None)
        call = next(use.module.parents(above), None) if isinstance(above, ast.keyword) else above
        if isinstance(call, ast.Call):
            yield from _in_call(project, use.module, call, use.node)


def job_decorator(project: Project, handler: Definition) -> Decorator | None:
    """The `@job(...)` of the handler, and its file."""
    for node in handler.decorators:
        if is_job_decorator(project, node, handler.module):
            return node, handler.module
    return None


def is_job_decorator(project: Project, node: ast.expr, module: Module) -> bool:
    """`@job`, `@job("default", ...)`, `@rq.job`."""
    name = module.resolve(node.func if isinstance(node, ast.Call) else node) or ""
    return project.origin(name) in DECORATORS


def registration(project: Project, handler: Definition) -> Place | None:
    """The decorator, else the function; None for what a worker cannot import."""
    found = job_decorator(project, handler)
    if found is not None:
        return place_of(found[1], found[0])
    inner = handler.module.function_of(handler.node) is not None
    return None if inner else place_of(handler.module, handler.node)


def _made_by_call(project: Project, handler: Definition) -> Iterator[tuple[str, Decorator]]:
    """`send_job = job("default")(send)`: the variable, and the decorator."""
    for use in project.uses(handler.dotted):
        above = next(use.module.parents(use.node), None)
        if not isinstance(above, ast.Call) or above.args[:1] != [use.node]:
            continue
        around = next(use.module.parents(above), None)
        if is_job_decorator(project, above.func, use.module) and isinstance(around, ast.Assign):
            for target in (t for t in around.targets if isinstance(t, ast.Name)):
                yield f"{use.module.name}.{target.id}", (above.func, use.module)


def _by_object(project: Project, use: Use, decorator: Decorator | None) -> Iterator[Site]:
    above = next(use.module.parents(use.node), None)
    if isinstance(above, ast.Attribute) and above.attr in _OF_A_TASK and decorator is not None:
        yield _of_task(project, use.module, above, decorator)
    elif isinstance(above, ast.Call):
        yield from _in_call(project, use.module, above, use.node, decorator)
    elif isinstance(above, ast.keyword) and above.arg:
        call = next(use.module.parents(above), None)
        if isinstance(call, ast.Call):
            yield from _in_call(project, use.module, call, use.node, decorator)


def _of_task(project: Project, module: Module, node: ast.Attribute, decorator: Decorator) -> Site:
    given, holder = decorator
    options, unread = (
        options_of(project, given, holder) if isinstance(given, ast.Call) else ({}, False)
    )
    call = next(module.parents(node), None)
    where = call if isinstance(call, ast.Call) and call.func is node else node
    return Site(
        _OF_A_TASK[node.attr], "task", f".{node.attr}(...)", module, where, options, holder, unread
    )


def _in_call(
    project: Project,
    module: Module,
    call: ast.Call,
    node: ast.expr,
    decorator: Decorator | None = None,
) -> Iterator[Site]:
    """A call that receives the function: one of RQ's, a partial of it, or a helper of the
    repository around it.
    """
    name = project.call_name(module, call)
    own = project.definition(name) if name else None
    word = _word(call.func)
    if own is not None and not own.is_class:
        yield from _through(project, module, call, node, own, decorator)
    elif (
        _word(call.func) == "partial"
        and call.args
        and _word(call.args[0]) in ENQUEUE
        and node in call.args
    ):
        if call.args.index(node) == ENQUEUE[_word(call.args[0])] + 1:
            yield _queued(
                project, module, call, call, f"partial({_word(call.args[0])}, ...)", module
            )
    elif word in ENQUEUE and _receives(call, node, ENQUEUE[word]):
        yield _queued(project, module, call, call, f".{word}(...)", module)
    elif (
        word == "register" and _receives(call, node, 0) and "rq.cron" in project.origin(name or "")
    ):
        options, unread = options_of(project, call, module)
        yield Site("schedule", "cron", "cron.register(...)", module, call, options, module, unread)
    elif word in _ELSEWHERE and _receives(call, node, _ELSEWHERE[word]):
        kind = "enqueue" if word == "create" else "schedule"
        options, unread = options_of(project, call, module)
        yield Site(kind, "scheduler", f".{word}(...)", module, call, options, module, unread)


def _queued(
    project: Project, module: Module, node: ast.Call, given: ast.Call, how: str, holder: Module
) -> Site:
    options, unread = options_of(project, given, holder)
    return Site("enqueue", "queue", how, module, node, options, holder, unread)


def _receives(call: ast.Call, node: ast.expr, position: int) -> bool:
    named = any(keyword.value is node and keyword.arg in _FUNCTION for keyword in call.keywords)
    return named or call.args[position : position + 1] == [node]


def _through(
    project: Project,
    module: Module,
    call: ast.Call,
    node: ast.expr,
    own: Definition,
    decorator: Decorator | None,
) -> Iterator[Site]:
    """`enqueue_later(send, ...)` of the repository: a call inside it hands that parameter to RQ."""
    parameter = _parameter(call, node, own)
    for inner in (n for n in ast.walk(own.node) if isinstance(n, ast.Call)) if parameter else ():
        word = _word(inner.func)
        passed = [
            n
            for n in (*inner.args, *(k.value for k in inner.keywords))
            if _names(n, parameter or "")
        ]
        if word in ENQUEUE and any(_receives(inner, one, ENQUEUE[word]) for one in passed):
            yield _queued(project, module, call, inner, f"{own.name}(...)", own.module)
            return
        of_task = isinstance(inner.func, ast.Attribute) and _names(
            inner.func.value, parameter or ""
        )
        if of_task and word in ("delay", "enqueue"):
            given, holder = decorator if decorator else (node, module)
            options, unread = (
                options_of(project, given, holder) if isinstance(given, ast.Call) else ({}, False)
            )
            yield Site("enqueue", "task", f"{own.name}(...)", module, call, options, holder, unread)
            return


def _parameter(call: ast.Call, node: ast.expr, own: Definition) -> str | None:
    named = next((keyword.arg for keyword in call.keywords if keyword.value is node), None)
    if named is not None:
        return named
    names = [name for name in own.parameters if name not in ("self", "cls")]
    position = call.args.index(node) if node in call.args else len(names)
    return names[position] if position < len(names) else None


def _names(node: ast.expr, parameter: str) -> bool:
    return isinstance(node, ast.Name) and node.id == parameter


def _by_name(project: Project, name: str) -> Iterator[Site]:
    """The function's name as text: RQ imports it in the worker."""
    for module in project.modules_with(name.rpartition(".")[2].rpartition(":")[2]):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Constant) and node.value == name:
                above = next(module.parents(node), None)
                call = (
                    next(module.parents(above), None) if isinstance(above, ast.keyword) else above
                )
                if isinstance(call, ast.Call):
                    yield from _in_call(project, module, call, node)


def _handed_on(project: Project, handler: Definition) -> Iterator[Site]:
    """The function as a value, in a mapping or an argument: somebody enqueues it, but the text does
    not say where.
    """
    for use in project.uses(handler.dotted):
        above = next(use.module.parents(use.node), None)
        if isinstance(above, ast.Dict | ast.List | ast.Tuple | ast.keyword) and not in_tests(
            use.path
        ):
            yield Site(
                "enqueue", "value", "handed on as a value", use.module, use.node, unread=True
            )


def _word(node: ast.expr) -> str:
    return (
        node.attr
        if isinstance(node, ast.Attribute)
        else node.id
        if isinstance(node, ast.Name)
        else ""
    )
